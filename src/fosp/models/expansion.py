"""Policy expansion (Eqs. 21 and 22): how frozen and new policy compete for an action."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.quasirandom import SobolEngine


def discounted_bound(largest: Tensor, gamma: float, steps: int) -> Tensor:
    """Q* and C* of Eq. 22: sum over t = 0..T of gamma^t times the largest signal seen, ()."""
    return largest * (steps + 1 if gamma == 1 else (1 - gamma ** (steps + 1)) / (1 - gamma))


def expansion_score(q_reward: Tensor, q_cost: Tensor, reward_bound: Tensor, cost_bound: Tensor) -> Tensor:
    """Q~ of Eq. 22, (...). A bound of zero (no reward or no cost in the data) leaves its term out."""
    reward = torch.where(reward_bound > 0, q_reward / reward_bound, torch.zeros_like(q_reward))
    cost = torch.where(cost_bound > 0, q_cost / cost_bound, torch.zeros_like(q_cost))
    return reward - cost


def priced_score(q_reward: Tensor, q_cost: Tensor, reward_bound: Tensor, price: Tensor) -> Tensor:
    """Q~ with what a cost is worth in reward, lambda_p, in place of Q* / C*: (Q_r - lambda_p Q_c) / Q*, (...)."""
    scale = torch.where(reward_bound > 0, reward_bound, torch.ones_like(reward_bound))
    return (q_reward - price * q_cost) / scale


def expansion_probabilities(score: Tensor, inverse_temperature: float) -> Tensor:
    """Eq. 21: softmax over candidates, (..., K) -> (..., K)."""
    return torch.softmax(score * inverse_temperature, -1)


def spread_points(count: int, dimensions: int) -> Tensor:
    """Points that fill the unit cube evenly, the same every time, (count, D): Sobol's sequence (1967) without its first
    two, a corner and the middle."""
    return SobolEngine(dimensions).draw(count + 2)[2:]
