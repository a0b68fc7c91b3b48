"""PPO-Lagrangian: proximal policy optimisation (Schulman et al., 2017) of reward less cost, whose price follows a PID
controller (Stooke, Achiam and Abbeel, 2020). Online, model-free."""

from __future__ import annotations

import torch
from torch import Tensor

from fosp.agents.on_policy import Experience, OnPolicyAgent
from fosp.models.lagrangian import PIDMultiplier
from fosp.models.world_model import Metrics


def clipped_surrogate(ratio: Tensor, advantage: Tensor, clip: float) -> Tensor:
    """L_ppo of each step, to be maximised, (n,)."""
    return torch.minimum(ratio * advantage, ratio.clamp(1 - clip, 1 + clip) * advantage)


def priced_advantage(reward: Tensor, cost: Tensor, multiplier: Tensor) -> Tensor:
    """(A - lambda A_c) / (1 + lambda), so that the step does not grow with the price, (n,)."""
    return (reward - multiplier * cost) / (1 + multiplier)


class PPOLagrangian(OnPolicyAgent):
    """PPO with a multiplier on the cost."""

    def build(self) -> None:
        super().build()
        c = self.config.on_policy
        self.multiplier = PIDMultiplier(c.pid_proportional, c.pid_integral, c.pid_derivative)

    def learn(self, data: Experience) -> Metrics:
        c = self.config.on_policy
        self.multiplier.update(torch.tensor(data.episode_cost, device=self.device), c.cost_limit)
        advantage = priced_advantage(data.advantage_reward, data.advantage_cost, self.multiplier.multiplier)
        epochs, losses, divergence = 0, [], torch.tensor(0.0)
        for _ in range(c.epochs):
            divergences = []
            for rows in self.minibatches(data):
                pi = self.distribution({name: value[rows] for name, value in data.observation.items()})
                log_ratio = pi.log_prob(data.drawn[rows]).sum(-1) - data.log_probability[rows]
                actor = -clipped_surrogate(log_ratio.exp(), advantage[rows], c.clip).mean()
                reward, cost = self.value_loss(data, rows)
                entropy = pi.entropy().sum(-1).mean()
                (actor - c.entropy * entropy + 0.5 * reward + cost).backward()
                for optimiser in self.optimisers.values():
                    optimiser.step()
                divergences.append((log_ratio.exp() - 1 - log_ratio).mean().detach())
                losses.append(torch.stack([actor, reward, cost, entropy]).detach())
            epochs, divergence = epochs + 1, torch.stack(divergences).mean()
            if divergence > c.target_kl:
                break
        actor, reward, cost, entropy = torch.stack(losses).mean(0)
        return {
            "loss/actor": actor,
            "loss/value_reward": reward,
            "loss/value_cost": cost,
            "actor/entropy": entropy,
            "actor/divergence": divergence,
            "actor/epochs": torch.tensor(float(epochs)),
            "multiplier/lambda": self.multiplier.multiplier.clone(),
        }
