"""Where things stand at the start of an episode: rejection sampling from one legacy NumPy stream.

The number and order of the draws are part of the tasks' definition: the same seed must give the same layout as the
original. The streams of ``numpy.random.RandomState`` are frozen, so layouts do not depend on the NumPy version.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

Rectangle = tuple[float, float, float, float]  # x_min, y_min, x_max, y_max in metres
Layout = dict[str, tuple[float, float]]  # name -> (x, y) in metres, in order of placement

TRIALS_PER_OBJECT = 100
ATTEMPTS = 10_000

_FIRST_LOOK, _LOOK, _BLOCK = 8, 92, 1024


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

    @cached_property
    def shrunk(self) -> np.ndarray:
        """(R, 4) the rectangles that remain after shrinking."""
        k = self.keepout
        inner = [(x0 + k, y0 + k, x1 - k, y1 - k) for x0, y0, x1, y1 in self.rectangles]
        return np.array([r for r in inner if r[0] <= r[2] and r[1] <= r[3]])

    @cached_property
    def cumulative(self) -> np.ndarray:
        """(R,) the rectangles' shares of the area, summed up."""
        x0, y0, x1, y1 = self.shrunk.T
        areas = (x1 - x0) * (y1 - y0)
        cumulative = (areas / areas.sum()).cumsum()
        return cumulative / cumulative[-1]


def fixed_location(x: float, y: float, keepout: float) -> Rectangle:
    """The rectangle that pins a thing of clearance ``keepout`` to (x, y): it still consumes its draws."""
    r = keepout + 1e-9
    return (x - r, y - r, x + r, y + r)


class _Stream:
    """Reads doubles ahead of a RandomState and in the end leaves it as if only the used ones had been drawn.

    Crowded layouts take up to 100 000 trials; looking at 100 trials at once makes them 20 times faster.
    """

    def __init__(self, rng: np.random.RandomState) -> None:
        self._rng = rng
        self._state = rng.get_state(legacy=False)
        self._ahead = rng.random_sample(_BLOCK)
        self._at = self._used = 0

    def peek(self, count: int) -> np.ndarray:
        """(count,) the next doubles, not yet used."""
        if self._at + count > len(self._ahead):
            self._ahead = np.concatenate([self._ahead[self._at :], self._rng.random_sample(_BLOCK)])
            self._at = 0
        return self._ahead[self._at : self._at + count]

    def use(self, count: int) -> None:
        """Marks the next ``count`` doubles as drawn."""
        self._at += count
        self._used += count

    def close(self) -> None:
        """Sets the RandomState to just after the used doubles."""
        self._rng.set_state(self._state)
        self._rng.random_sample(self._used)


def _candidates(placement: Placement, stream: _Stream, trials: int) -> tuple[np.ndarray, np.ndarray, int]:
    """x (trials,), y (trials,) of the next trials, and how many doubles one takes.

    With several rectangles, a trial first draws one of them by its area, as ``RandomState.choice(n, p=...)`` does.
    """
    if len(placement.shrunk) == 1:
        x0, y0, x1, y1 = placement.shrunk[0].tolist()
        u = stream.peek(2 * trials)
        return x0 + (x1 - x0) * u[0::2], y0 + (y1 - y0) * u[1::2], 2
    u = stream.peek(3 * trials)
    x0, y0, x1, y1 = placement.shrunk[placement.cumulative.searchsorted(u[0::3], side="right")].T
    return x0 + (x1 - x0) * u[1::3], y0 + (y1 - y0) * u[2::3], 3


def _place(
    stream: _Stream, placement: Placement, others: np.ndarray, clear: np.ndarray, trials: int
) -> tuple[float, float] | None:
    """The first of the next ``trials`` candidates at least ``clear`` (N,) metres from ``others`` (N, 2), or None."""
    done = 0
    while done < trials:
        n = min(_FIRST_LOOK if done == 0 else _LOOK, trials - done)
        x, y, doubles = _candidates(placement, stream, n)
        dx, dy = x[:, None] - others[:, 0], y[:, None] - others[:, 1]
        accepted = (np.sqrt(dx * dx + dy * dy) >= clear).all(axis=1)
        first = int(accepted.argmax())
        if accepted[first]:
            stream.use(doubles * (first + 1))
            return float(x[first]), float(y[first])
        stream.use(doubles * n)
        done += n
    return None


def draw_clear(
    rng: np.random.RandomState,
    placement: Placement,
    layout: Layout,
    keepouts: dict[str, float],
    trials: int,
) -> tuple[float, float] | None:
    """A position for ``placement`` that clears everything in ``layout``, or None after ``trials`` draws."""
    stream = _Stream(rng)
    others = np.array(list(layout.values())).reshape(-1, 2)
    clear = placement.keepout + np.array([keepouts[name] for name in layout])
    position = _place(stream, placement, others, clear, trials)
    stream.close()
    return position


def sample_layout(rng: np.random.RandomState, placements: Sequence[Placement]) -> Layout:
    """Places everything in order; one failure throws the whole attempt away while the stream runs on.

    Raises:
        RuntimeError: if no attempt succeeds: the placements do not fit their rectangles.
    """
    keepouts = np.array([placement.keepout for placement in placements])
    clear = keepouts[:, None] + keepouts
    positions = np.empty((len(placements), 2))
    stream = _Stream(rng)
    for _ in range(ATTEMPTS):
        for i, placement in enumerate(placements):
            position = _place(stream, placement, positions[:i], clear[i, :i], TRIALS_PER_OBJECT)
            if position is None:
                break
            positions[i] = position
        else:
            stream.close()
            return {p.name: (x, y) for p, (x, y) in zip(placements, positions.tolist(), strict=True)}
    raise RuntimeError(f"no layout found in {ATTEMPTS} attempts: make the extent larger or the clearances smaller.")
