"""Actions that no state decides: what every other agent has to be better than."""

from __future__ import annotations

import torch
from torch import Tensor

from fosp.agents.base import Mode, ModelBasedAgent, Optimiser
from fosp.models.world_model import Batch, Metrics


class Random(ModelBasedAgent):
    """Draws every action uniformly, and learns a world model of what comes of it."""

    @property
    def exportable(self) -> bool:
        return False

    def make_optimisers(self) -> dict[str, Optimiser]:
        c = self.config.world_model
        return {"world_model": Optimiser([self.world_model], c.learning_rate, c.gradient_clip)}

    def policy(self, features: Tensor, mode: Mode, generator: torch.Generator) -> tuple[Tensor, dict[str, Tensor]]:
        """Uniform in [-1, 1] in both modes: the mean would be to keep still, and so another policy."""
        return 2 * self.noise(len(features), self.actions, generator=generator) - 1, {}

    def update(self, batch: Batch) -> Metrics:
        return self.update_model(batch)
