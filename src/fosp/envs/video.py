"""Frames of a film of an episode: the scene from outside, what the robot sees, and what it has earned and cost."""

from __future__ import annotations

from typing import Any

import gymnasium
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from fosp.errors import InputError

_RED = np.array([220.0, 30.0, 30.0])
_FLASH_FRAMES = 3  # frames that a cost stays visible
_INSET = 144  # pixels per side of a first-person view
_BAR = 40  # pixels of height for the totals


class EpisodeFilm:
    """Turns the steps of one episode into frames of equal size; begin a new one after every reset."""

    def __init__(self, env: gymnasium.Env[Any, Any], label: str = "") -> None:
        """Starts with totals of zero.

        Args:
            env: just reset, made with ``render_mode="rgb_array"`` for a view from outside. Without one, the pictures
                of the observation stand alone.
            label: shown at the right, such as the policy's name.
        """
        self._env, self._label = env, label
        self.total_reward = self.total_cost = 0.0
        self._flash = 0
        self._font = ImageFont.load_default(size=20)

    def frame(self, observation: dict[str, np.ndarray], reward: float = 0.0, cost: float = 0.0) -> np.ndarray:
        """The frame after a step (or after the reset, with zeros).

        Args:
            observation: of the environment; its ``image`` (H, W, 3 * views) gives the robot's views if there is one.
            reward, cost: of the step.

        Returns:
            (height, width, 3) uint8 RGB, both even, as video codecs need.

        Raises:
            InputError: if no OpenGL back end works here, or the environment has nothing to show.
        """
        self.total_reward += reward
        self.total_cost += cost
        self._flash = _FLASH_FRAMES if cost > 0 else max(0, self._flash - 1)
        views = self._views(observation)
        scene = self._scene()
        if scene is None and not views:
            raise InputError(
                f"environment {self._env.unwrapped} neither observes pictures nor draws itself "
                "(render_mode='rgb_array'): there is nothing to film."
            )
        if scene is None:
            picture = np.concatenate([_enlarge(view, 3 * _INSET) for view in views], axis=1)
        else:
            picture = np.array(scene, dtype=np.uint8)
            for i, view in enumerate(views):
                inset = _framed(_enlarge(view, _INSET))
                left = 8 if i == 0 else picture.shape[1] - inset.shape[1] - 8
                picture[8 : 8 + inset.shape[0], left : left + inset.shape[1]] = inset
        if self._flash:
            picture = _red_border(picture, self._flash / _FLASH_FRAMES)
        return self._with_bar(picture)

    def _scene(self) -> Any:
        """The view from outside, (H, W, 3), or None from an environment that has none."""
        try:
            return self._env.render()
        except NotImplementedError:
            return None

    def _views(self, observation: dict[str, np.ndarray]) -> list[np.ndarray]:
        """The robot's pictures, (H, W, 3) each."""
        image = observation.get("image")
        if image is None and hasattr(self._env.unwrapped, "first_person"):
            image = self._env.unwrapped.first_person()
        return [] if image is None else [image[..., i : i + 3] for i in range(0, image.shape[-1], 3)]

    def _with_bar(self, picture: np.ndarray) -> np.ndarray:
        bar = Image.new("RGB", (picture.shape[1], _BAR), (16, 16, 20))
        draw = ImageDraw.Draw(bar)
        draw.text((10, 8), f"reward {self.total_reward:7.2f}", fill=(235, 235, 235), font=self._font)
        colour = (255, 90, 90) if self._flash else (235, 235, 235)
        draw.text((180, 8), f"cost {self.total_cost:5.0f}", fill=colour, font=self._font)
        draw.text((picture.shape[1] - 10, 8), self._label, fill=(160, 160, 160), font=self._font, anchor="ra")
        whole = np.concatenate([picture, np.asarray(bar)])
        return whole[: whole.shape[0] // 2 * 2, : whole.shape[1] // 2 * 2]


def _enlarge(view: np.ndarray, size: int) -> np.ndarray:
    """Nearest neighbours: pixels stay visible as the robot sees them."""
    return np.asarray(Image.fromarray(view).resize((size, size), Image.Resampling.NEAREST))


def _framed(picture: np.ndarray) -> np.ndarray:
    return np.pad(picture, ((2, 2), (2, 2), (0, 0)), constant_values=255)


def _red_border(picture: np.ndarray, strength: float, width: int = 10) -> np.ndarray:
    flashed = picture.astype(np.float64)
    edge = np.ones(picture.shape[:2], dtype=bool)
    edge[width:-width, width:-width] = False
    flashed[edge] = (1 - strength) * flashed[edge] + strength * _RED
    return flashed.astype(np.uint8)
