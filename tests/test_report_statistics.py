import numpy as np
import pytest
from scipy import stats

from fosp.report.statistics import bootstrap_mean, running_median, wilson


@pytest.mark.parametrize("n", [5, 20, 60])
def test_interval_agrees_with_scipy(n):
    values = np.random.default_rng(n).gamma(2, 5, n)
    ours = bootstrap_mean(values)
    theirs = stats.bootstrap((values,), np.mean, method="percentile", n_resamples=20_000, rng=7).confidence_interval
    spread = values.std() / np.sqrt(n)
    assert ours.mean == pytest.approx(values.mean())
    assert abs(ours.low - theirs.low) < 0.06 * spread
    assert abs(ours.high - theirs.high) < 0.06 * spread


def test_interval_covers_the_true_mean_about_as_often_as_it_says():
    rng = np.random.default_rng(0)
    hits = 0
    for _ in range(200):
        estimate = bootstrap_mean(rng.normal(3, 1, 30), resamples=500)
        hits += estimate.low <= 3 <= estimate.high
    assert 0.88 <= hits / 200 <= 0.99


def test_same_values_give_the_same_interval():
    assert bootstrap_mean([1, 2, 5]) == bootstrap_mean([1, 2, 5])


def test_one_value_has_no_interval_and_none_is_an_error():
    assert bootstrap_mean([2.0]).low is None
    with pytest.raises(ValueError, match="non-empty"):
        bootstrap_mean([])


def test_running_median_ignores_a_spike():
    assert running_median(np.array([1.0, 1, 50, 1, 1]), 3).tolist() == [1, 1, 1, 1, 1]


@pytest.mark.parametrize(("k", "n"), [(0, 20), (13, 20), (20, 20), (7, 60)])
def test_wilsons_interval_is_scipys(k, n):
    ours, theirs = wilson(k, n), stats.binomtest(k, n).proportion_ci(method="wilson")
    assert (ours.mean, ours.n) == (k / n, n)
    assert (ours.low, ours.high) == pytest.approx((theirs.low, theirs.high), abs=1e-9)


def test_a_share_of_no_trials_is_refused():
    with pytest.raises(ValueError, match="one trial"):
        wilson(0, 0)
