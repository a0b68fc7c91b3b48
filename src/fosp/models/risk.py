"""The probability of a violation to come, and soft values: what Recovery RL learns on world-model states."""

from __future__ import annotations

import copy
import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from fosp.models.layers import TwoHotHead, follow, mlp


def risk_target(violated: Tensor, next_risk: Tensor, gamma: float) -> Tensor:
    """c + (1 - c) gamma_c Q_risk(s', a') (Thananjeyan et al., 2021, Eq. 2), (...).

    `violated` is 1 where the step had a cost; what would follow does not count then.
    """
    return violated + (1 - violated) * gamma * next_risk


def soft_target(reward: Tensor, next_terminal: Tensor, next_value: Tensor, gamma: float) -> Tensor:
    """r + gamma V(s') of soft actor-critic, (...); V is min Q - alpha log pi, and nothing follows a termination."""
    return reward + gamma * (1 - next_terminal.float()) * next_value


class Risk(nn.Module):
    """Q_risk(s, a) in [0, 1] and its slow copy."""

    def __init__(self, features: int, actions: int, units: int, layers: int, initial: float) -> None:
        super().__init__()
        self.head = mlp(features + actions, units, layers, 1, output_scale=0)
        nn.init.constant_(self.head[-1].bias, math.log(initial / (1 - initial)))  # type: ignore[arg-type]
        self.slow_head = copy.deepcopy(self.head).requires_grad_(False)

    def forward(self, features: Tensor, action: Tensor) -> Tensor:
        """Q_risk, (..., F), (..., A) -> (...)."""
        return torch.sigmoid(self.head(torch.cat([features, action], -1)).float().squeeze(-1))

    def slow(self, features: Tensor, action: Tensor) -> Tensor:
        """The slow copy's, (...)."""
        return torch.sigmoid(self.slow_head(torch.cat([features, action], -1)).float().squeeze(-1))

    def loss(self, features: Tensor, action: Tensor, target: Tensor) -> Tensor:
        """Squared error to `target` (...), per row."""
        return F.mse_loss(self(features, action), target, reduction="none")

    def update_slow(self, rate: float) -> None:
        """Move the slow copy towards Q_risk by `rate`."""
        follow(self.slow_head, self.head, rate)


class TwinQ(nn.Module):
    """Two action values, of which the lower counts, and their slow copies (Fujimoto et al., 2018)."""

    def __init__(self, features: int, actions: int, units: int, layers: int) -> None:
        super().__init__()
        self.heads = nn.ModuleList(TwoHotHead(features + actions, units, layers) for _ in range(2))
        self.slow_heads = copy.deepcopy(self.heads).requires_grad_(False)

    def lower(self, features: Tensor, action: Tensor, *, slow: bool = False) -> Tensor:
        """min(Q_1, Q_2), (..., F), (..., A) -> (...)."""
        x = torch.cat([features, action], -1)
        return torch.stack([head(x).mean for head in (self.slow_heads if slow else self.heads)]).amin(0)

    def loss(self, features: Tensor, action: Tensor, target: Tensor) -> Tensor:
        """Both regressions to `target` (...), per row."""
        x = torch.cat([features, action], -1)
        return torch.stack([head(x).loss(target) for head in self.heads]).sum(0)

    def update_slow(self, rate: float) -> None:
        """Move the slow copies towards the values by `rate`."""
        follow(self.slow_heads, self.heads, rate)


class Temperature(nn.Module):
    """alpha of soft actor-critic, raised while the policy's entropy is below its target (Haarnoja et al., 2018)."""

    def __init__(self, start: float, target_entropy: float) -> None:
        super().__init__()
        self.target_entropy = target_entropy
        self.log_alpha = nn.Parameter(torch.tensor(math.log(start)))

    @property
    def alpha(self) -> Tensor:
        """The temperature, (), without gradients."""
        return self.log_alpha.detach().exp()

    def loss(self, entropy: Tensor) -> Tensor:
        """log alpha (H - H_target), (): its gradient moves alpha against the entropy's excess."""
        return self.log_alpha * (entropy.detach() - self.target_entropy)
