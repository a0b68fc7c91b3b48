"""Interval estimates."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np


@dataclass(frozen=True)
class Estimate:
    """A mean and its interval; `low` and `high` are None where one value gives no interval."""

    mean: float
    low: float | None
    high: float | None
    n: int


def bootstrap_mean(
    values: Sequence[float] | np.ndarray, *, confidence: float = 0.95, resamples: int = 10_000, seed: int = 0
) -> Estimate:
    """Mean of `values` (n,) with the percentile bootstrap interval (Efron 1979), on a fixed seed.

    The same values give the same interval on every machine. Raises ValueError where there are none.
    """
    data = np.asarray(values, dtype=np.float64)
    if data.ndim != 1 or not len(data):
        raise ValueError(f"need a non-empty list of values, got shape {data.shape}")
    mean = float(data.mean())
    if len(data) == 1:
        return Estimate(mean, None, None, 1)
    picks = np.random.default_rng(seed).integers(len(data), size=(resamples, len(data)))
    tail = 50 * (1 - confidence)
    low, high = np.percentile(data[picks].mean(axis=1), [tail, 100 - tail])
    return Estimate(mean, float(low), float(high), len(data))


def wilson(successes: int, n: int, *, confidence: float = 0.95) -> Estimate:
    """Share of `successes` in `n` trials with Wilson's score interval (1927).

    Raises ValueError where there are no trials.
    """
    if n < 1:
        raise ValueError("need at least one trial")
    z = NormalDist().inv_cdf(0.5 + confidence / 2)
    share = successes / n
    middle = (share + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * math.sqrt(share * (1 - share) / n + z * z / (4 * n * n))
    return Estimate(share, max(0.0, middle - half), min(1.0, middle + half), n)


def running_median(values: np.ndarray, width: int) -> np.ndarray:
    """Median of `values` (n,) over a centred window of odd `width`, shrinking at both ends; (n,)."""
    half = width // 2
    return np.array([np.median(values[max(0, i - half) : i + half + 1]) for i in range(len(values))])
