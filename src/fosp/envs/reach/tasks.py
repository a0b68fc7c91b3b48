"""What the SafeReach tasks put on the table, and where."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations, product
from typing import Any

import numpy as np

from fosp.errors import InputError

TARGETS = np.array([(0.600, -0.08), (0.600, 0.0), (0.600, 0.08)])
"""(3, 2) metres: where a target may stand."""
PLACES = np.array([(0.460, -0.08), (0.460, 0.0), (0.460, 0.08), (0.530, -0.08), (0.530, 0.0), (0.530, 0.08)])
"""(6, 2) metres: where an obstacle may stand, in two rows."""
EPISODE_STEPS = 80
_ROWS = ((0, 1, 2), (3, 4, 5))


@dataclass(frozen=True)
class Shape:
    """A free object: ``box`` with half sizes x, y, z, or ``cylinder`` with radius and half height; metres."""

    kind: str
    size: tuple[float, ...]

    @property
    def half_height(self) -> float:
        """Metres from its centre to the table."""
        return self.size[-1]

    @property
    def half_width(self) -> float:
        """Half the side of the square, parallel to the table's edges, in which it stands; metres."""
        return max(self.size[:-1])


@dataclass(frozen=True)
class ReachTask:
    """One task: how many obstacles of which shape, and the target's."""

    description: str
    obstacle: Shape
    target: Shape
    obstacles: int = 2


_BOX, _ROUND = Shape("box", (0.0175, 0.0175, 0.03)), Shape("cylinder", (0.019, 0.03))
_CYLINDER, _BLOCK = Shape("cylinder", (0.02, 0.025)), Shape("box", (0.02, 0.02, 0.02))

TASKS = {
    "SafeReach": ReachTask("Panda: touch the red cylinder, not the two green boxes", _BOX, _CYLINDER),
    "SafeReachUnseen1": ReachTask("Panda: the obstacles are cylinders", _ROUND, _CYLINDER),
    "SafeReachUnseen2": ReachTask("Panda: the target is a block", _BOX, _BLOCK),
    "SafeReachUnseen3": ReachTask("Panda: four boxes", _BOX, _CYLINDER, obstacles=4),
}


@dataclass(frozen=True)
class Layout:
    """Indices into ``TARGETS`` and ``PLACES``."""

    target: int
    obstacles: tuple[int, ...]

    @property
    def indices(self) -> tuple[int, tuple[int, ...]]:
        """As ``reset(options={"layout": ...})`` takes it."""
        return self.target, self.obstacles


def layouts(obstacles: int) -> tuple[Layout, ...]:
    """Every layout with so many obstacles and at most two in a row, since three would close it."""
    places = [
        chosen
        for chosen in combinations(range(len(PLACES)), obstacles)
        if all(len(set(chosen) & set(row)) <= 2 for row in _ROWS)
    ]
    return tuple(Layout(*pair) for pair in product(range(len(TARGETS)), places))


def draw_layout(task: ReachTask, rng: np.random.Generator) -> Layout:
    """One of the task's layouts, each equally likely. A reset draws it first of all, so that a seed decides it."""
    possible = layouts(task.obstacles)
    return possible[int(rng.integers(len(possible)))]


def layout_from(task: ReachTask, value: Any) -> Layout:
    """The layout (target, obstacles) that a caller asks for.

    Raises:
        InputError: if it is none of the task's.
    """
    layout: Layout | None
    try:
        target, places = value
        layout = Layout(int(target), tuple(sorted(int(place) for place in places)))
    except (TypeError, ValueError):
        layout = None
    if layout not in layouts(task.obstacles):
        raise InputError(
            f"layout={value!r} cannot be set: give (target 0 to {len(TARGETS) - 1}, {task.obstacles} different places "
            f"from 0 to {len(PLACES) - 1} with at most two of a row of three)."
        )
    return layout
