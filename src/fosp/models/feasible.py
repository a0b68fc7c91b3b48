"""Feasible value of a discounted reach-avoid backup (Fisac et al., 2019): the penalty of ablation (iv)."""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn

from fosp.models.layers import TwoHotHead, follow


def reach_avoid_target(cost: Tensor, next_value: Tensor, gamma: float) -> Tensor:
    """(1 - gamma) c + gamma max(c, V(s')), (...): the largest cost ahead, discounted."""
    return (1 - gamma) * cost + gamma * torch.maximum(cost, next_value)


class FeasibleValue(nn.Module):
    """Q_f(s, a): largest discounted cost ahead of a policy that takes a in s; (..., F), (..., A) -> (...)."""

    def __init__(self, features: int, actions: int, units: int, layers: int) -> None:
        super().__init__()
        self.head = TwoHotHead(features + actions, units, layers)
        self.slow_head = copy.deepcopy(self.head).requires_grad_(False)

    def forward(self, features: Tensor, action: Tensor) -> Tensor:
        """Value of the slow copy; gradients reach the action only."""
        return self.slow_head(torch.cat([features, action], -1)).mean

    def loss(self, features: Tensor, action: Tensor, cost: Tensor, next_value: Tensor, gamma: float) -> Tensor:
        """Regression to `reach_avoid_target`, per row, (...)."""
        target = reach_avoid_target(cost, next_value, gamma)
        return self.head(torch.cat([features, action], -1)).loss(target)

    def update_slow(self, rate: float) -> None:
        """Move the slow copy by `rate`."""
        follow(self.slow_head, self.head, rate)
