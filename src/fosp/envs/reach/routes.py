"""Shortest ways for the finger tips between obstacles, in the plane of the table."""

from __future__ import annotations

import numpy as np

from fosp.envs.planner import shortest_distances
from fosp.envs.reach.pose import HIGH, LOW

CORNER_PENALTY = 0.004  # metres that a corner counts extra: fewer turns are easier to steer
_HAIR = 1e-6  # metres by which ways keep off the squares' sides


def route(start: np.ndarray, goal: np.ndarray, centres: np.ndarray, half: float) -> np.ndarray | None:
    """The shortest way around squares that stays in the workspace.

    Args:
        start, goal: (2,) metres.
        centres: (N, 2) of the squares, whose sides are parallel to the axes.
        half: half their side, clearance included; metres.

    Returns:
        (K, 2) waypoints after ``start``, the last of them ``goal``, or None if there is no way.
    """
    corners = np.array([(-1, -1), (-1, 1), (1, -1), (1, 1)])
    nodes = (centres[:, None] + (half + _HAIR) * corners).reshape(-1, 2)
    inside = ((nodes >= LOW[:2]) & (nodes <= HIGH[:2])).all(1)
    nodes = np.concatenate([goal[None], start[None], nodes[inside]])
    step = np.linalg.norm(nodes[:, None] - nodes[None], axis=-1) + CORNER_PENALTY
    step[crosses(nodes, nodes, centres, half)] = np.inf
    distance = shortest_distances(step)
    if not np.isfinite(distance[1]):
        return None
    way, node = [], 1
    while node != 0:
        node = int(np.argmin(np.where(distance < distance[node], step[node] + distance, np.inf)))
        way.append(nodes[node])
    return np.array(way)


def crosses(start: np.ndarray, end: np.ndarray, centres: np.ndarray, half: float) -> np.ndarray:
    """Whether straight segments from ``start`` (N, 2) to ``end`` (M, 2) enter a square; (N, M) bool."""
    along = (end[None] - start[:, None])[:, :, None]  # (N, M, 1, 2)
    offset = centres[None] - start[:, None]  # (N, C, 2)
    with np.errstate(divide="ignore", invalid="ignore"):
        first, second = ((offset[:, None] + side * half) / along for side in (-1, 1))  # (N, M, C, 2)
    # along an axis in which the segment does not move it is always, or never, between the sides
    between = (np.abs(offset) < half)[:, None] & np.ones_like(along, bool)
    still = (along == 0) & np.ones_like(between)
    enter = np.where(still, np.where(between, -np.inf, np.inf), np.minimum(first, second)).max(-1)
    leave = np.where(still, np.inf, np.maximum(first, second)).min(-1)
    return ((enter < leave) & (enter < 1) & (leave > 0)).any(-1)
