"""Interval estimates."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

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


def running_median(values: np.ndarray, width: int) -> np.ndarray:
    """Median of `values` (n,) over a centred window of odd `width`, shrinking at both ends; (n,)."""
    half = width // 2
    return np.array([np.median(values[max(0, i - half) : i + half + 1]) for i in range(len(values))])
