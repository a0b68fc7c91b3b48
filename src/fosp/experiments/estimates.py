"""Estimates over seeds by rliable: Agarwal et al., "Deep reinforcement learning at the edge of the statistical
precipice", 2021."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from importlib import import_module
from typing import Any

import numpy as np

from fosp.errors import InputError
from fosp.report.statistics import Estimate, bootstrap_mean

RESAMPLES = 1_000


def seed_estimates(points: Sequence[Sequence[Sequence[float]]]) -> list[Estimate]:
    """Interquartile mean over seeds of the mean over episodes, with its 95% bootstrap interval, at each of some points.

    Args:
        points: for each point, for each of n seeds, the figures of its evaluation episodes. Of a single seed, the
            interval is that of the mean over its episodes: it says nothing about other seeds.
    """
    if len(points[0]) == 1:
        return [bootstrap_mean(episodes) for (episodes,) in points]
    scores = np.array([[np.mean(episodes) for episodes in seeds] for seeds in points]).T
    cut = len(scores) // 4

    def iqm(sample: np.ndarray) -> np.ndarray:  # rliable's aggregate_iqm of each column, in one call
        return np.sort(sample, axis=0)[cut : len(sample) - cut].mean(0)

    return _bootstrapped(scores, iqm, len(scores))


def task_estimate(scores: np.ndarray) -> Estimate:
    """Interquartile mean of `scores` (n seeds, tasks) with its 95% interval, bootstrapped over seeds within tasks."""
    _, metrics = _rliable()
    return _bootstrapped(scores, lambda sample: np.array([metrics.aggregate_iqm(sample)]), len(scores))[0]


def improvement(ours: np.ndarray, theirs: np.ndarray) -> Estimate:
    """Probability that a run of ours exceeds one of theirs on the same task, mean over tasks, with its 95% interval.

    Args:
        ours: scores (n seeds, tasks).
        theirs: scores (m seeds, tasks).
    """
    _, metrics = _rliable()

    def probability(one: np.ndarray, other: np.ndarray) -> np.ndarray:
        return np.array([metrics.probability_of_improvement(one, other)])

    return _bootstrapped([ours, theirs], probability, len(ours))[0]


def _bootstrapped(scores: Any, statistic: Callable[..., np.ndarray], n: int) -> list[Estimate]:
    library, _ = _rliable()
    # rliable 1.2 draws from NumPy's global generator whatever it is given: lend that a seed and give its state back.
    state = np.random.get_state()  # noqa: NPY002
    np.random.seed(0)  # noqa: NPY002
    try:
        points, intervals = library.get_interval_estimates({"": scores}, statistic, reps=RESAMPLES)
    finally:
        np.random.set_state(state)  # noqa: NPY002
    low, high = intervals[""]
    return [Estimate(float(p), float(a), float(b), n) for p, a, b in zip(points[""], low, high, strict=True)]


def _rliable() -> tuple[Any, Any]:
    try:
        return import_module("rliable.library"), import_module("rliable.metrics")
    except ModuleNotFoundError:
        raise InputError("intervals need rliable, which is not installed: pip install 'fosp[experiments]'.") from None
