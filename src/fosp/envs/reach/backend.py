"""What moves the arm and senses the scene: the simulation, or later a robot."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from fosp.envs.reach.tasks import Layout

IMAGE_SHAPE = (64, 64, 3)


@dataclass(frozen=True)
class Events:
    """What happened since the last call.

    Attributes:
        touch_target, touch_obstacle: whether the arm touched it.
        obstacle_poses: (N, 7) position and quaternion (w, x, y, z) now, or None where nobody tracks them.
    """

    touch_target: bool
    touch_obstacle: bool
    obstacle_poses: np.ndarray | None


class ReachBackend(Protocol):
    """An arm with a camera. ``ReachEnv`` owns everything else: scaling, workspace, leash, cost, reward and timing.

    Attributes:
        control_hz: control steps a second.
        real_time: whether the environment must wait for the clock after each command.
    """

    control_hz: float
    real_time: bool

    def reset(self, layout: Layout, rng: np.random.Generator) -> None:
        """Goes to the start and sees to it that the objects stand as ``layout`` says."""

    def tcp(self) -> tuple[np.ndarray, np.ndarray]:
        """Position (3,) and rotation matrix (3, 3) of the tool centre point now, in the base frame."""

    def picture(self) -> np.ndarray:
        """What the camera sees now, (64, 64, 3) uint8 RGB."""

    def command(self, position: np.ndarray, rotation: np.ndarray) -> None:
        """Sends the arm to a pose of the tool centre point, already clipped; must return at once."""

    def events(self) -> Events:
        """What happened since the last command."""

    def stop(self) -> None:
        """Holds the arm where it is; always safe to call."""

    def facts(self) -> dict[str, Any]:
        """What its data depend on, such as the camera; JSON values."""

    def close(self) -> None:
        """Frees what was opened."""
