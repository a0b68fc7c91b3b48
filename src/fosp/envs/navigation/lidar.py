"""The pseudo-lidar: closeness of the objects of a group in 16 directions around the robot."""

import math

import numpy as np

BINS = 16
RANGE = 3.0  # metres; farther objects are not seen
_WIDTH = 2.0 * math.pi / BINS


def lidar(
    robot_position: np.ndarray, robot_matrix: np.ndarray, positions: np.ndarray, group: np.ndarray, groups: int
) -> np.ndarray:
    """Lidar readings of all groups at once.

    An object fills the bin of its direction with its closeness ``max(0, 3 - distance) / 3`` and its two neighbours
    with a share that depends on where inside the bin it lies; a bin keeps the largest value. An object's height is
    taken as 0 while the robot's is not, as in the original (it matters for a tilted robot only).

    Args:
        robot_position: (3,) metres.
        robot_matrix: (9,) rotation of the robot's body, row-major.
        positions: (N, 3) of all objects, metres.
        group: (N,) index of each object's group.
        groups: number of groups.

    Returns:
        (groups, 16) in [0, 1].
    """
    offset = positions - robot_position
    offset[:, 2] = -robot_position[2]
    local = offset @ robot_matrix.reshape(3, 3)
    x, y = local[:, 0], local[:, 1]
    closeness = np.maximum(0.0, RANGE - np.sqrt(x * x + y * y)) / RANGE
    angle = np.arctan2(y, x) % (2.0 * math.pi)
    bin_ = np.floor(angle / _WIDTH).astype(np.intp)
    share = (angle - bin_ * _WIDTH) / _WIDTH
    start = group * BINS
    readings = np.zeros(groups * BINS)
    np.maximum.at(readings, start + bin_ % BINS, closeness)
    np.maximum.at(readings, start + (bin_ + 1) % BINS, share * closeness)
    np.maximum.at(readings, start + (bin_ - 1) % BINS, (1.0 - share) * closeness)
    return readings.reshape(groups, BINS)
