"""Multipliers: the augmented Lagrangian's (Eqs. 17 and 27; Wright and Nocedal, Numerical Optimization, chapter 17), and
one under PID control (Stooke, Achiam and Abbeel, "Responsive safety in reinforcement learning by PID Lagrangian
methods", 2020)."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from fosp import parallel


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

    def __init__(self, multiplier: float, penalty: float, growth: float, limit: float = 0.0) -> None:
        """lambda_p and mu at the start, nu, and the largest lambda_p that `update` climbs to (0: none)."""
        super().__init__()
        self.growth, self.limit = growth, limit or math.inf
        self.register_buffer("multiplier", torch.tensor(multiplier, dtype=torch.float64))
        self.register_buffer("penalty", torch.tensor(penalty, dtype=torch.float64))

    def phi(self, value: Tensor) -> Tensor:
        """Penalty of cost values, (...)."""
        return augmented_lagrangian(value, self.multiplier, self.penalty)

    @torch.no_grad()
    def update(self, value: Tensor) -> None:
        """Eq. 27 with the mean cost value (); mu never decreases and stops at 1 (or where it started, if above)."""
        value = parallel.average(value)
        self.multiplier.copy_((self.multiplier + self.penalty / 2 * value).clamp(0, self.limit))
        self.penalty.copy_(torch.maximum(self.penalty, (self.penalty * (1 + self.growth)).clamp(max=1.0)))

    @torch.no_grad()
    def ascend(self, excess: float, rate: float) -> None:
        """Dual ascent on a measured constraint: lambda_p moves by `rate` times the excess of costs over their limit,
        and needs no limit of its own, since it falls again."""
        self.multiplier.add_(rate * excess).clamp_(min=0)


def discounted_budget(limit: float, gamma: float, steps: int) -> float:
    """The discounted sum of costs over an endless horizon that spends `limit` evenly on every `steps` steps, ()."""
    return limit / steps / (1 - gamma)


class PIDMultiplier(nn.Module):
    """A multiplier lambda >= 0 that answers to the excess of costs over their budget, to its sum and to its growth.

    The sum brings the cost to the budget; the other two keep it from swinging around it. Kept on the device.
    """

    multiplier: Tensor
    integral: Tensor
    smooth: Tensor
    last: Tensor

    def __init__(
        self, proportional: float, integral: float, derivative: float, *, start: float = 0.0, smoothing: float = 0.9
    ) -> None:
        """Gains of the three terms; `start` is the sum's contribution at first; `smoothing` is the share of the old
        value in the moving averages that the proportional and the derivative term look at."""
        super().__init__()
        self.gains, self.smoothing = (proportional, integral, derivative), smoothing
        self.register_buffer("multiplier", torch.tensor(start))
        self.register_buffer("integral", torch.tensor(start))  # already times its gain
        self.register_buffer("smooth", torch.tensor(0.0))  # moving average of the excess
        self.register_buffer("last", torch.tensor(float("nan")))  # moving average of the cost

    @torch.no_grad()
    def update(self, cost: Tensor, budget: float) -> None:
        """Take in a measurement of the cost, ()."""
        proportional, integral, derivative = self.gains
        cost = parallel.average(cost)
        excess = cost - budget
        self.integral.add_(integral * excess).clamp_(min=0)
        self.smooth.lerp_(excess, 1 - self.smoothing)
        before = torch.where(self.last.isnan(), cost, self.last)
        now = torch.lerp(cost, before, self.smoothing)
        growth = (now - before).clamp(min=0)
        self.last.copy_(now)
        self.multiplier.copy_((proportional * self.smooth + self.integral + derivative * growth).clamp(min=0))
