"""Poses of the tool centre point as six numbers, and the pose that actions move.

A pose is x, y, z in metres in the robot's base frame, and the rotation vector of R R0^T in radians, where R0 points
straight down. A plain rotation vector or Euler angles of R would lie at +-pi there, and jump.
"""

from __future__ import annotations

import mujoco
import numpy as np

CENTRE, HALF_WIDTH = (0.5, 0.0), 0.125
"""Metres: the square in which the tool centre point stays."""
LOW = np.array([CENTRE[0] - HALF_WIDTH, CENTRE[1] - HALF_WIDTH, 0.03, -0.15, -0.15, -0.4])
HIGH = np.array([CENTRE[0] + HALF_WIDTH, CENTRE[1] + HALF_WIDTH, 0.06, 0.15, 0.15, 0.4])
"""Poses that may be commanded, metres and radians."""
SPEED = np.array([0.1, 0.1, 0.1, 0.3, 0.3, 0.3])
"""What an action of 1 asks for, metres and radians a second."""
LEASH = np.array([0.03, 0.03, 0.03, 0.15, 0.15, 0.15])
"""How far the command may be from the measured pose. Without it an arm that pushes against a wall winds up."""

_DOWN = np.diag([1.0, -1.0, -1.0])


def to_pose(position: np.ndarray, rotation: np.ndarray) -> np.ndarray:
    """(6,) pose from position (3,) and rotation matrix (3, 3)."""
    quaternion, vector = np.empty(4), np.empty(3)
    mujoco.mju_mat2Quat(quaternion, (rotation @ _DOWN.T).ravel())
    mujoco.mju_quat2Vel(vector, quaternion, 1.0)
    return np.concatenate([position, vector])


def from_pose(pose: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Position (3,) and rotation matrix (3, 3) of a pose (6,)."""
    vector, quaternion, matrix = pose[3:], np.empty(4), np.empty(9)
    angle = float(np.linalg.norm(vector))
    axis = vector / angle if angle > 0 else np.array([0.0, 0.0, 1.0])
    mujoco.mju_axisAngle2Quat(quaternion, axis, angle)
    mujoco.mju_quat2Mat(matrix, quaternion)
    return pose[:3].copy(), matrix.reshape(3, 3) @ _DOWN


def moved(command: np.ndarray, action: np.ndarray, measured: np.ndarray, seconds: float) -> np.ndarray:
    """The next commanded pose (6,): the last one moved by an action, not far from the measured pose, in the workspace.

    Args:
        command: the last commanded pose (6,).
        action: (6,) in [-1, 1].
        measured: where the arm is, (6,).
        seconds: length of a control step.
    """
    wanted = command + SPEED * seconds * action
    near = np.clip(wanted, measured - LEASH, measured + LEASH)
    return np.clip(near, LOW, HIGH)
