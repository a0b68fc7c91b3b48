"""A 3-D mouse in a person's hand, as a behaviour that demonstrates."""

from __future__ import annotations

from typing import Any

import gymnasium
import numpy as np

from fosp.errors import InputError
from fosp.hardware.vendor import vendor

DEAD_BAND = 0.04
"""Smallest deflection that counts."""
_AXES = ("x", "y", "z", "roll", "pitch", "yaw")


class SpaceMouse:
    """What the puck does is the action: x forwards, y to the left, z upwards, and turns about them."""

    name = "spacemouse"

    def __init__(self, seed: int) -> None:
        """`seed` is of no account: it is a person."""
        self._device: Any = None

    def reset(self, env: gymnasium.Env[Any, Any]) -> None:
        """Opens the device.

        Raises:
            InputError: pyspacemouse or the device is missing, the environment does not keep real time, or its actions
                are not six.
        """
        if not getattr(env.unwrapped, "real_time", False):
            raise InputError("a person can steer in real time only: give a robot, as in --env franka:arm.yaml.")
        if env.action_space.shape != (len(_AXES),):
            raise InputError(f"a SpaceMouse has {len(_AXES)} axes, and the environment actions {env.action_space}.")
        if self._device is None:
            library = vendor("pyspacemouse", "franka")
            try:
                self._device = library.open(axis_convention=library.AxisConvention.ROS)
            except (RuntimeError, OSError) as error:
                raise InputError(f"no SpaceMouse answers ({error}): is it plugged in, and readable for you?") from None

    def act(self, env: gymnasium.Env[Any, Any]) -> np.ndarray:
        state = self._device.read()
        action = np.array([getattr(state, axis) for axis in _AXES], np.float32)
        return np.where(np.abs(action) < DEAD_BAND, 0.0, action).clip(-1, 1).astype(np.float32)
