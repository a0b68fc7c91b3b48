"""Policy weights (Eqs. 19 and 23) and the percentile scale."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from fosp.models.weights import Scale, offline_weight, online_weight


def t(*values: float) -> torch.Tensor:
    return torch.tensor(values, dtype=torch.float64)


def test_offline_weight_worked_by_hand():
    """u = 0.25, beta 2 and 3: 0.25 exp(2 * 0.1) + 0.75 exp(-3 * 0.2)."""
    w = offline_weight(t(0.25), t(0.1), t(0.2), 2.0, 3.0, 100.0)
    assert w.item() == pytest.approx(0.25 * math.exp(0.2) + 0.75 * math.exp(-0.6))


def test_offline_weight_follows_reward_where_feasible_and_cost_where_not():
    advantage_reward, advantage_cost = t(-0.2, 0.0, 0.2), t(0.3, -0.1, 0.1)
    feasible = offline_weight(torch.ones(3).double(), advantage_reward, advantage_cost, 10, 10, 100)
    np.testing.assert_allclose(feasible, np.exp(10 * advantage_reward.numpy()))
    infeasible = offline_weight(torch.zeros(3).double(), advantage_reward, advantage_cost, 10, 10, 100)
    np.testing.assert_allclose(infeasible, np.exp(-10 * advantage_cost.numpy()))


@pytest.mark.parametrize("u", [0.0, 0.3, 1.0])
@pytest.mark.parametrize("size", [1.0, 1e3, 1e30])
def test_offline_weight_is_clipped_and_never_overflows(u, size):
    signs = torch.tensor([[-1.0, 1.0], [1.0, 1.0], [-1.0, -1.0], [1.0, -1.0]])
    w = offline_weight(torch.full((4,), u), size * signs[:, 0], size * signs[:, 1], 10.0, 10.0, 100.0)
    assert torch.isfinite(w).all()
    assert w.min() >= 0
    assert w.max() <= 100
    assert w[3].item() == pytest.approx(100)  # better in both: either exponential at its bound


def test_the_clip_applies_to_each_exponential_before_mixing():
    w = offline_weight(t(0.1), t(50.0), t(0.0), 10.0, 10.0, 100.0)
    assert w.item() == pytest.approx(0.1 * 100 + 0.9)


def test_online_weight_worked_by_hand():
    """u beta_1 A_r - (1 - u) beta_2 A_c with u = 0.25: 0.25 * 2 * 0.4 - 0.75 * 3 * 0.1."""
    assert online_weight(t(0.25), t(0.4), t(0.1), 2.0, 3.0).item() == pytest.approx(0.2 - 0.225)
    assert online_weight(t(1.0), t(0.4), t(9.0), 2.0, 3.0).item() == pytest.approx(0.8)
    assert online_weight(t(0.0), t(9.0), t(0.1), 2.0, 3.0).item() == pytest.approx(-0.3)


# ------------------------------------------------------------------------------ scale


def test_scale_is_the_moving_percentile_range_of_numpy():
    rng = np.random.default_rng(0)
    scale, expected = Scale("return", rate=0.1), 0.0
    for _ in range(30):
        x = rng.normal(3, 40, size=(5, 77))
        scale.see(torch.from_numpy(x).float())
        low, high = np.percentile(x, [5, 95])
        expected += 0.1 * ((high - low) - expected)
        assert scale.value.item() == pytest.approx(max(expected, 1.0), rel=1e-4)


@pytest.mark.parametrize(("of", "floor"), [("return", 1.0), ("advantage", 0.01)])
def test_scale_has_a_floor(of, floor):
    scale = Scale(of)
    assert scale.value.item() == pytest.approx(floor)
    for _ in range(5):
        scale.see(torch.full((10,), 7.0))
    assert scale.value.item() == pytest.approx(floor)


def test_scale_recovers_after_a_quiet_start():
    """The floor bounds what is divided by; it must not enter the average."""
    scale = Scale("return", rate=0.5)
    scale.see(torch.zeros(10))
    for x in (10.0, 10.0):
        scale.see(torch.linspace(0, x, 101))
    assert scale.value.item() == pytest.approx(9 * 0.75, rel=1e-4)
