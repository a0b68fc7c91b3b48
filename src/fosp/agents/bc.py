"""Behaviour cloning on the world model's states: the yardstick for every offline method."""

from __future__ import annotations

import torch
from torch import Tensor

from fosp.agents.base import Mode, ModelBasedAgent, Optimiser, transitions
from fosp.models.actor import Actor, Average
from fosp.models.world_model import Batch, Metrics


class BehaviourCloning(ModelBasedAgent):
    """Maximises the log-likelihood of the data's actions, all weighted alike."""

    def build(self) -> None:
        super().build()
        behaviour = self.config.behaviour
        self.actor = Actor(self.world_model.features, self.actions, behaviour.units, behaviour.layers)
        self.average = Average(self.actor, behaviour.actor_average) if behaviour.actor_average else None

    def make_optimisers(self) -> dict[str, Optimiser]:
        world_model, behaviour = self.config.world_model, self.config.behaviour
        return {
            "world_model": Optimiser([self.world_model], world_model.learning_rate, world_model.gradient_clip),
            "actor": Optimiser([self.actor], behaviour.actor_learning_rate, behaviour.gradient_clip),
        }

    def policy(self, features: Tensor, mode: Mode, generator: torch.Generator) -> tuple[Tensor, dict[str, Tensor]]:
        pi = (self.average or self.actor)(features)
        return (pi.mode if mode == "mean" else pi.sample(self.noise(*pi.mode.shape, generator=generator))), {}

    def update(self, batch: Batch) -> Metrics:
        features, _, metrics = self.train_world_model(batch)
        data = transitions(features, batch)
        with self.arithmetic():
            pi = self.actor(data.features)
        loss = -data.mean(pi.log_prob(data.action))
        loss.backward()
        metrics["gradient/actor"] = self.optimisers["actor"].step()
        if self.average is not None:
            self.average.follow(self.actor)
        metrics["loss/actor"] = loss.detach()
        metrics["actor/entropy"] = data.mean(pi.entropy().detach())
        return metrics
