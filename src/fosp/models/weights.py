"""Weights of the policy loss (Eqs. 19 and 23) and the scale that advantages are put on."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn

from fosp import parallel


def offline_weight(
    u: Tensor, advantage_reward: Tensor, advantage_cost: Tensor, beta_reward: float, beta_cost: float, clip: float
) -> Tensor:
    """w = u exp(beta_1 A_r) + (1 - u) exp(-beta_2 A_c) of Eq. 19, (...); either exponential is at most `clip`."""
    reward = (beta_reward * advantage_reward).exp().clamp(max=clip)
    cost = (-beta_cost * advantage_cost).exp().clamp(max=clip)
    return u * reward + (1 - u) * cost


def online_weight(
    u: Tensor, advantage_reward: Tensor, advantage_cost: Tensor, beta_reward: float, beta_cost: float
) -> Tensor:
    """w = u beta_1 A_r - (1 - u) beta_2 A_c of Eq. 23, (...)."""
    return u * beta_reward * advantage_reward - (1 - u) * beta_cost * advantage_cost


class Scale(nn.Module):
    """Moving 5-95 percentile range (DreamerV3, Eq. 7), with a floor under it.

    Over returns the floor is 1, as in DreamerV3. Over advantages, which are some hundred times smaller, it is 0.01.
    """

    range: Tensor
    value: Tensor
    percentiles: Tensor

    def __init__(self, of: Literal["return", "advantage"], rate: float = 0.01) -> None:
        super().__init__()
        self.rate, self.floor = rate, 1.0 if of == "return" else 0.01
        self.register_buffer("range", torch.tensor(0.0))
        self.register_buffer("value", torch.tensor(self.floor))
        # A buffer, since a constant made on the spot would be copied from the host in every update.
        self.register_buffer("percentiles", torch.tensor([0.05, 0.95]), persistent=False)

    @torch.no_grad()
    def see(self, x: Tensor) -> None:
        """Move towards the range of `x` (any shape)."""
        low, high = torch.quantile(parallel.gather(x.detach().float()), self.percentiles)
        self.range.lerp_(high - low, self.rate)
        self.value.copy_(self.range.clamp(min=self.floor))
