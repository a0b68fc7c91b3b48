"""Wraps any Gymnasium environment whose info carries a cost to the same interface as our own."""

from __future__ import annotations

from typing import Any

import gymnasium
import numpy as np
from gymnasium import spaces

from fosp.envs.spaces import check_observation_kind
from fosp.errors import InputError


def _image_box(space: spaces.Space[Any]) -> bool:
    return (
        isinstance(space, spaces.Box) and space.dtype == np.uint8 and len(space.shape) == 3 and space.shape[-1] % 3 == 0
    )


def _observation_space(space: spaces.Space[Any], observation: str, env_id: str) -> spaces.Dict:
    """The dictionary space of an environment; picks what ``observation`` asks for.

    Raises:
        InputError: if the environment does not have it.
    """
    if isinstance(space, spaces.Dict):
        available = {key: part for key, part in space.spaces.items() if key in ("image", "vector")}
    else:
        available = {"image" if _image_box(space) else "vector": space}
    wanted = ("image", "vector") if observation == "both" else (observation,)
    missing = [key for key in wanted if key not in available]
    if missing:
        raise InputError(
            f"environment {env_id!r} has no {missing[0]!r} observation (it has {space}): "
            "give a Dict space with 'image' and/or 'vector', or one Box, and ask for what it has."
        )
    result: dict[str, spaces.Space[Any]] = {}
    for key in wanted:
        part = available[key]
        if key == "image" and not _image_box(part):
            raise InputError(f"environment {env_id!r}: 'image' must be a uint8 Box (H, W, 3 * views), not {part}.")
        if key == "vector":
            if not isinstance(part, spaces.Box) or len(part.shape) != 1:
                raise InputError(f"environment {env_id!r}: 'vector' must be a one-dimensional Box, not {part}.")
            part = spaces.Box(part.low.astype(np.float32), part.high.astype(np.float32), dtype=np.float32)
        result[key] = part
    return spaces.Dict(result)


class ForeignEnv(gymnasium.Wrapper):
    """Another author's environment behind our interface.

    * Observation: a Box becomes ``{"image": ...}`` (uint8, three dimensions) or ``{"vector": ...}`` (float32); of a
      Dict the keys ``image`` and ``vector`` are taken.
    * Action: [-1, 1], scaled to the environment's own bounds.
    * Step: the action is repeated; rewards, ``info["cost"]`` and every ``info["cost_<kind>"]`` are summed.
    """

    def __init__(self, env: gymnasium.Env[Any, Any], env_id: str, observation: str, action_repeat: int = 4) -> None:
        super().__init__(env)
        check_observation_kind(observation)
        if action_repeat < 1:
            raise InputError(f"action_repeat={action_repeat} must be at least 1.")
        space = env.action_space
        if not isinstance(space, spaces.Box) or len(space.shape) != 1 or not np.isfinite([space.low, space.high]).all():
            raise InputError(f"environment {env_id!r} needs a one-dimensional, bounded Box of actions, not {space}.")
        self.env_id, self.action_repeat = env_id, action_repeat
        self.observation_space = _observation_space(env.observation_space, observation, env_id)
        self.action_space = spaces.Box(-1.0, 1.0, space.shape, np.float32)
        low, high = space.low.astype(np.float64), space.high.astype(np.float64)
        self._middle, self._half, self._dtype = (high + low) / 2, (high - low) / 2, space.dtype

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
        """Starts an episode."""
        observation, info = self.env.reset(seed=seed, options=options)
        return self._convert(observation), info

    def step(self, action: np.ndarray) -> tuple[dict[str, np.ndarray], float, bool, bool, dict[str, Any]]:
        """Repeats the action; returns observation, summed reward, terminated, truncated and info with the costs.

        Raises:
            InputError: if the environment's info has no cost.
        """
        inner = (self._middle + self._half * np.clip(np.asarray(action, np.float64), -1.0, 1.0)).astype(self._dtype)
        reward, frames = 0.0, 0
        costs: dict[str, float] = {}
        for _ in range(self.action_repeat):
            observation, r, terminated, truncated, info = self.env.step(inner)
            if "cost" not in info:
                raise InputError(
                    f"environment {self.env_id!r} gives no info['cost'] in a step: wrap it so that it does."
                )
            reward += float(r)
            frames += 1
            for key, value in info.items():
                if key == "cost" or key.startswith("cost_"):
                    costs[key] = costs.get(key, 0.0) + float(value)
            if terminated or truncated:
                break
        info = {**info, **costs, "frames": frames}
        return self._convert(observation), reward, bool(terminated), bool(truncated), info

    def _convert(self, observation: Any) -> dict[str, np.ndarray]:
        keys = list(self.observation_space.spaces)  # type: ignore[attr-defined]
        parts = observation if isinstance(observation, dict) else {keys[0]: observation}
        return {key: np.asarray(parts[key], np.uint8 if key == "image" else np.float32) for key in keys}
