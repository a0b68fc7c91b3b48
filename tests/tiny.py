"""A small world for tests: a point on a line with a reward and a hazard, settings to match, batches from thin air."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import torch
from gymnasium import spaces
from torch import Tensor

from fosp.agents import make_agent
from fosp.agents.base import Agent
from fosp.config import Config, EnvConfig, change, preset
from fosp.data import DatasetWriter, Episode
from fosp.models.distributions import symlog
from fosp.models.layers import TwoHotHead
from fosp.models.reachability import Reachability

LINE = "tiny:TinyLine-v0"  # Gymnasium imports this module when it makes the environment, in any process
LIMIT = 20
CPU = torch.device("cpu")


class Line(gymnasium.Env[np.ndarray, np.ndarray]):
    """A point x in [-1, 1] that an action moves by up to 0.25.

    The reward of a step is 1 - |x - 0.5| where it arrives, except that x > 0.7 pays 1 as well and costs 1: the hazard
    tempts. `ends` makes the hazard end the episode, `image` shows x as a bright column instead of a number.
    """

    def __init__(self, ends: bool = False, image: bool = False, render_mode: str | None = None) -> None:
        self.action_space = spaces.Box(-1, 1, (1,), np.float32)
        self.observation_space: spaces.Space[np.ndarray] = (
            spaces.Box(0, 255, (64, 64, 6), np.uint8) if image else spaces.Box(-2, 2, (2,), np.float32)
        )
        self.ends, self.image = ends, image
        self.x, self.steps = 0.0, 0

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[np.ndarray, dict]:
        super().reset(seed=seed)
        self.x, self.steps = float(self.np_random.uniform(-1, 0.3)), 0
        return self.look(), {}

    def step(self, action: np.ndarray) -> tuple[np.ndarray, float, bool, bool, dict[str, Any]]:
        self.x = float(np.clip(self.x + 0.25 * np.clip(action[0], -1, 1), -1, 1))
        self.steps += 1
        hazard = self.x > 0.7
        reward = 1.0 if hazard else 1 - abs(self.x - 0.5)
        terminated = self.ends and hazard
        return (
            self.look(),
            reward,
            terminated,
            self.steps >= LIMIT,
            {"cost": float(hazard), "cost_hazard": float(hazard)},
        )

    def look(self) -> np.ndarray:
        return line_image(self.x) if self.image else np.array([self.x, self.x**2], np.float32)


def line_image(x: float) -> np.ndarray:
    """A bright column, 8 pixels wide, where x is."""
    image = np.full((64, 64, 6), 40, np.uint8)
    left = round((x + 1) / 2 * 56)
    image[:, left : left + 8] = 220
    return image


gymnasium.register("TinyLine-v0", entry_point="tiny:Line")
gymnasium.register("TinyLineEnds-v0", entry_point="tiny:Line", kwargs={"ends": True})
gymnasium.register("TinyLineImage-v0", entry_point="tiny:Line", kwargs={"image": True})


def play(seed: int, target: float | None, *, image: bool = False, ends: bool = False, noise: float = 0.3) -> Episode:
    """An episode that steers to `target`, or anywhere at random where it is None."""
    rng = np.random.default_rng(seed)
    env = Line(image=image, ends=ends)
    observation, _ = env.reset(seed=seed)
    observations, actions, rewards, costs = [observation], [], [], []
    terminated = truncated = False
    while not (terminated or truncated):
        action = rng.uniform(-1, 1) if target is None else np.clip((target - env.x) / 0.25, -1, 1)
        action = np.clip([action + rng.normal(0, noise)], -1, 1).astype(np.float32)
        observation, reward, terminated, truncated, info = env.step(action)
        observations.append(observation)
        actions.append(action)
        rewards.append(reward)
        costs.append(info["cost"])
    return Episode(
        observations={"image" if image else "vector": np.stack(observations)},
        actions=np.stack(actions),
        rewards=np.array(rewards, np.float32),
        costs=np.array(costs, np.float32),
        terminated=terminated,
        truncated=truncated,
        behaviour="random" if target is None else "steered",
        seed=seed,
        frames=len(actions),
    )


def write_dataset(path: Path, episodes: list[Episode], env_id: str = LINE) -> Path:
    """A dataset on disk."""
    (key, shape), *_ = episodes[0].spec.items()
    box = spaces.Box(0, 255, shape, np.uint8) if key == "image" else spaces.Box(-np.inf, np.inf, shape, np.float32)
    action = spaces.Box(-1, 1, (episodes[0].action_size,), np.float32)
    with DatasetWriter(path, env_id=env_id, observation_space=spaces.Dict({key: box}), action_space=action) as writer:
        for episode in episodes:
            writer.add(episode)
    return path


def tiny_config(changes: Mapping[str, Any] | None = None, **env: Any) -> Config:
    """Settings of a few thousand parameters; `changes` are dotted names ("behaviour.gamma"), `env` is `EnvConfig`'s.

    What tests rely on is pinned here, so that a preset may be tuned without touching them.
    """
    env = {"id": LINE, "observation": "vector", "action_repeat": 1, "time_limit": LIMIT} | env
    config = dataclasses.replace(preset("test"), device="cpu", env=EnvConfig(**env))
    pinned = {
        "world_model.deterministic": 16,
        "world_model.latents": 4,
        "world_model.classes": 4,
        "world_model.units": 16,
        "world_model.vector_layers": 1,
        "behaviour.units": 16,
        "behaviour.layers": 1,
        "behaviour.horizon": 3,
        "behaviour.start_every": 1,
        "behaviour.gamma": 0.95,
        "behaviour.lambda_": 0.9,
        "behaviour.reward_expectile": 0.8,
        "behaviour.cost_expectile": 0.8,
        "behaviour.beta_reward": 10.0,
        "behaviour.beta_cost": 5.0,
        "behaviour.advantage_scale": "advantage",
        "behaviour.weight_clip": 100.0,
        "behaviour.entropy": 0.01,
        "behaviour.penalty_scale": "none",
        "behaviour.multiplier": 0.2,
        "behaviour.penalty": 0.05,
        "behaviour.penalty_growth": 1e-3,
        "behaviour.reach_gamma": 0.9,
        "behaviour.reach_threshold": 0.5,
        "behaviour.reach_initial": 0.1,
        "behaviour.expansion_start": "fresh",
        "behaviour.expansion_inverse_temperature": 10.0,
        "behaviour.actor_learning_rate": 1e-3,
        "behaviour.critic_learning_rate": 1e-3,
        "behaviour.reach_learning_rate": 1e-3,
    }
    return change(config, pinned | dict(changes or {}))


def tiny_agent(
    changes: Mapping[str, Any] | None = None,
    *,
    spaces: Mapping[str, tuple[int, ...]] | None = None,
    device: torch.device = CPU,
) -> Any:
    """An agent for the line (or other `spaces`), with 1 action."""
    return make_agent(tiny_config(changes), spaces or {"vector": (2,)}, 1, device)


def random_batch(
    rows: int = 3,
    length: int = 6,
    seed: int = 0,
    *,
    spaces: Mapping[str, tuple[int, ...]] | None = None,
    actions: int = 1,
) -> dict[str, Tensor]:
    """A batch in model alignment with one episode's end and one terminal state inside."""
    g = torch.Generator().manual_seed(seed)
    batch = {
        "action": torch.rand(rows, length, actions, generator=g) * 2 - 1,
        "reward": torch.randn(rows, length, generator=g),
        "cost": (torch.rand(rows, length, generator=g) < 0.3).float(),
        "is_first": torch.zeros(rows, length, dtype=torch.bool),
        "is_terminal": torch.zeros(rows, length, dtype=torch.bool),
    }
    batch["is_first"][0, 0] = batch["is_first"][-1, 3] = True
    batch["is_terminal"][-1, 2] = True
    first = batch["is_first"]
    batch["action"][first], batch["reward"][first], batch["cost"][first] = 0, 0, 0
    for key, shape in (spaces or {"vector": (2,)}).items():
        batch[key] = (
            torch.randint(0, 256, (rows, length, *shape), dtype=torch.uint8, generator=g)
            if key == "image"
            else torch.randn(rows, length, *shape, generator=g)
        )
    return batch


def awaken(agent: Agent, seed: int = 1) -> None:
    """Give layers that start at zero random weights, so that every head says something moderate about its input."""
    g = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for module in agent.modules():
            if isinstance(module, TwoHotHead):
                output = module.net[-1]
                output.weight.copy_(2 * torch.randn(output.weight.shape, generator=g) * output.in_features**-0.5)
                output.bias.copy_(-4 * symlog(module.bins).abs())  # far bins are unlikely
            elif isinstance(module, Reachability):
                for head in (module.head, module.slow_head):
                    head[-1].weight.copy_(torch.randn(head[-1].weight.shape, generator=g))
