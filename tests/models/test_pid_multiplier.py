"""The PID multiplier against a sequence worked by hand, and in a loop with a cost that answers to it."""

from __future__ import annotations

import pytest
import torch

from fosp.models.lagrangian import PIDMultiplier, discounted_budget


def run(multiplier, costs, budget):
    values = []
    for cost in costs:
        multiplier.update(torch.tensor(cost), budget)
        values.append(multiplier.multiplier.item())
    return values


def test_each_term_worked_by_hand():
    costs, budget = [3.0, 5.0, 4.0, 0.0], 2.0  # excess 1, 3, 2, -2
    assert run(PIDMultiplier(1, 0, 0, smoothing=0.0), costs, budget) == pytest.approx([1, 3, 2, 0])
    assert run(PIDMultiplier(0, 1, 0), costs, budget) == pytest.approx([1, 4, 6, 4])
    assert run(PIDMultiplier(0, 0, 1, smoothing=0.0), costs, budget) == pytest.approx([0, 2, 0, 0])
    # Averages: excess 0.5, 1.75, 1.875, -0.0625; cost 3, 4, 4, 2.
    assert run(PIDMultiplier(1, 0, 0, smoothing=0.5), costs, budget) == pytest.approx([0.5, 1.75, 1.875, 0])
    assert run(PIDMultiplier(0, 0, 1, smoothing=0.5), costs, budget) == pytest.approx([0, 1, 0, 0])
    assert run(PIDMultiplier(0.1, 1, 0, smoothing=0.0), costs, budget) == pytest.approx([1.1, 4.3, 6.2, 3.8])


def test_it_is_never_negative_and_forgets_no_debt_below_zero():
    pid = PIDMultiplier(0, 1, 0)
    assert run(pid, [0.0] * 10 + [3.0], 2.0) == [0.0] * 10 + [1.0]


def test_it_rises_and_settles_where_the_cost_meets_its_budget():
    """Cost falls with the multiplier as 10 / (1 + lambda); the budget of 2 is met at lambda = 4."""
    pid, history = PIDMultiplier(0.1, 0.02, 0.1), []
    for _ in range(2000):
        pid.update(10 / (1 + pid.multiplier), 2.0)
        history.append(pid.multiplier.item())
    assert history[0] < 1
    assert max(history) < 6
    assert history[-200:] == pytest.approx([4.0] * 200, abs=0.02)


def test_budget_is_an_even_stream_discounted():
    gamma, limit, steps = 0.9, 5.0, 20
    stream = sum(gamma**k * limit / steps for k in range(1000))
    assert discounted_budget(limit, gamma, steps) == pytest.approx(stream)
