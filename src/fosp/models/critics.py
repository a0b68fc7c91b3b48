"""Critics of one signal, reward or cost: in sample (Eqs. 7 to 11), and DreamerV3's on imagined rollouts."""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn

from fosp.models.layers import TwoHotHead, follow


def lambda_return(reward: Tensor, value: Tensor, discount: Tensor, lambda_: float) -> Tensor:
    """TD(lambda) returns R^0..R^{H-1} (Eq. 8).

    Args:
        reward: r^h of leaving step h, (H, ...). value: V(s^0)..V(s^H), (H + 1, ...).
        discount: gamma times the continuation of s^{h+1}, (H, ...).
    """
    result = [value[-1]]
    for h in reversed(range(len(reward))):
        bootstrap = (1 - lambda_) * value[h + 1] + lambda_ * result[-1]
        result.append(reward[h] + discount[h] * bootstrap)
    return torch.stack(result[:0:-1])


def sequence_return(
    reward: Tensor, value: Tensor, next_terminal: Tensor, valid: Tensor, gamma: float, lambda_: float
) -> Tensor:
    """TD(lambda) along recorded sequences, Eq. 8 with what really followed, (B, T - 1).

    Args:
        reward: of each step, (B, T - 1). value: V of every state, (B, T).
        next_terminal: whether the episode terminated with the step, (B, T - 1) bool.
        valid: 0 where the next row begins another episode: there is no return but V itself, (B, T - 1).
    """
    returns, after = [], value[:, -1]
    for t in reversed(range(reward.shape[1])):
        follows = (1 - lambda_) * value[:, t + 1] + lambda_ * after
        step = reward[:, t] + gamma * (1 - next_terminal[:, t].float()) * follows
        after = torch.where(valid[:, t] > 0, step, value[:, t])
        returns.append(after)
    return torch.stack(returns[::-1], 1)


def in_sample_target(reward: Tensor, next_value: Tensor, next_terminal: Tensor, gamma: float) -> Tensor:
    """r_t + gamma V(s_{t+1}) of Eq. 10; a true termination at t+1 stops the bootstrap, a time limit does not. (...)"""
    return reward + gamma * (1 - next_terminal.float()) * next_value


def expectile_weight(difference: Tensor, expectile: float) -> Tensor:
    """|kappa - 1{Q - V < 0}| of Eq. 7, (...): kappa where Q lies above V, 1 - kappa below."""
    return torch.where(difference < 0, 1 - expectile, expectile)


class Critic(nn.Module):
    """V(s), Q(s, a) and Q's slow copy.

    Both are two-hot categorical. V's expectile regression weighs the two-hot cross-entropy by `expectile_weight`: the
    minimiser has mean sum(w Q) / sum(w), so that sum(w (Q - V)) = 0, which is the condition that defines the expectile.
    """

    def __init__(self, features: int, actions: int, units: int, layers: int, expectile: float) -> None:
        super().__init__()
        self.expectile = expectile
        self.value_head = TwoHotHead(features, units, layers)
        self.q_head = TwoHotHead(features + actions, units, layers)
        self.slow_q_head = copy.deepcopy(self.q_head).requires_grad_(False)

    def value(self, features: Tensor) -> Tensor:
        """V(s), (..., F) -> (...)."""
        return self.value_head(features).mean

    def slow_q(self, features: Tensor, action: Tensor) -> Tensor:
        """Q(s, a) of the slow copy, (..., F), (..., A) -> (...). Gradients reach the action, never the copy."""
        return self.slow_q_head(torch.cat([features, action], -1)).mean

    def value_loss(self, features: Tensor, q: Tensor) -> Tensor:
        """Eq. 7 towards the slow Q's values `q` (...), per row."""
        value = self.value_head(features)
        return expectile_weight(q - value.mean.detach(), self.expectile) * value.loss(q)

    def mean_value_loss(self, features: Tensor, q: Tensor) -> Tensor:
        """Plain regression of V to `q` (...), per row: what is left without in-sample optimisation."""
        return self.value_head(features).loss(q)

    def q_loss(self, features: Tensor, action: Tensor, target: Tensor) -> Tensor:
        """Eqs. 9 and 10: regression of Q(s, a) to `target` (...), per row."""
        return self.q_head(torch.cat([features, action], -1)).loss(target)

    def update_slow(self, rate: float) -> None:
        """Move the slow copy towards Q by `rate`."""
        follow(self.slow_q_head, self.q_head, rate)


class ValueCritic(nn.Module):
    """V(s) and its slow copy (DreamerV3, section "Critic learning").

    V regresses to imagined returns, and beside them to the slow copy's own values, which keeps it steady.
    """

    def __init__(self, features: int, units: int, layers: int) -> None:
        super().__init__()
        self.head = TwoHotHead(features, units, layers)
        self.slow_head = copy.deepcopy(self.head).requires_grad_(False)

    def value(self, features: Tensor) -> Tensor:
        """V(s), (..., F) -> (...)."""
        return self.head(features).mean

    def loss(self, features: Tensor, returns: Tensor) -> Tensor:
        """Cross-entropies to `returns` (...) and to the slow copy's values, per row."""
        prediction = self.head(features)
        return prediction.loss(returns) + prediction.loss(self.slow_head(features).mean)

    def update_slow(self, rate: float) -> None:
        """Move the slow copy towards V by `rate`."""
        follow(self.slow_head, self.head, rate)
