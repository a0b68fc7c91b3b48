"""Inverse kinematics: joint targets that take the tool centre point to a pose, within the joints' limits and speeds."""

from __future__ import annotations

import importlib

import mujoco
import numpy as np

from fosp.envs.reach import arm
from fosp.envs.reach.scene import arm_xml
from fosp.errors import InputError

POSTURE_COST = 1e-2
"""Pull towards the start joints, which the seven joints' one degree of freedom too many follows. Over 1000 full-scale
steps they stray by 1.2 rad and miss the command by at most 8 mm; at 1e-3 by 1.4 rad and 11 mm."""
_DAMPING, _POSE_DAMPING = 1e-3, 1e-6
_SPEED_SHARE = 0.9  # of the joints' largest speeds


class InverseKinematics:
    """One step of differential inverse kinematics per control step, as a quadratic program, by mink."""

    def __init__(self, seconds: float) -> None:
        """Sets the program up for control steps of so many seconds.

        Raises:
            InputError: if mink is not installed.
        """
        try:
            self._mink = mink = importlib.import_module("mink")
        except ImportError as error:
            raise InputError("SafeReach needs the package mink: pip install 'fosp[reach]'.") from error
        model = mujoco.MjModel.from_xml_string(arm_xml())
        self._seconds = seconds
        self._configuration = mink.Configuration(model)
        self._tcp = mink.FrameTask(arm.TCP, "site", position_cost=1, orientation_cost=1, lm_damping=_POSE_DAMPING)
        posture = mink.PostureTask(model, cost=POSTURE_COST)
        posture.set_target(arm.START_JOINTS)
        self._tasks = [self._tcp, posture]
        speeds = dict(zip(arm.JOINTS, _SPEED_SHARE * arm.SPEEDS, strict=True))
        self._limits = [mink.ConfigurationLimit(model), mink.VelocityLimit(model, speeds)]

    def follow(self, joints: np.ndarray, position: np.ndarray, rotation: np.ndarray) -> np.ndarray:
        """Joint targets (7,) one control step on from ``joints`` (7,) towards a pose of the tool centre point."""
        mink = self._mink
        self._tcp.set_target(mink.SE3.from_rotation_and_translation(mink.SO3.from_matrix(rotation), position))
        self._configuration.update(joints)
        velocity = mink.solve_ik(
            self._configuration, self._tasks, self._seconds, "daqp", damping=_DAMPING, limits=self._limits
        )
        return joints + self._seconds * velocity
