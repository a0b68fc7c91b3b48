"""What agents that learn in imagination share: rollouts of the world model under the actor in training (Eq. 6)."""

from __future__ import annotations

from abc import abstractmethod
from typing import NamedTuple

import torch
from torch import Tensor

from fosp.agents.base import ModelBasedAgent
from fosp.models.actor import Actor
from fosp.models.rssm import Latent
from fosp.models.world_model import Batch


class Dream(NamedTuple):
    """Imagined rollouts (Eq. 6), all without gradients. H steps, N rows, F features, A action size."""

    features: Tensor
    """s^0..s^H, (H + 1, N, F)."""
    action: Tensor
    """a^0..a^{H-1}, (H, N, A)."""
    reward: Tensor
    """r^h of leaving s^h, (H, N)."""
    cost: Tensor
    """c^h of leaving s^h, (H, N)."""
    discount: Tensor
    """gamma times the continuation of s^{h+1}, (H, N)."""
    weight: Tensor
    """Product of the discounts before s^h, 0 for starts that are terminal, (H, N)."""
    violation: Tensor
    """Whether arriving in s^h had a cost (real for h = 0, predicted after), (H, N)."""
    continuation: Tensor
    """Probability that the episode goes on in s^{h+1}, (H, N)."""

    def mean(self, x: Tensor) -> Tensor:
        """Weighted mean of (H, N), ()."""
        return (x * self.weight).mean()


class ImaginingAgent(ModelBasedAgent):
    """An agent whose actor is tried out in its world model."""

    online: Tensor
    is_online: bool
    """The same, known without asking the device."""

    def build(self) -> None:
        super().build()
        self.register_buffer("online", torch.tensor(False))
        self.is_online = False

    def start_online(self) -> None:
        """Offline training has ended."""
        self.is_online = True
        self.online.fill_(True)

    @property
    @abstractmethod
    def learner(self) -> Actor:
        """The actor that is being trained."""

    @torch.no_grad()
    def imagine(self, batch: Batch, states: Latent, actor_noise: Tensor, latent_noise: Tensor) -> Dream:
        """Roll the prior forward from posterior states of the batch with the learner (Eq. 6).

        Args:
            batch: sequences (B, T, ...). states: their posterior states, (B, T, ...).
            actor_noise: uniform, (H, N, A). latent_noise: uniform, (H, N, S).
        """
        model = self.world_model
        start = Latent(self.starts(states.h), self.starts(states.z)).flatten()
        features, action = model.imagine(start, lambda s, h: self.learner.sample(s, actor_noise[h]), latent_noise)
        alive = 1 - self.starts(batch["is_terminal"]).flatten().float()
        violated = self.starts(batch["cost"]).flatten() > 0
        return self.foretell(features, action, alive, violated)

    def foretell(self, features: Tensor, action: Tensor, alive: Tensor, violated: Tensor) -> Dream:
        """What the world model's heads say of a rollout: features (H + 1, N, F), action (H, N, A), and of its start
        whether it is not terminal and whether it had a cost, each (N,)."""
        model, c = self.world_model, self.config.behaviour
        continuation = model.continuation(features[1:])
        discount = c.gamma * continuation
        cost = model.cost(features[1:])
        return Dream(
            features=features,
            action=action,
            reward=model.reward(features[1:]),
            cost=cost,
            discount=discount,
            weight=torch.cat([alive.unsqueeze(0), discount[:-1]]).cumprod(0),
            violation=torch.cat([violated.unsqueeze(0), cost[:-1] > c.reach_threshold]),
            continuation=continuation,
        )

    def imagination_noise(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """The random numbers of one call of `imagine`: `actor_noise` and `latent_noise`."""
        actor_noise = self.noise(self.config.behaviour.horizon, self.starts(batch["reward"]).numel(), self.actions)
        return actor_noise, self.noise(*self.world_model.rssm.noise_shape(*actor_noise.shape[:2]))

    def compile_losses(self) -> None:
        """Compile the parts of world model and imagination as well."""
        super().compile_losses()
        self.foretell = torch.compile(self.foretell, dynamic=False)  # type: ignore[method-assign]
        for module in self.modules():
            if isinstance(module, Actor):
                module.sample = torch.compile(module.sample, dynamic=False)  # type: ignore[method-assign]

    def starts(self, x: Tensor) -> Tensor:
        """The steps of a batch (B, T, ...) from which rollouts start: the last of every `start_every`."""
        every = self.config.behaviour.start_every
        return x[:, every - 1 :: every]
