"""What the model-free yardsticks share: a Gaussian policy and two value functions on raw observations.

Networks are those of Stable-Baselines3 (extra `baselines`): convolutions of Mnih et al. (2015) for pictures, two layers
of 64 after them.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from gymnasium import spaces
from torch import Tensor, nn
from torch.distributions import Normal

from fosp.agents.base import Agent, Mode, Optimiser
from fosp.data.episode import Episode
from fosp.errors import InputError
from fosp.models.trust_region import generalised_advantages
from fosp.models.world_model import Batch, Metrics

try:
    from stable_baselines3.common.policies import MultiInputActorCriticPolicy
    from stable_baselines3.common.torch_layers import CombinedExtractor, create_mlp
except ImportError as error:
    raise InputError(
        'Agents ppo_lagrangian and cpo stand on Stable-Baselines3: pip install "fosp[baselines]".'
    ) from error


class Experience(NamedTuple):
    """Steps of whole episodes, one after another, under the policy that is about to be improved; n steps."""

    observation: dict[str, Tensor]
    """(n, ...), as the networks take them."""
    drawn: Tensor
    """What the policy drew, before the clamp to [-1, 1], (n, A)."""
    log_probability: Tensor
    """Of that, (n,)."""
    advantage_reward: Tensor
    """Standardised, (n,)."""
    advantage_cost: Tensor
    """Centred, in units of cost, (n,)."""
    return_reward: Tensor
    """Target of the reward's value, (n,)."""
    return_cost: Tensor
    """Target of the cost's value, (n,)."""
    episode_cost: float
    """Mean undiscounted cost of an episode."""
    episode_steps: float
    """Mean length of an episode."""


class CostValue(nn.Module):
    """Expected discounted costs of observations."""

    def __init__(self, space: spaces.Dict) -> None:
        super().__init__()
        self.extractor = CombinedExtractor(space)
        self.layers = nn.Sequential(*create_mlp(self.extractor.features_dim, 1, [64, 64], nn.Tanh))

    def forward(self, observation: dict[str, Tensor]) -> Tensor:
        """(N, ...) -> (N,)."""
        scaled = {k: v.float() / 255 if v.dtype == torch.uint8 else v for k, v in observation.items()}
        return self.layers(self.extractor(scaled)).squeeze(-1)


class OnPolicyAgent(Agent):
    """An agent that learns online only, from episodes that its own policy has just played."""

    def build(self) -> None:
        boxes: dict[str, spaces.Space[Any]] = {}
        for name, shape in self.spaces.items():
            boxes[name] = (
                spaces.Box(0, 255, (shape[-1], *shape[:-1]), np.uint8)  # channels first
                if name == "image"
                else spaces.Box(-np.inf, np.inf, shape, np.float32)
            )
        space = spaces.Dict(boxes)
        self.networks = MultiInputActorCriticPolicy(
            space,
            spaces.Box(-1, 1, (self.actions,), np.float32),
            lambda _: self.config.on_policy.learning_rate,
            log_std_init=-0.5,
            share_features_extractor=False,  # a value function must not move the policy out of its trust region
        )
        # The same module as pi_features_extractor, which is what is used: a checkpoint holds no tensor twice.
        del self.networks.features_extractor
        self.cost_value = CostValue(space)

    @property
    def policy_parameters(self) -> list[nn.Parameter]:
        """Parameters of the policy, without those of the reward's value function."""
        return [p for name, p in self.networks.named_parameters() if "value" not in name and "vf_" not in name]

    def make_optimisers(self) -> dict[str, Optimiser]:
        rate = self.config.on_policy.learning_rate
        return {
            "networks": Optimiser([self.networks], rate, 0.5),
            "cost_value": Optimiser([self.cost_value], rate, 0.5),
        }

    # ---------------------------------------------------------------- acting

    def initial_state(self, batch: int) -> None:
        return None

    @torch.no_grad()
    def act(
        self, observation: Batch, state: None, mode: Mode, generator: torch.Generator
    ) -> tuple[Tensor, None, dict[str, Tensor]]:
        inputs = self.inputs(observation)
        pi = self.distribution(inputs)
        drawn = pi.mean
        if mode == "sample":
            drawn = drawn + pi.stddev * torch.randn(drawn.shape, generator=generator, device=self.device)
        return drawn.clamp(-1, 1), None, {
            "drawn": drawn,
            "log_probability": pi.log_prob(drawn).sum(-1),
            "value_reward": self.reward_value(inputs),
            "value_cost": self.cost_value(inputs),
        }  # fmt: skip

    def inputs(self, observation: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Observations (N, ...) as the networks take them: pictures with channels first."""
        return {
            name: (observation[name].movedim(-1, 1) if name == "image" else observation[name].float()).to(self.device)
            for name in self.spaces
        }

    def distribution(self, inputs: dict[str, Tensor]) -> Normal:
        """pi(a | o), of (N, A)."""
        pi = self.networks.get_distribution(inputs).distribution
        assert isinstance(pi, Normal)
        return pi

    def reward_value(self, inputs: dict[str, Tensor]) -> Tensor:
        """Expected discounted rewards, (N,)."""
        return self.networks.predict_values(inputs).squeeze(-1)

    # -------------------------------------------------------------- learning

    @torch.no_grad()
    def experience(self, episodes: Sequence[Episode], thoughts: Sequence[Mapping[str, np.ndarray]]) -> Experience:
        """Whole episodes, and what `act` knew at each of their steps, with advantages.

        The value after a step counts unless the episode terminated there: the time limit is no end.
        """
        c = self.config.behaviour
        parts: dict[str, list[Tensor]] = {}
        for episode, thought in zip(episodes, thoughts, strict=True):
            n = len(episode)
            after = self.inputs({name: torch.from_numpy(episode.observations[name][-1:]) for name in self.spaces})
            alive = 0.0 if episode.terminated else 1.0
            last = torch.zeros(n, dtype=torch.bool)
            last[-1] = True
            for signal, real, end in (
                ("reward", episode.rewards, self.reward_value(after)),
                ("cost", episode.costs, self.cost_value(after)),
            ):
                value = torch.from_numpy(thought[f"value_{signal}"])
                next_value = torch.cat([value[1:], alive * end.cpu()])
                advantage = generalised_advantages(
                    torch.from_numpy(real), value, next_value, last, c.gamma, self.config.on_policy.advantage_lambda
                )
                parts.setdefault(f"advantage_{signal}", []).append(advantage)
                parts.setdefault(f"return_{signal}", []).append(advantage + value)
            for name in ("drawn", "log_probability"):
                parts.setdefault(name, []).append(torch.from_numpy(thought[name]))
        whole = {name: torch.cat(tensors).to(self.device) for name, tensors in parts.items()}
        reward, cost = whole["advantage_reward"], whole["advantage_cost"]
        observation = {
            name: torch.cat([torch.from_numpy(e.observations[name][:-1]) for e in episodes]) for name in self.spaces
        }
        return Experience(
            observation=self.inputs(observation),
            drawn=whole["drawn"],
            log_probability=whole["log_probability"],
            advantage_reward=(reward - reward.mean()) / (reward.std() + 1e-8),
            advantage_cost=cost - cost.mean(),
            return_reward=whole["return_reward"],
            return_cost=whole["return_cost"],
            episode_cost=float(np.mean([e.total_cost for e in episodes])),
            episode_steps=float(np.mean([len(e) for e in episodes])),
        )

    @abstractmethod
    def learn(self, data: Experience) -> Metrics:
        """Improve policy and values by a round of episodes."""

    def minibatches(self, data: Experience) -> list[Tensor]:
        """A random partition of the steps, as indices."""
        order = torch.randperm(len(data.drawn), generator=self.generator, device=self.device)
        return list(order.split(self.config.on_policy.minibatch))

    def value_loss(self, data: Experience, rows: Tensor) -> tuple[Tensor, Tensor]:
        """Squared errors of the values of reward and cost on some rows, each ()."""
        observation = {name: value[rows] for name, value in data.observation.items()}
        reward = (self.reward_value(observation) - data.return_reward[rows]).square().mean()
        return reward, (self.cost_value(observation) - data.return_cost[rows]).square().mean()
