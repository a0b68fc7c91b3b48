"""The guard's promise, on numbers whose distribution is known."""

from __future__ import annotations

import numpy as np
import pytest

from fosp.deploy.guard import conformal_threshold
from fosp.errors import InputError


def test_threshold_is_the_kth_smallest():
    """n = 9, alpha 0.2: k = ceil(10 * 0.8) = 8."""
    assert conformal_threshold([9, 1, 8, 2, 7, 3, 6, 4, 5], 0.2) == 8


def test_no_more_false_alarms_than_promised():
    random = np.random.default_rng(0)
    alarms = [random.exponential() > conformal_threshold(random.exponential(size=18), 0.1) for _ in range(20_000)]
    # Where nothing is tied it is the largest of 19, of which the 18 are the others, that sets it off: 1 / 19.
    assert np.mean(alarms) == pytest.approx(1 / 19, abs=0.006)


@pytest.mark.parametrize(("count", "alpha"), [(8, 0.1), (0, 0.5)])
def test_too_few_episodes_are_refused(count, alpha):
    with pytest.raises(InputError, match="too few"):
        conformal_threshold([0.5] * count, alpha)


@pytest.mark.parametrize("alpha", [0.0, 1.0])
def test_share_of_false_alarms_lies_between_0_and_1(alpha):
    with pytest.raises(InputError, match="between 0 and 1"):
        conformal_threshold([0.5] * 50, alpha)
