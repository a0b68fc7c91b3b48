"""The step of constrained policy optimisation (Achiam, Held, Tamar and Abbeel, "Constrained policy optimization", 2017,
section 6.1 and appendix 10.2) for one cost."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

TINY = 1e-8


class Step(NamedTuple):
    """A step in parameters, and how it was found."""

    direction: Tensor
    """The full step, (P,)."""
    case: str
    """unconstrained: the limit plays no part; constrained: both limits can be met; recovery: the cost limit is out of
    reach within the trust region, so that the step only lowers the cost."""
    price: float
    """nu, multiplier of the cost limit; 0 when unconstrained, infinite in recovery."""


def constrained_step(
    gain: Tensor, cost: Tensor, excess: float, radius: float, solve: Callable[[Tensor], Tensor]
) -> Step:
    """Maximise gain . x subject to excess + cost . x <= 0 and x . H x / 2 <= radius, or fall back to less cost.

    Args:
        gain: gradient of the reward objective, (P,).
        cost: gradient of the cost objective, (P,).
        excess: cost above its limit, in the units of the cost objective; negative where there is room.
        radius: delta, of the trust region in nats of divergence.
        solve: v -> H^-1 v for the divergence's Hessian H, (P,) -> (P,).
    """
    x_gain = solve(gain)
    q = float(gain @ x_gain)
    straight = Step(math.sqrt(2 * radius / max(q, TINY)) * x_gain, "unconstrained", 0.0)
    if float(cost @ cost) <= TINY and excess <= 0:
        return straight
    x_cost = solve(cost)
    r, s = float(gain @ x_cost), max(float(cost @ x_cost), TINY)
    reach = 2 * radius - excess**2 / s  # negative: the limit's plane does not cut the trust region
    if reach < 0:
        if excess < 0:
            return straight
        return Step(-math.sqrt(2 * radius / s) * x_cost, "recovery", math.inf)
    lambda_ = _best_lambda(q, r, s, excess, radius, reach)
    nu = max(0.0, (lambda_ * excess + r) / s)
    return Step((x_gain - nu * x_cost) / max(lambda_, TINY), "constrained", nu)


def _best_lambda(q: float, r: float, s: float, excess: float, radius: float, reach: float) -> float:
    """The trust region's multiplier: the better of the dual's optima with and without an active cost limit, each on
    the half-line where its assumption holds (nu = (lambda excess + r) / s positive, or not)."""
    active = math.sqrt(max(q - r**2 / s, 0.0) / max(reach, TINY))
    idle = math.sqrt(q / (2 * radius))
    edge = -r / excess if excess else math.inf
    if excess > 0:  # active above the edge
        active, idle = max(active, edge, 0.0), min(idle, max(edge, 0.0))
    elif excess < 0:  # active below it
        active, idle = min(active, max(edge, 0.0)), max(idle, edge, 0.0)
    elif r > 0:
        return active
    else:
        return idle

    def dual(lambda_: float) -> float:
        lambda_ = max(lambda_, TINY)
        nu = max(0.0, (lambda_ * excess + r) / s)
        quadratic = q - 2 * nu * r + nu**2 * s
        return quadratic / (2 * lambda_) + lambda_ * radius - nu * excess

    return min((active, idle), key=dual)


def generalised_advantages(
    signal: Tensor, value: Tensor, next_value: Tensor, last: Tensor, gamma: float, lambda_: float
) -> Tensor:
    """Schulman et al., "High-dimensional continuous control using generalized advantage estimation", 2016, Eq. 16.

    Args:
        signal: reward or cost of each step, (n,), episodes one after another.
        value: estimate before the step, (n,). next_value: after it, 0 where the episode terminated, (n,).
        last: whether the step is its episode's last, (n,) bool.

    Returns:
        Advantages, (n,).
    """
    error = signal + gamma * next_value - value
    carry = gamma * lambda_ * (~last).float()
    result, running = torch.empty_like(error), error.new_zeros(())
    for t in range(len(error) - 1, -1, -1):
        running = error[t] + carry[t] * running
        result[t] = running
    return result
