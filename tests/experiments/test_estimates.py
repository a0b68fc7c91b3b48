"""Estimates against cases worked by hand."""

from __future__ import annotations

import numpy as np
import pytest

from fosp.experiments.estimates import improvement, seed_estimates, task_estimate
from fosp.report.statistics import bootstrap_mean


def test_the_interquartile_mean_leaves_out_a_quarter_at_either_end():
    """Five seeds: one is cut off below, one above, the mean of 2, 3, 7 is left."""
    (estimate,) = seed_estimates([[[1.0], [3.0], [2.0], [1000.0], [7.0]]])
    assert estimate.mean == 4.0
    assert estimate.n == 5
    assert 1 <= estimate.low <= 4 <= estimate.high <= 1000


def test_many_points_at_once_are_rliables_interquartile_means_one_by_one():
    scores = np.random.default_rng(0).normal(size=(7, 4))  # seeds, points
    together = seed_estimates([[[value] for value in column] for column in scores.T])
    for estimate, column in zip(together, scores.T, strict=True):
        assert estimate.mean == pytest.approx(task_estimate(column[:, None]).mean)


def test_seeds_count_by_the_mean_of_their_episodes():
    """Means 2, 4, 9; of three seeds none is cut off."""
    points = seed_estimates([[[1.0, 3.0], [4.0], [8.0, 10.0]], [[0.0], [0.0], [0.0]]])
    assert [point.mean for point in points] == [5.0, 0.0]
    assert (points[0].low, points[0].high) == (2.0, 9.0)  # among 27 resamples each extreme has probability 1/27 > 2.5%
    assert (points[1].low, points[1].high) == (0.0, 0.0)


def test_a_single_seed_has_the_interval_of_its_episodes():
    assert seed_estimates([[[1.0, 2.0, 6.0]]]) == [bootstrap_mean([1.0, 2.0, 6.0])]


def test_over_tasks_the_quarter_is_cut_from_all_scores_together():
    """Of 1, 2, 3, 4, 10, 20, 30, 40 the middle four are left: 3, 4, 10, 20."""
    estimate = task_estimate(np.array([[1.0, 10.0], [2.0, 20.0], [3.0, 30.0], [4.0, 40.0]]))
    assert estimate.mean == pytest.approx(9.25)
    assert estimate.low < 9.25 < estimate.high


def test_probability_of_improvement_counts_pairs_within_tasks():
    """Task 1: of 2 x 3 pairs ours wins 5 and ties 1, which is half a win: 5.5/6. Task 2: loses all. Mean 5.5/12."""
    ours, theirs = np.array([[2.0, 0.0], [3.0, 0.0]]), np.array([[1.0, 5.0], [2.0, 5.0], [1.0, 6.0]])
    estimate = improvement(ours, theirs)
    assert estimate.mean == pytest.approx(5.5 / 12)
    assert 0 <= estimate.low <= estimate.mean <= estimate.high <= 0.5


def test_the_same_scores_give_the_same_interval_and_numpy_keeps_its_state():
    scores = np.arange(10.0).reshape(5, 2)
    np.random.seed(3)  # noqa: NPY002
    state = np.random.get_state()[1].copy()  # noqa: NPY002
    first = task_estimate(scores)
    assert (np.random.get_state()[1] == state).all()  # noqa: NPY002
    np.random.seed(4)  # noqa: NPY002
    assert task_estimate(scores) == first
