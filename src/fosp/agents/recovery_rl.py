"""Recovery RL (Thananjeyan et al., 2021), model-based: a task policy that ignores costs, and another one that takes
over where the risk of a violation is too high.

All of it lives on world-model states. Q_risk and a soft actor-critic learn from replayed transitions; the recovery
policy plans in the world model.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from fosp.agents.base import Mode, ModelBasedAgent, Optimiser, Transitions, transitions
from fosp.config import Config
from fosp.models.actor import Actor
from fosp.models.planning import cross_entropy_plan
from fosp.models.risk import Risk, Temperature, TwinQ, risk_target, soft_target
from fosp.models.rssm import repeat
from fosp.models.world_model import Batch, Metrics


class RecoveryRL(ModelBasedAgent):
    """The task policy acts where Q_risk(s, a) <= eps_c, a planner that minimises Q_risk where not."""

    @property
    def plans(self) -> bool:
        return True

    def build(self) -> None:
        super().build()
        b, c, features = self.config.behaviour, self.config.recovery_rl, self.world_model.features
        size = (features, self.actions, b.units, b.layers)
        self.actor = Actor(*size)
        self.q = TwinQ(*size)
        self.risk = Risk(*size, b.reach_initial)
        target = self.actions * (math.log(2) - c.entropy_below_uniform)  # actions lie in [-1, 1]
        self.temperature = Temperature(c.temperature, target)

    def make_optimisers(self) -> dict[str, Optimiser]:
        b, world_model = self.config.behaviour, self.config.world_model
        return {
            "world_model": Optimiser([self.world_model], world_model.learning_rate, world_model.gradient_clip),
            "actor": Optimiser([self.actor], b.actor_learning_rate, b.gradient_clip),
            "critics": Optimiser([self.q], b.critic_learning_rate, b.gradient_clip),
            "risk": Optimiser([self.risk], b.reach_learning_rate, b.gradient_clip),
            "temperature": Optimiser([self.temperature], b.actor_learning_rate, b.gradient_clip),
        }

    def change_settings(self, before: Config) -> None:
        """The temperature carries over, unless it is set anew."""
        temperature = self.config.recovery_rl.temperature
        if temperature != before.recovery_rl.temperature:
            self.temperature.log_alpha.data.fill_(math.log(temperature))

    # ---------------------------------------------------------------- acting

    def policy(self, s: Tensor, mode: Mode, generator: torch.Generator) -> tuple[Tensor, dict[str, Tensor]]:
        """The task policy's action, or in rows where that is too risky the first of a recovery plan."""
        pi = self.actor(s)
        action = pi.mode if mode == "mean" else pi.sample(self.noise(*pi.mode.shape, generator=generator))
        risk = self.risk(s, action)
        recovering = risk > self.config.recovery_rl.threshold
        rows = recovering.nonzero().squeeze(-1)
        if len(rows):
            action = action.index_copy(0, rows, self.recover(s[rows], generator)[:, 0])
        return action, {"violation": risk, "recovering": recovering.float()}

    @torch.no_grad()
    def recover(self, s: Tensor, generator: torch.Generator) -> Tensor:
        """Plans (N, H, A) from states (N, F) along which the mean of Q_risk is low."""
        c, model = self.config.recovery_rl, self.world_model
        start, rows, count = model.rssm.split(s), len(s), c.plan_samples

        def safety(plans: Tensor) -> Tensor:
            actions = plans.flatten(0, 1).transpose(0, 1)  # (H, N * S, A)
            noise = self.noise(*model.rssm.noise_shape(*actions.shape[:2]), generator=generator)
            features, _ = model.imagine(repeat(start, count), lambda _, h: actions[h], noise)
            return -self.risk(features[:-1], actions).mean(0).view(rows, count)

        mean = torch.zeros(rows, c.plan_horizon, self.actions, device=self.device)
        draws = torch.randn((c.plan_iterations, rows, count, *mean.shape[1:]), generator=generator, device=self.device)
        return cross_entropy_plan(safety, mean, torch.ones_like(mean), draws, elites=c.plan_elites, momentum=0.1)

    # -------------------------------------------------------------- learning

    def update(self, batch: Batch) -> Metrics:
        """World model, then Q_risk and soft actor-critic on the batch's transitions."""
        features, _, metrics = self.train_world_model(batch)
        noise = self.noise(2, *features.shape[:2], self.actions)
        with self.arithmetic():
            loss, more = self.behaviour_loss(transitions(features, batch), noise)
        loss.backward()
        for name, optimiser in self.optimisers.items():
            if name != "world_model":
                metrics[f"gradient/{name}"] = optimiser.step()
        rate = self.config.behaviour.slow_critic_rate
        self.q.update_slow(rate)
        self.risk.update_slow(rate)
        return metrics | more

    def behaviour_loss(self, data: Transitions, noise: Tensor) -> tuple[Tensor, Metrics]:
        """Sum of all losses; their parameters are disjoint, so are the gradients. `noise` is uniform, (2, B, T, A)."""
        b, c, alpha = self.config.behaviour, self.config.recovery_rl, self.temperature.alpha
        with torch.no_grad():
            after = self.actor(data.next_features)
            next_action = after.sample(noise[0, :, 1:])
            entropy = -after.log_prob(next_action)
            value = self.q.lower(data.next_features, next_action, slow=True) + alpha * entropy
            target = soft_target(data.reward, data.next_terminal, value, b.gamma)
            violated = (data.cost > 0).float()
            next_risk = self.risk.slow(data.next_features, next_action) * (1 - data.next_terminal.float())
            risk = risk_target(violated, next_risk, c.risk_gamma)
        pi = self.actor(data.features)
        action = pi.sample(noise[1, :, :-1])
        own_entropy = -pi.log_prob(action)
        losses = {
            "q_reward": data.mean(self.q.loss(data.features, data.action, target)),
            "risk": data.mean(self.risk.loss(data.features, data.action, risk)),
            # Through the slow copies, which nothing else trains by gradients.
            "actor": -data.mean(self.q.lower(data.features, action, slow=True) + alpha * own_entropy),
            "temperature": self.temperature.loss(data.mean(own_entropy)),
        }
        metrics = {f"loss/{name}": value.detach() for name, value in losses.items()} | {
            "value/reward": data.mean(value),
            "value/temperature": alpha,
            "actor/entropy": data.mean(own_entropy.detach()),
            "reachability/target_real": data.mean(risk),
        }
        return torch.stack(list(losses.values())).sum(), metrics

    def compile_losses(self) -> None:
        """Compile the losses on the batch's transitions as well."""
        super().compile_losses()
        self.behaviour_loss = torch.compile(self.behaviour_loss, dynamic=False)  # type: ignore[method-assign]
