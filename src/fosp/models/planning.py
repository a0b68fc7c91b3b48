"""Planning by the cross-entropy method, and how a constraint ranks plans (SafeDreamer, Huang et al., 2024)."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

_MIN_STD = 0.05  # below it nothing new would be tried


def cross_entropy_plan(
    score: Callable[[Tensor], Tensor],
    mean: Tensor,
    std: Tensor,
    noise: Tensor,
    *,
    elites: int,
    momentum: float,
    proposals: Tensor | None = None,
) -> Tensor:
    """Refine plans for N states at once: sample around the mean, rank, and move towards the best.

    Args:
        score: plans (N, S, H, A) in [-1, 1] -> (N, S), higher is better.
        mean: (N, H, A). std: (N, H, A).
        noise: standard normal, (I, N, S, H, A), for I iterations of S samples.
        elites: how many of the best samples decide the next mean and standard deviation.
        momentum: share of the old mean and deviation that stays.
        proposals: further plans that are ranked in every iteration, (N, P, H, A).

    Returns:
        The last mean, (N, H, A).
    """
    for draws in noise:
        plans = (mean.unsqueeze(1) + std.unsqueeze(1) * draws).clamp(-1, 1)
        if proposals is not None:
            plans = torch.cat([plans, proposals], 1)
        best = score(plans).topk(elites, 1).indices  # (N, elites)
        chosen = plans.gather(1, best[..., None, None].expand(-1, -1, *plans.shape[2:]))
        mean = torch.lerp(chosen.mean(1), mean, momentum)
        std = torch.lerp(chosen.std(1, correction=0), std, momentum).clamp(min=_MIN_STD)
    return mean


def constrained_score(objective: Tensor, cost: Tensor, budget: float, elites: int) -> Tensor:
    """Ranks plans under a constraint, (N, S) -> (N, S), higher is better.

    Where at least `elites` of a row's plans stay within the budget, those come first, the higher their objective the
    better. Where fewer do, the constraint is what matters: the lower the cost the better.

    Args:
        objective: of each plan, (N, S). cost: of each plan, (N, S). budget: largest cost that is allowed.
        elites: how many plans will be chosen.
    """
    safe = cost <= budget
    enough = safe.sum(1, keepdim=True) >= elites
    within = torch.where(safe, objective, objective.amin(1, keepdim=True) - 1 - (cost - budget).clamp(min=0))
    return torch.where(enough, within, -cost)
