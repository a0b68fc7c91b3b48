"""FOSP (ICLR 2025), Algorithm 1: in-sample critics, reachability and an augmented Lagrangian in a world model, offline
and in fine-tuning. How it acts, and how its two actors compete: `fosp.agents.expansion`.

Letters: B batch, T time, H imagined steps, N rows, F features, A action size. s are features of world-model states,
real (posterior) as `data.features`, imagined (prior) as `dream.features`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from fosp.agents.base import Optimiser, Transitions, transitions
from fosp.agents.expansion import ExpandingAgent
from fosp.agents.imagination import Dream
from fosp.config import Config
from fosp.models.critics import Critic, in_sample_target, lambda_return, sequence_return
from fosp.models.feasible import FeasibleValue
from fosp.models.reachability import reachability_target
from fosp.models.rssm import Latent
from fosp.models.weights import Scale, offline_weight, online_weight
from fosp.models.world_model import Batch, Metrics


class FOSP(ExpandingAgent):
    """Fine-tuning Offline Safe Policy through world models."""

    def build(self) -> None:
        super().build()
        c = self.config.behaviour
        size = (self.world_model.features, self.actions, c.units, c.layers)
        self.feasible_value = None if c.augmented_lagrangian else FeasibleValue(*size)
        self.reward_scale, self.cost_scale = Scale(c.advantage_scale), Scale(c.advantage_scale)

    def make_optimisers(self) -> dict[str, Optimiser]:
        c, world_model = self.config.behaviour, self.config.world_model
        critics = [self.reward_critic, self.cost_critic, *([self.feasible_value] if self.feasible_value else [])]
        return {
            "world_model": Optimiser([self.world_model], world_model.learning_rate, world_model.gradient_clip),
            "actor": Optimiser([self.learner], c.actor_learning_rate, c.gradient_clip),
            "critics": Optimiser(critics, c.critic_learning_rate, c.gradient_clip),
            "reachability": Optimiser([self.reachability], c.reach_learning_rate, c.gradient_clip),
        }

    def change_settings(self, before: Config) -> None:
        """lambda_p, mu and the price of the choice carry over, unless they are set anew."""
        ours, theirs = self.config.behaviour, before.behaviour
        if ours.multiplier != theirs.multiplier:
            self.multiplier.multiplier.fill_(ours.multiplier)
        if ours.penalty != theirs.penalty:
            self.multiplier.penalty.fill_(ours.penalty)
        if ours.price != theirs.price:
            self.price.fill_(ours.price)

    @property
    def limited(self) -> bool:
        """Whether the multiplier answers to the costs of the robot's own episodes, in place of V_c."""
        return self.is_online and self.config.behaviour.cost_limit > 0

    def see_costs(self, costs: Sequence[float]) -> None:
        """Move lambda_p, and the choice's own price, by how far these episodes are above or below the limit, if there
        is one."""
        if self.limited:
            c = self.config.behaviour
            excess = sum(min(cost - c.cost_limit, c.excess_limit or math.inf) for cost in costs)
            excess /= self.cost_unit.value.item()
            self.multiplier.ascend(excess, c.cost_limit_rate)
            if c.expansion_price == "own":
                self.price.add_(c.price_rate * excess).clamp_(min=0)

    @property
    def imagines_actions(self) -> bool:
        """Whether the actor learns from what it does in imagination (Eq. 23), not from recorded actions (Eq. 19)."""
        c = self.config.behaviour
        return self.is_online and c.online_actions == "imagined" and c.advantage == "critic"

    # -------------------------------------------------------------- learning

    def update(self, batch: Batch) -> Metrics:
        """One pass of Algorithm 1's training part."""
        features, states, metrics = self.train_world_model(batch)
        actor_noise, latent_noise = self.imagination_noise(batch)
        penalty_noise = self.noise(*features.shape[:2], self.actions)
        with self.arithmetic():
            loss, more = self.behaviour_loss(batch, features, states, actor_noise, latent_noise, penalty_noise)
        loss.backward()
        for name in ("actor", "critics", "reachability"):
            metrics[f"gradient/{name}"] = self.optimisers[name].step()
        if self.average is not None:
            self.average.follow(self.learner)
        rate = self.config.behaviour.slow_critic_rate
        for slow in (self.reward_critic, self.cost_critic, self.reachability, self.feasible_value):
            if slow is not None:
                slow.update_slow(rate)
        if not self.limited:
            self.multiplier.update(more["value/cost"] / self.cost_unit.value)
        metrics["multiplier/lambda"] = self.multiplier.multiplier.clone()
        metrics["multiplier/cost_unit"] = self.cost_unit.value.clone()
        metrics["multiplier/mu"] = self.multiplier.penalty.clone()
        if self.config.behaviour.expansion_price == "own":
            metrics["multiplier/price"] = self.price.clone()
        return metrics | more

    def behaviour_loss(
        self,
        batch: Batch,
        features: Tensor,
        states: Latent,
        actor_noise: Tensor,
        latent_noise: Tensor,
        penalty_noise: Tensor,
    ) -> tuple[Tensor, Metrics]:
        """Sum of the losses of critics, actor and reachability; their parameters are disjoint, so are the gradients."""
        dream = self.imagine(batch, states, actor_noise, latent_noise)
        return self.losses_on(transitions(features, batch), dream, features, actor_noise, penalty_noise)

    def losses_on(
        self, data: Transitions, dream: Dream, features: Tensor, actor_noise: Tensor, penalty_noise: Tensor
    ) -> tuple[Tensor, Metrics]:
        """The same on real steps and on rollouts."""
        losses: Metrics = {}
        with torch.no_grad():
            value_cost = self.cost_critic.value(features)
            metrics = {"value/reward": self.reward_critic.value(features).mean(), "value/cost": value_cost.mean()}
            if self.config.behaviour.penalty_scale == "value":
                self.cost_unit.see(value_cost)
        for name, critic, real, imagined in (
            ("reward", self.reward_critic, data.reward, dream.reward),
            ("cost", self.cost_critic, data.cost, dream.cost),
        ):
            losses[f"value_{name}"], losses[f"q_{name}"], returns = self.critic_loss(
                critic, data, dream, real, imagined, penalty_noise
            )
            metrics[f"value/{name}_return"] = returns.mean()
            if self.config.behaviour.advantage_scale == "return":
                (self.reward_scale if name == "reward" else self.cost_scale).see(returns)
        if self.imagines_actions:
            losses["actor"], more = self.online_actor_loss(dream, actor_noise)
        else:
            losses["actor"], more = self.data_actor_loss(data, penalty_noise)
        metrics |= more
        losses["reachability"], more = self.reachability_loss(data, dream)
        metrics |= more
        if self.feasible_value is not None:
            losses["feasible_value"] = self.feasible_value_loss(self.feasible_value, data, penalty_noise)
        metrics |= {f"loss/{name}": value.detach() for name, value in losses.items()}
        return torch.stack(list(losses.values())).sum(), metrics

    def critic_loss(
        self, critic: Critic, data: Transitions, dream: Dream, real: Tensor, imagined: Tensor, noise: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Eqs. 7 to 11 for one signal (reward or cost): losses of V and of Q, and the imagined returns (H, N)."""
        c = self.config.behaviour
        with torch.no_grad():
            returns = lambda_return(imagined, critic.value(dream.features), dream.discount, c.lambda_)  # Eq. 8
            action = data.action if c.insample else self.learner(data.features).sample(noise[:, :-1])
            slow_q = critic.slow_q(data.features, action)
            target = in_sample_target(real, critic.value(data.next_features), data.next_terminal, c.gamma)
        q_loss = dream.mean(critic.q_loss(dream.features[:-1], dream.action, returns))  # Eq. 9
        if not c.insample:
            return data.mean(critic.mean_value_loss(data.features, slow_q)), q_loss, returns
        value_loss = data.mean(critic.value_loss(data.features, slow_q))  # Eq. 7
        q_loss = q_loss + data.mean(critic.q_loss(data.features, data.action, target))  # Eqs. 10 and 11
        return value_loss, q_loss, returns

    def data_actor_loss(self, data: Transitions, noise: Tensor) -> tuple[Tensor, Metrics]:
        """Eqs. 19 and 20 on the data's actions: offline, and online where advantages are those of recorded returns."""
        c = self.config.behaviour
        s = data.features
        with torch.no_grad():
            u = self.feasibility(s)
            advantage_reward, advantage_cost = self.data_advantages(data)
            advantage_reward = self.priced(advantage_reward, advantage_cost)
            if c.reachability:
                w = offline_weight(u, advantage_reward, advantage_cost, c.beta_reward, c.beta_cost, c.weight_clip)
            else:
                half = torch.full_like(u, 0.5)
                w = 2 * offline_weight(
                    half, advantage_reward, advantage_cost, c.beta_reward, c.beta_cost, c.weight_clip
                )
        pi = self.learner(s)
        entropy = pi.entropy()
        penalty = self.penalty(s, pi.sample(noise[:, :-1]))
        loss = -data.mean(w * pi.log_prob(data.action) + c.entropy * entropy - penalty * u)
        metrics = self.weight_metrics(w, u)
        metrics["actor/entropy"] = data.mean(entropy.detach())
        metrics["actor/penalty"] = data.mean((penalty * u).detach())
        metrics["actor/log_probability"] = data.mean(pi.log_prob(data.action).detach())
        return loss, metrics

    def online_actor_loss(self, dream: Dream, noise: Tensor) -> tuple[Tensor, Metrics]:
        """Eqs. 20 and 23 on imagined rollouts of the learner."""
        c = self.config.behaviour
        s = dream.features[:-1]
        with torch.no_grad():
            u = self.feasibility(s)
            advantage_reward, advantage_cost = self.advantages(s, dream.action, dream.weight > 0)
            advantage_reward = self.priced(advantage_reward, advantage_cost)
            if c.reachability:
                w = online_weight(u, advantage_reward, advantage_cost, c.beta_reward, c.beta_cost)
            else:
                w = c.beta_reward * advantage_reward - c.beta_cost * advantage_cost
        pi = self.learner(s)
        entropy = pi.entropy()
        penalty = self.penalty(s, pi.sample(noise))
        loss = -dream.mean(w * pi.log_prob(dream.action) + c.entropy * entropy - penalty * u)
        metrics = self.weight_metrics(w, u)
        metrics["actor/entropy"] = entropy.detach().mean()
        metrics["actor/penalty"] = (penalty * u).detach().mean()
        return loss, metrics

    def data_advantages(self, data: Transitions) -> tuple[Tensor, Tensor]:
        """Advantages of the data's actions for reward and cost on a common scale, each (B, T - 1)."""
        c, s = self.config.behaviour, data.features
        if c.advantage == "critic":
            return self.advantages(s, data.action, data.valid > 0)
        states = torch.cat([s[:, :1], data.next_features], 1)
        raw = []
        for critic, signal in ((self.reward_critic, data.reward), (self.cost_critic, data.cost)):
            value = critic.value(states)
            returns = sequence_return(signal, value, data.next_terminal, data.valid, c.gamma, c.lambda_)
            raw.append(returns - value[:, :-1])
        return self.scaled(raw[0], raw[1], data.valid > 0)

    def advantages(self, s: Tensor, action: Tensor, valid: Tensor) -> tuple[Tensor, Tensor]:
        """Q - V of reward and cost on a common scale, each (...)."""
        critics = (self.reward_critic, self.cost_critic)
        reward, cost = (critic.slow_q(s, action) - critic.value(s) for critic in critics)
        return self.scaled(reward, cost, valid)

    def scaled(self, reward: Tensor, cost: Tensor, valid: Tensor) -> tuple[Tensor, Tensor]:
        """Advantages divided by their scales, which see those that are `valid`."""
        result = []
        for advantage, scale in ((reward, self.reward_scale), (cost, self.cost_scale)):
            if self.config.behaviour.advantage_scale == "advantage":
                scale.see(torch.where(valid, advantage, 0.0))
            result.append(advantage / scale.value)
        return result[0], result[1]

    def priced(self, advantage_reward: Tensor, advantage_cost: Tensor) -> Tensor:
        """A_r, or what is left of it when costs are priced in the weights, (...)."""
        if self.config.behaviour.lagrangian == "gradient":
            return advantage_reward
        price = self.price_by_multiplier
        return (advantage_reward - price * advantage_cost) / (1 + price)

    def feasibility(self, s: Tensor) -> Tensor:
        """u = 1 - p, or 1 everywhere without the reachability function, (...)."""
        if not self.config.behaviour.reachability:
            return torch.ones(s.shape[:-1], device=s.device)
        return 1 - self.reachability.probability(s)

    def penalty(self, s: Tensor, action: Tensor) -> Tensor:
        """Phi of Eq. 17 on Q_c(s, a), in units of `penalty_scale`, with a ~ pi reparameterised, so that it trains the
        actor, (...). In ablation (iv) the feasible value in its place, at the same price."""
        if self.config.behaviour.lagrangian == "weight":
            return torch.zeros_like(action[..., 0])
        if self.feasible_value is not None:
            return self.price_by_multiplier * self.feasible_value(s, action)
        return self.multiplier.phi(self.cost_critic.slow_q(s, action) / self.cost_unit.value)

    def feasible_value_loss(self, critic: FeasibleValue, data: Transitions, noise: Tensor) -> Tensor:
        """Reach-avoid backup of ablation (iv) on real steps."""
        with torch.no_grad():
            next_action = self.learner(data.next_features).sample(noise[:, 1:])
            after = (1 - data.next_terminal.float()) * critic(data.next_features, next_action)
        gamma = self.config.behaviour.reach_gamma
        return data.mean(critic.loss(data.features, data.action, data.cost, after, gamma))

    def reachability_loss(self, data: Transitions, dream: Dream) -> tuple[Tensor, Metrics]:
        """Backup of p on real and imagined steps."""
        c = self.config.behaviour
        with torch.no_grad():
            # Nothing follows a termination, so that p there is its own violation: an episode may end by one.
            ended = (data.cost > 0).float()
            after = torch.where(data.next_terminal, ended, self.reachability.slow_probability(data.next_features))
            real = reachability_target(data.violation, after, c.reach_gamma)
            ended = (dream.cost > c.reach_threshold).float()
            after = torch.lerp(ended, self.reachability.slow_probability(dream.features[1:]), dream.continuation)
            imagined = reachability_target(dream.violation, after, c.reach_gamma)
        loss = data.mean(self.reachability.loss(data.features, real))
        loss = loss + dream.mean(self.reachability.loss(dream.features[:-1], imagined))
        return loss, {
            "reachability/target_real": data.mean(real),
            "reachability/target_imagined": imagined.mean(),
            "reachability/violations_real": data.violation.float().mean(),
            "reachability/violations_imagined": dream.violation.float().mean(),
        }

    @staticmethod
    def weight_metrics(w: Tensor, u: Tensor) -> Metrics:
        """How the weights of log pi are distributed, and over how large a share of the rows they spread."""
        return {
            "weights/mean": w.mean(),
            "weights/std": w.std(),
            "weights/max": w.max(),
            "weights/min": w.min(),
            "weights/effective_share": w.abs().mean().square() / w.square().mean().clamp(min=1e-12),
            "weights/feasibility": u.mean(),
            "weights/infeasible_share": (u < 0.5).float().mean(),
        }

    def compile_losses(self) -> None:
        """Compile the losses on real steps and rollouts as well."""
        super().compile_losses()
        self.losses_on = torch.compile(self.losses_on, dynamic=False)  # type: ignore[method-assign]
