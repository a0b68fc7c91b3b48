"""Reachability estimation function (Eqs. 5 and 30): the probability p(s) of ever violating from s."""

from __future__ import annotations

import copy
import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from fosp.models.layers import follow, mlp


def reachability_target(violation: Tensor, next_probability: Tensor, gamma: float) -> Tensor:
    """max(1{violation at s_t}, gamma_u p(s_{t+1})), (...); `violation` is bool."""
    return torch.maximum(violation.float(), gamma * next_probability)


class Reachability(nn.Module):
    """Sigmoid head p(s) with a slow copy for its targets.

    `initial` sets the untrained output: the backup's max lets an early over-estimate decay only by gamma_u a bootstrap.
    """

    def __init__(self, features: int, units: int, layers: int, initial: float) -> None:
        super().__init__()
        self.head = mlp(features, units, layers, 1, output_scale=0)
        nn.init.constant_(self.head.get_parameter(f"{layers}.bias"), math.log(initial / (1 - initial)))
        self.slow_head = copy.deepcopy(self.head).requires_grad_(False)

    def probability(self, features: Tensor) -> Tensor:
        """p(s), (..., F) -> (...)."""
        return torch.sigmoid(self.head(features).float()).squeeze(-1)

    def slow_probability(self, features: Tensor) -> Tensor:
        """p(s) of the slow copy, (..., F) -> (...)."""
        return torch.sigmoid(self.slow_head(features).float()).squeeze(-1)

    def loss(self, features: Tensor, target: Tensor) -> Tensor:
        """Binary cross-entropy to `target` in [0, 1], per row, (...)."""
        logits = self.head(features).float().squeeze(-1)
        return F.binary_cross_entropy_with_logits(logits, target.detach(), reduction="none")

    def update_slow(self, rate: float) -> None:
        """Move the slow copy by `rate`."""
        follow(self.slow_head, self.head, rate)
