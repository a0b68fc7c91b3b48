"""Where things stand at the start of an episode: rejection sampling from one legacy NumPy stream.

The number and order of the draws are part of the tasks' definition: the same seed must give the same layout as the
original. The streams of ``numpy.random.RandomState`` are frozen, so layouts do not depend on the NumPy version.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

Rectangle = tuple[float, float, float, float]  # x_min, y_min, x_max, y_max in metres
Layout = dict[str, tuple[float, float]]  # name -> (x, y) in metres, in order of placement

TRIALS_PER_OBJECT = 100
ATTEMPTS = 10_000


@dataclass(frozen=True)
class Placement:
    """One thing to place.

    Attributes:
        name: key in the layout.
        keepout: radius in metres that stays clear of every other thing's radius.
        rectangles: where it may stand; each is shrunk by ``keepout`` on every side.
    """

    name: str
    keepout: float
    rectangles: tuple[Rectangle, ...]


def fixed_location(x: float, y: float, keepout: float) -> Rectangle:
    """The rectangle that pins a thing of clearance ``keepout`` to (x, y): it still consumes its draws."""
    r = keepout + 1e-9
    return (x - r, y - r, x + r, y + r)


def _draw(rng: np.random.RandomState, placement: Placement) -> tuple[float, float]:
    """One candidate position; with several rectangles one is drawn by its area first."""
    k = placement.keepout
    shrunk = [(x0 + k, y0 + k, x1 - k, y1 - k) for x0, y0, x1, y1 in placement.rectangles]
    shrunk = [r for r in shrunk if r[0] <= r[2] and r[1] <= r[3]]
    if len(shrunk) == 1:
        x0, y0, x1, y1 = shrunk[0]
    else:
        areas = np.array([(x1 - x0) * (y1 - y0) for x0, y0, x1, y1 in shrunk])
        x0, y0, x1, y1 = shrunk[rng.choice(len(shrunk), p=areas / areas.sum())]
    return x0 + (x1 - x0) * rng.random_sample(), y0 + (y1 - y0) * rng.random_sample()


def draw_clear(
    rng: np.random.RandomState,
    placement: Placement,
    layout: Layout,
    keepouts: dict[str, float],
    trials: int,
) -> tuple[float, float] | None:
    """A position for ``placement`` that clears everything in ``layout``, or None after ``trials`` draws."""
    others = [(x, y, placement.keepout + keepouts[name]) for name, (x, y) in layout.items()]
    for _ in range(trials):
        x, y = _draw(rng, placement)
        if all(math.sqrt((x - ox) ** 2 + (y - oy) ** 2) >= clear for ox, oy, clear in others):
            return x, y
    return None


def sample_layout(rng: np.random.RandomState, placements: Sequence[Placement]) -> Layout:
    """Places everything in order; one failure throws the whole attempt away while the stream runs on.

    Raises:
        RuntimeError: if no attempt succeeds: the placements do not fit their rectangles.
    """
    keepouts = {p.name: p.keepout for p in placements}
    for _ in range(ATTEMPTS):
        layout: Layout = {}
        for placement in placements:
            position = draw_clear(rng, placement, layout, keepouts, TRIALS_PER_OBJECT)
            if position is None:
                break
            layout[placement.name] = position
        else:
            return layout
    raise RuntimeError(f"no layout found in {ATTEMPTS} attempts: make the extent larger or the clearances smaller.")
