"""The cost of SafeReach: 1 from the first touch of an obstacle until all obstacles rest again."""

from __future__ import annotations

import numpy as np

STILL_STEPS = 2
"""Steps without touch and motion after which the cost ends."""
MOVED, TURNED = 0.0005, 0.01
"""Metres and radians between two steps from which an obstacle counts as moving. At rest the simulated ones creep by
less than a hundredth of it. Poses rather than velocities: a camera can measure them, and a velocity passes through
zero at the top of a fall."""
DISPLACED = 0.002
"""Metres from its place of rest from which an obstacle counts as touched where only poses are known."""
_FALLEN = -0.02  # metres: an obstacle below this has left the table


class CostLatch:
    """One latch for the whole scene."""

    def __init__(self) -> None:
        self.on, self.still = False, 0

    def update(self, touched: bool, moving: bool) -> bool:
        """Whether this step costs.

        Args:
            touched: whether the arm touched an obstacle in it.
            moving: whether any obstacle moved in it.
        """
        if touched:
            self.on, self.still = True, 0
        elif self.on:
            self.still = 0 if moving else self.still + 1
            self.on = self.still < STILL_STEPS
        return self.on


def any_moved(before: np.ndarray, after: np.ndarray, metres: float = MOVED, radians: float = TURNED) -> bool:
    """Whether any obstacle still on the table moved farther, or turned farther, between two sets of poses.

    Args:
        before, after: (N, 7) position and quaternion (w, x, y, z).
        metres, radians: what may change without counting.
    """
    on_table = after[:, 2] > _FALLEN
    shift = np.linalg.norm(after[:, :3] - before[:, :3], axis=1)
    cosine = np.abs((after[:, 3:] * before[:, 3:]).sum(1))  # a quaternion and its negative are the same rotation
    turn = 2 * np.arccos(np.minimum(cosine, 1.0))
    return bool((on_table & ((shift > metres) | (turn > radians))).any())
