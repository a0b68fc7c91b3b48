"""Augmented Lagrangian (Eqs. 17 and 27; Wright and Nocedal, Numerical Optimization, chapter 17)."""

from __future__ import annotations

import torch
from torch import Tensor, nn


def augmented_lagrangian(value: Tensor, multiplier: Tensor, penalty: Tensor) -> Tensor:
    """Phi(V, lambda_p, mu) of Eq. 17, elementwise (...)."""
    active = multiplier + penalty / 2 * value >= 0
    return torch.where(active, multiplier * value + penalty / 4 * value.square(), -multiplier.square() / penalty)


class Multiplier(nn.Module):
    """lambda_p and mu with the updates of Eq. 27, kept on the device so that no update waits for the host.

    Both are float64: in float32, 1 + nu rounds to 1 and mu would never grow.
    """

    multiplier: Tensor
    penalty: Tensor

    def __init__(self, multiplier: float, penalty: float, growth: float) -> None:
        super().__init__()
        self.growth = growth
        self.register_buffer("multiplier", torch.tensor(multiplier, dtype=torch.float64))
        self.register_buffer("penalty", torch.tensor(penalty, dtype=torch.float64))

    def phi(self, value: Tensor) -> Tensor:
        """Penalty of cost values, (...)."""
        return augmented_lagrangian(value, self.multiplier, self.penalty)

    @torch.no_grad()
    def update(self, value: Tensor) -> None:
        """Eq. 27 with the mean cost value (); mu never decreases and stops at 1 (or where it started, if above)."""
        self.multiplier.copy_((self.multiplier + self.penalty / 2 * value).clamp(min=0))
        self.penalty.copy_(torch.maximum(self.penalty, (self.penalty * (1 + self.growth)).clamp(max=1.0)))
