"""The genuine Safety-Gymnasium behind our interface, for comparisons where it is installed."""

from __future__ import annotations

import importlib
from typing import Any

import gymnasium
import numpy as np
from gymnasium import spaces

from fosp.errors import InputError

PREFIX = "safety_gymnasium:"


class GenuineEnv(gymnasium.Env[dict[str, Any], np.ndarray]):
    """One of the original's environments: six values per step and pictures on request become our five and a Dict.

    Its release on PyPI has no rear camera, so that ``image`` has three channels there and six with its GitHub version.
    """

    metadata: dict[str, Any] = {"render_modes": ["rgb_array"], "render_fps": 12}  # noqa: RUF012 - as Gymnasium

    def __init__(
        self,
        env_id: str,
        observation: str = "image",
        action_repeat: int = 4,
        render_mode: str | None = None,
        image_size: int = 64,
    ) -> None:
        """Makes it.

        Raises:
            InputError: if the package ``safety_gymnasium`` is not importable, or does not know the id.
        """
        try:
            package = importlib.import_module("safety_gymnasium")
        except ImportError as error:
            raise InputError(
                f"environment {PREFIX}{env_id} needs the package safety_gymnasium, which is not importable here "
                f"({error}): use {env_id} without the prefix for this project's own port of it."
            ) from error
        try:
            self._env = package.make(env_id)
        except gymnasium.error.Error as error:
            raise InputError(f"safety_gymnasium does not know the environment {env_id!r} ({error}).") from error
        self.observation_kind, self.action_repeat = observation, action_repeat
        self.render_mode, self._size = render_mode, image_size
        inner = self._env.action_space
        self._middle, self._half = (inner.high + inner.low) / 2, (inner.high - inner.low) / 2
        self.action_space = spaces.Box(-1.0, 1.0, inner.shape, np.float32)
        model = self._env.unwrapped.task.model
        names = [model.camera(i).name for i in range(model.ncam)]
        self._cameras = [name for name in ("vision", "vision_back") if name in names]
        parts: dict[str, spaces.Space[Any]] = {}
        if observation in ("image", "both"):
            parts["image"] = spaces.Box(0, 255, (image_size, image_size, 3 * len(self._cameras)), np.uint8)
        if observation in ("vector", "both"):
            parts["vector"] = spaces.Box(-np.inf, np.inf, self._env.observation_space.shape, np.float32)
        self.observation_space = spaces.Dict(parts)

    def _convert(self, vector: np.ndarray) -> dict[str, np.ndarray]:
        observation = {}
        if self.observation_kind != "vector":
            observation["image"] = np.concatenate([self._picture(name, self._size) for name in self._cameras], axis=-1)
        if self.observation_kind != "image":
            observation["vector"] = np.asarray(vector, np.float32)
        return observation

    def _picture(self, camera: str, size: int) -> np.ndarray:
        # an empty cost dictionary: otherwise the original draws a red sphere around a robot that violates
        task = self._env.unwrapped.task
        return task.render(width=size, height=size, mode="rgb_array", camera_name=camera, cost={})

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
        """Starts an episode."""
        super().reset(seed=seed)
        vector, _ = self._env.reset(seed=seed)
        return self._convert(vector), {}

    def step(self, action: np.ndarray) -> tuple[dict[str, np.ndarray], float, bool, bool, dict[str, Any]]:
        """Repeats the action; rewards and costs are summed."""
        inner = self._middle + self._half * np.clip(np.asarray(action, np.float64), -1.0, 1.0)
        total, info = 0.0, {"cost": 0.0, "frames": 0}
        for _ in range(self.action_repeat):
            vector, reward, cost, terminated, truncated, details = self._env.step(inner)
            total += float(reward)
            info["cost"] += float(cost)
            info["frames"] += 1
            for key, value in details.items():
                if key.startswith("cost_") and key != "cost_sum":
                    info[key] = info.get(key, 0.0) + float(value)
            if terminated or truncated:
                break
        return self._convert(vector), total, bool(terminated), bool(truncated), info

    def render(self) -> np.ndarray | None:
        """A third-person view (480, 480, 3) uint8, or None without ``render_mode='rgb_array'``."""
        return self._picture("fixedfar", 480) if self.render_mode else None

    def close(self) -> None:
        """Closes the original."""
        self._env.close()
