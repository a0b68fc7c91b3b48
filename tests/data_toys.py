"""Small episodes, datasets and an environment for the tests of data.

A module of its own, so that spawned processes can import the environment by ``make_env("data_toys:Toy-v0")``.
"""

from __future__ import annotations

import os
import time
from pathlib import Path

import gymnasium as gym
import numpy as np
from gymnasium import spaces

from fosp.data import Dataset, DatasetWriter, Episode

SPACE = spaces.Dict(
    image=spaces.Box(0, 255, (32, 40, 6), np.uint8), vector=spaces.Box(-np.inf, np.inf, (5,), np.float32)
)
ACTION_SPACE = spaces.Box(-1, 1, (2,), np.float32)
METADATA = {"action_repeat": 4, "profile": "github"}


def make_episode(number: int, steps: int = 20, behaviour: str = "safe", terminated: bool = False) -> Episode:
    rng = np.random.default_rng(number)
    return Episode(
        observations={
            "image": rng.integers(0, 256, (steps + 1, 32, 40, 6), dtype=np.uint8),
            "vector": rng.normal(size=(steps + 1, 5)).astype(np.float32),
        },
        actions=rng.uniform(-1, 1, (steps, 2)).astype(np.float32),
        rewards=rng.normal(size=steps).astype(np.float32),
        costs=rng.integers(0, 5, steps).astype(np.float32),
        terminated=terminated,
        truncated=not terminated,
        behaviour=behaviour,
        seed=100 + number,
        frames=4 * steps - 1,
        cost_kinds={"hazards": rng.integers(0, 5, steps).astype(np.float32)},
    )


def writer(path: Path, **changes) -> DatasetWriter:
    arguments = {"env_id": "Toy-v0", "observation_space": SPACE, "action_space": ACTION_SPACE, "metadata": METADATA}
    return DatasetWriter(path, **{**arguments, **changes})


def write(path: Path, *episodes: Episode) -> Dataset:
    with writer(path) as out:
        for episode in episodes:
            out.add(episode)
    return Dataset(path)


def assert_same(one: Episode, two: Episode) -> None:
    for name in ("terminated", "truncated", "behaviour", "seed", "frames"):
        assert getattr(one, name) == getattr(two, name), name
    arrays = [{**e.observations, **e.cost_kinds, "a": e.actions, "r": e.rewards, "c": e.costs} for e in (one, two)]
    assert arrays[0].keys() == arrays[1].keys()
    for key, values in arrays[0].items():
        assert values.dtype == arrays[1][key].dtype
        np.testing.assert_array_equal(values, arrays[1][key], err_msg=key)


class Toy(gym.Env):
    """A point on a line; each episode has its own length from 5 to 15, and its own picture."""

    observation_space = spaces.Dict(
        image=spaces.Box(0, 255, (16, 16, 3), np.uint8), vector=spaces.Box(-np.inf, np.inf, (2,), np.float32)
    )
    action_space = spaces.Box(-1, 1, (2,), np.float32)

    def __init__(self, render_mode=None, slow: float = 0.0, die_at_seed: int = -1, costless: bool = False) -> None:
        self.slow, self.die_at_seed, self.costless = slow, die_at_seed, costless

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        if seed == self.die_at_seed:
            os._exit(9)
        self.position, self.count = self.np_random.normal(), 0
        self.length = int(self.np_random.integers(5, 16))
        self.picture = self.np_random.integers(0, 256, (16, 16, 3), dtype=np.uint8)
        return self.observe(), {}

    def observe(self):
        return {
            "image": self.picture + np.uint8(self.count),
            "vector": np.array([self.position, self.count], np.float32),
        }

    def step(self, action):
        time.sleep(self.slow)
        self.position += float(action[0])
        self.count += 1
        cost = float(self.position > 0)
        info = {} if self.costless else {"cost": cost, "cost_line": cost}
        return self.observe(), -abs(self.position), False, self.count == self.length, info


gym.register("Toy-v0", entry_point=Toy)
