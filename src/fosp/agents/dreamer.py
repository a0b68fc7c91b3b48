"""DreamerV3 (Hafner et al., 2023), which learns in imagination and takes no notice of costs.

Offline its rewards are lowered where an ensemble of latent dynamics disagrees, so that it keeps to what the data show
(FOSP, appendix F; Yu et al., MOPO, 2020). Letters as in `fosp.agents.imagination`.
"""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor

from fosp.agents.base import Mode, Optimiser
from fosp.agents.imagination import Dream, ImaginingAgent
from fosp.models.actor import Actor
from fosp.models.critics import ValueCritic, lambda_return
from fosp.models.ensemble import DynamicsEnsemble
from fosp.models.rssm import Latent
from fosp.models.weights import Scale
from fosp.models.world_model import Batch, Metrics


class Dreamer(ImaginingAgent):
    """Actor and critic learn from imagined rollouts alone."""

    doubts: ClassVar[bool] = True
    """Whether there is an ensemble, which learns and counts offline."""

    def build(self) -> None:
        super().build()
        c, features = self.config.behaviour, self.world_model.features
        self.actor = Actor(features, self.actions, c.units, c.layers)
        self.critic = ValueCritic(features, c.units, c.layers)
        self.scale = Scale("return")
        members = self.config.dreamer.ensemble
        self.ensemble = DynamicsEnsemble(self.config.world_model, members) if self.doubts else None

    def make_optimisers(self) -> dict[str, Optimiser]:
        c, world_model = self.config.behaviour, self.config.world_model
        result = {
            "world_model": Optimiser([self.world_model], world_model.learning_rate, world_model.gradient_clip),
            "actor": Optimiser([self.actor], c.actor_learning_rate, c.gradient_clip),
            "critics": Optimiser(self.critics, c.critic_learning_rate, c.gradient_clip),
        }
        if self.ensemble is not None:
            result["ensemble"] = Optimiser([self.ensemble], world_model.learning_rate, world_model.gradient_clip)
        return result

    @property
    def learner(self) -> Actor:
        return self.actor

    @property
    def critics(self) -> list[ValueCritic]:
        """All critics."""
        return [self.critic]

    def policy(self, s: Tensor, mode: Mode, generator: torch.Generator) -> tuple[Tensor, dict[str, Tensor]]:
        pi = self.actor(s)
        action = pi.mode if mode == "mean" else pi.sample(self.noise(*pi.mode.shape, generator=generator))
        return action, {}

    # -------------------------------------------------------------- learning

    def update(self, batch: Batch) -> Metrics:
        """World model, ensemble, then actor and critic on rollouts imagined from the batch's states."""
        features, states, metrics = self.train_world_model(batch)
        actor_noise, latent_noise = self.imagination_noise(batch)
        with self.arithmetic():
            loss, more = self.behaviour_loss(batch, states, actor_noise, latent_noise)
        loss.backward()
        for name, optimiser in self.optimisers.items():
            if name != "world_model":
                metrics[f"gradient/{name}"] = optimiser.step()
        for critic in self.critics:
            critic.update_slow(self.config.behaviour.slow_critic_rate)
        with torch.no_grad():
            more["value/reward"] = self.critic.value(features).mean()
        return metrics | more

    def behaviour_loss(
        self, batch: Batch, states: Latent, actor_noise: Tensor, latent_noise: Tensor
    ) -> tuple[Tensor, Metrics]:
        """Sum of the losses of ensemble, critics and actor; their parameters are disjoint, so are the gradients."""
        return self.losses_on(states, self.imagine(batch, states, actor_noise, latent_noise))

    def losses_on(self, states: Latent, dream: Dream) -> tuple[Tensor, Metrics]:
        """The same on posterior states (B, T, ...) and on rollouts."""
        losses: Metrics = {}
        if self.ensemble is not None and not self.is_online:
            losses["ensemble"] = self.ensemble.loss(states.h, states.z)
            dream = self.penalised(dream, self.ensemble)
        more, metrics = self.dream_losses(dream)
        losses |= more
        metrics |= {f"loss/{name}": value.detach() for name, value in losses.items()}
        return torch.stack(list(losses.values())).sum(), metrics

    def dream_losses(self, dream: Dream) -> tuple[Metrics, Metrics]:
        """Losses of critics and actor by name, and metrics."""
        returns, value_loss = self.critic_loss(self.critic, dream, dream.reward)
        actor_loss, metrics = self.actor_loss(dream, self.advantage(self.critic, self.scale, dream, returns))
        return {"value_reward": value_loss, "actor": actor_loss}, metrics | {"value/reward_return": returns.mean()}

    @torch.no_grad()
    def penalised(self, dream: Dream, ensemble: DynamicsEnsemble) -> Dream:
        """r - alpha std_i(log p_i(z | h)) of the state in which each imagined step arrives."""
        arrived = self.world_model.rssm.split(dream.features[1:])
        doubt = ensemble.disagreement(arrived.h, arrived.z)
        return dream._replace(reward=dream.reward - self.config.dreamer.uncertainty_penalty * doubt)

    def critic_loss(self, critic: ValueCritic, dream: Dream, signal: Tensor) -> tuple[Tensor, Tensor]:
        """TD(lambda) returns (H, N) of a signal (H, N), and the critic's loss towards them."""
        with torch.no_grad():
            returns = lambda_return(signal, critic.value(dream.features), dream.discount, self.config.behaviour.lambda_)
        return returns, dream.mean(critic.loss(dream.features[:-1], returns))

    @torch.no_grad()
    def advantage(self, critic: ValueCritic, scale: Scale, dream: Dream, returns: Tensor) -> Tensor:
        """(R - V(s)) / max(1, S) with S the moving 5-95 percentile range of returns, (H, N)."""
        scale.see(returns)
        return (returns - critic.value(dream.features[:-1])) / scale.value

    def actor_loss(self, dream: Dream, advantage: Tensor) -> tuple[Tensor, Metrics]:
        """Policy gradient: -advantage log pi(a | s) - eta H[pi(. | s)], with the score function's estimator."""
        pi = self.actor(dream.features[:-1])
        entropy = pi.entropy()
        loss = -dream.mean(advantage * pi.log_prob(dream.action) + self.config.behaviour.entropy * entropy)
        return loss, {
            "actor/entropy": entropy.detach().mean(),
            "actor/advantage": advantage.mean(),
            "actor/advantage_std": advantage.std(),
        }

    def compile_losses(self) -> None:
        """Compile the losses on states and rollouts as well."""
        super().compile_losses()
        self.losses_on = torch.compile(self.losses_on, dynamic=False)  # type: ignore[method-assign]
