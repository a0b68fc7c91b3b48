"""Geometry for the scripted behaviours: shortest paths around circles, and rollouts of a simple motion model."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

_NODES_PER_CIRCLE = 8


def blocked(start: np.ndarray, end: np.ndarray, circles: np.ndarray) -> np.ndarray:
    """Whether straight segments run through circles.

    A segment that leaves a circle it starts in is not blocked by it, so that there is always a way out.

    Args:
        start: (N, 2); end: (M, 2) metres.
        circles: (C, 3) x, y, radius in metres.

    Returns:
        (N, M) bool.
    """
    along = end[None] - start[:, None]  # (N, M, 2)
    to_circle = circles[None, :, :2] - start[:, None]  # (N, C, 2)
    length2 = np.maximum((along**2).sum(-1), 1e-12)[..., None]  # (N, M, 1)
    product = np.matmul(along, to_circle.transpose(0, 2, 1))  # (N, M, C)
    t = np.minimum(product / length2, 1.0)  # where on the segment it comes closest
    distance2 = (to_circle**2).sum(-1)[:, None] - t * (2 * product - t * length2)
    return ((distance2 < circles[:, 2] ** 2) & (t > 0)).any(-1)


def shortest_distances(cost: np.ndarray) -> np.ndarray:
    """Dijkstra's distances to node 0 on a dense symmetric cost matrix (P, P)."""
    cost = np.minimum(cost, cost.T)
    distance = np.full(len(cost), np.inf)
    distance[0] = 0.0
    open_ = np.ones(len(cost), dtype=bool)
    for _ in range(len(cost)):
        node = int(np.argmin(np.where(open_, distance, np.inf)))
        if not np.isfinite(distance[node]):
            break
        open_[node] = False
        distance = np.minimum(distance, distance[node] + cost[node])
    return distance


class PathMap:
    """Distances to one goal around circles, through a graph of points on their rims."""

    def __init__(self, goal: np.ndarray, circles: np.ndarray) -> None:
        """Solves the graph; ``goal`` (2,) and ``circles`` (C, 3) in metres, radii include the clearance."""
        self.goal, self.circles = goal, circles
        angles = np.arange(_NODES_PER_CIRCLE) * (2 * np.pi / _NODES_PER_CIRCLE)
        # an octagon whose sides stay outside the circle
        rim = 1.02 * circles[:, 2, None, None] / np.cos(np.pi / _NODES_PER_CIRCLE)
        points = circles[:, None, :2] + rim * np.stack([np.cos(angles), np.sin(angles)], -1)
        points = points.reshape(-1, 2)
        offset = points[:, None] - circles[None, :, :2]
        free = ((offset**2).sum(-1) > circles[:, 2] ** 2).all(-1)
        self.nodes = np.concatenate([goal[None], points[free]])  # (P, 2)
        cost = np.sqrt(((self.nodes[:, None] - self.nodes[None]) ** 2).sum(-1))
        cost[blocked(self.nodes, self.nodes, circles)] = np.inf
        self.distance = shortest_distances(cost)  # (P,) from each node to the goal

    def waypoint(self, point: np.ndarray) -> np.ndarray:
        """Where to drive first from `point` (2,) on the shortest known way, or the goal where none is known, (2,)."""
        way = np.sqrt(((point - self.nodes) ** 2).sum(-1)) + self.distance
        way[blocked(point[None], self.nodes, self.circles)[0]] = np.inf
        return self.nodes[np.argmin(way)] if np.isfinite(way).any() else self.goal


@dataclass(frozen=True)
class MotionModel:
    """How a robot answers to thrust and turn, both in [-1, 1].

    Attributes:
        acceleration: metres a second squared at full thrust.
        drag: deceleration per speed, 1/s.
        turn_rate: radians a second at full turn.
        turn_lag: seconds that the turn rate takes to follow.
        slides: whether the robot keeps its direction of motion when it turns (Point) or not (Car).
    """

    acceleration: float
    drag: float
    turn_rate: float
    turn_lag: float
    slides: bool


@dataclass(frozen=True)
class Motion:
    """A robot's state: position (2,), velocity (2,), heading in radians, yaw rate in radians a second."""

    position: np.ndarray
    velocity: np.ndarray
    heading: float
    yaw_rate: float


def rollout(
    model: MotionModel, start: Motion, thrust: np.ndarray, turn: np.ndarray, steps: int, brake_steps: int, dt: float
) -> np.ndarray:
    """Holds each of K actions for some steps, then brakes.

    Args:
        model: how the robot moves.
        start: where it is.
        thrust, turn: (K,) in [-1, 1].
        steps, brake_steps: numbers of steps of ``dt`` seconds.

    Returns:
        positions (steps + brake_steps, K, 2) after each step.
    """
    k = len(thrust)
    p, v = np.tile(start.position, (k, 1)), np.tile(start.velocity, (k, 1))
    heading, rate = np.full(k, start.heading), np.full(k, start.yaw_rate)
    follow = 1.0 - np.exp(-dt / model.turn_lag)
    keep = np.exp(-model.drag * dt)
    gain = model.acceleration * (1.0 - keep) / model.drag
    positions = np.empty((steps + brake_steps, k, 2))
    for i in range(steps + brake_steps):
        rate = rate + follow * (model.turn_rate * turn * (i < steps) - rate)
        middle = heading + 0.5 * rate * dt
        heading = heading + rate * dt
        direction = np.stack([np.cos(middle), np.sin(middle)], -1)
        speed = (v * direction).sum(-1)
        push = thrust if i < steps else -np.clip(2.0 * speed, -1.0, 1.0)
        base = v if model.slides else speed[:, None] * direction
        new = keep * base + (gain * push)[:, None] * direction
        p = p + 0.5 * dt * (v + new)
        v = new
        positions[i] = p
    return positions
