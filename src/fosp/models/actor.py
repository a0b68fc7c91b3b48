"""The policy network."""

from __future__ import annotations

import copy

from torch import Tensor, nn

from fosp.models.distributions import TruncatedNormal
from fosp.models.layers import follow, mlp

_MIN_SCALE, _MAX_SCALE = 0.1, 1.0


class Actor(nn.Module):
    """pi(a | s): a normal truncated to [-1, 1], location and scale from the state; (..., F) -> (..., A)."""

    def __init__(self, features: int, actions: int, units: int, layers: int) -> None:
        super().__init__()
        self.net = mlp(features, units, layers, 2 * actions, output_scale=0.01)

    def forward(self, features: Tensor) -> TruncatedNormal:
        loc, scale = self.net(features).float().chunk(2, -1)
        return TruncatedNormal(loc.tanh(), _MIN_SCALE + (_MAX_SCALE - _MIN_SCALE) * (scale + 1).sigmoid())

    def sample(self, features: Tensor, noise: Tensor) -> Tensor:
        """An action for each state, (..., F) -> (..., A), from uniform `noise` (..., A)."""
        return self(features).sample(noise)


class Average(nn.Module):
    """A running average of an actor's parameters, which acts in its place."""

    def __init__(self, actor: Actor, rate: float) -> None:
        """`rate`: share of the actor that an update moves into the average."""
        super().__init__()
        self.rate = rate
        self.actor = copy.deepcopy(actor).requires_grad_(False)

    def forward(self, features: Tensor) -> TruncatedNormal:
        return self.actor(features)

    def follow(self, actor: Actor) -> None:
        """Move towards `actor` by the rate."""
        follow(self.actor, actor, self.rate)
