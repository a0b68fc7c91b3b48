"""The augmented Lagrangian against Eq. 17 written out, and the multiplier against a loop in plain Python."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from fosp.models.lagrangian import Multiplier, augmented_lagrangian


def phi(value: float, multiplier: float, penalty: float) -> float:
    """Eq. 17, branch by branch, in plain Python."""
    if multiplier + penalty / 2 * value >= 0:
        return multiplier * value + penalty / 4 * value * value
    return -multiplier * multiplier / penalty


def tensors(*numbers: float) -> list[torch.Tensor]:
    return [torch.tensor(n, dtype=torch.float64) for n in numbers]


@pytest.mark.parametrize(
    ("value", "multiplier", "penalty", "expected"),
    [
        (2.0, 0.5, 0.2, 1.2),  # active: 0.5 * 2 + 0.05 * 4
        (0.0, 0.5, 0.2, 0.0),
        (-1.0, 0.5, 0.2, -0.45),  # still active: 0.5 - 0.1 >= 0
        (-5.0, 0.5, 0.2, -1.25),  # the edge: -0.25 / 0.2, equal on both sides
        (-50.0, 0.5, 0.2, -1.25),  # inactive: constant
    ],
)
def test_phi_worked_by_hand(value, multiplier, penalty, expected):
    assert augmented_lagrangian(*tensors(value, multiplier, penalty)).item() == pytest.approx(expected)
    assert phi(value, multiplier, penalty) == pytest.approx(expected)


def test_phi_is_continuous_and_smooth_where_its_branches_meet():
    multiplier, penalty = 0.3, 0.05
    edge = -2 * multiplier / penalty
    value = torch.tensor([edge - 1e-6, edge + 1e-6], dtype=torch.float64, requires_grad=True)
    result = augmented_lagrangian(value, *tensors(multiplier, penalty))
    result.sum().backward()
    assert result[0].item() == pytest.approx(result[1].item(), abs=1e-9)
    np.testing.assert_allclose(value.grad, 0, atol=1e-6)


def test_phi_gradient_is_the_multiplier_plus_half_the_penalty_times_the_value():
    value = torch.tensor([-3.0, 0.0, 1.5, 40.0], dtype=torch.float64, requires_grad=True)
    augmented_lagrangian(value, *tensors(0.4, 0.02)).sum().backward()
    np.testing.assert_allclose(value.grad, 0.4 + 0.01 * value.detach(), atol=1e-12)


def test_multiplier_follows_eq_27_over_100_steps():
    """Costs that fall below zero (value estimates can) drive lambda to its floor and let it rise again."""
    rng = np.random.default_rng(0)
    values = rng.normal(0.5, 6, 100)
    module = Multiplier(0.01, 1e-3, 0.05)
    multiplier, penalty = 0.01, 1e-3
    floors = 0
    for value in values:
        module.update(torch.tensor(value, dtype=torch.float32))
        step = multiplier + penalty / 2 * float(np.float32(value))
        multiplier = step if step > 0 else 0.0
        floors += step <= 0
        penalty = max(penalty, min(penalty * 1.05, 1.0))
        assert module.multiplier.item() == pytest.approx(multiplier, rel=1e-9, abs=1e-15)
        assert module.penalty.item() == pytest.approx(penalty, rel=1e-9)
    assert floors > 0


def test_penalty_grows_monotonically_and_stops_at_one():
    module = Multiplier(0.01, 0.5, 0.3)
    path = []
    for _ in range(10):
        module.update(torch.tensor(0.0))
        path.append(module.penalty.item())
    assert path[:2] == pytest.approx([0.65, 0.845])
    assert path[2:] == [1.0] * 8
    above = Multiplier(0.01, 5.0, 0.3)
    above.update(torch.tensor(0.0))
    assert above.penalty.item() == 5.0  # never decreasing


def test_the_papers_growth_is_not_lost_to_rounding():
    """nu = 5e-9 is below float32's resolution; 100 steps must show in mu."""
    module = Multiplier(0.01, 1e-6, 5e-9)
    for _ in range(100):
        module.update(torch.tensor(1.0))
    assert module.penalty.item() / 1e-6 - 1 == pytest.approx(5e-7, rel=1e-3)
    assert module.multiplier.item() == pytest.approx(0.01 + 100 * 0.5e-6, rel=1e-6)


def test_phi_uses_the_modules_own_state():
    module = Multiplier(0.25, 0.1, 0.0)
    np.testing.assert_allclose(
        module.phi(torch.tensor([3.0, -9.0])), [phi(3, 0.25, 0.1), phi(-9, 0.25, 0.1)], rtol=1e-6
    )


def test_a_limit_stops_the_multiplier_and_nothing_else():
    free, limited = Multiplier(0.5, 0.2, 0.1), Multiplier(0.5, 0.2, 0.1, limit=0.8)
    for _ in range(5):
        before = float(limited.multiplier), float(limited.penalty)
        for multiplier in (free, limited):
            multiplier.update(torch.tensor(1.5))
        assert float(limited.multiplier) == pytest.approx(min(0.8, before[0] + before[1] / 2 * 1.5))
    assert float(free.multiplier) > float(limited.multiplier) == 0.8
    assert float(limited.penalty) == float(free.penalty)
    limited.update(torch.tensor(-1.0))
    assert float(limited.multiplier) < 0.8


def test_dual_ascent_moves_by_the_excess_beyond_the_limit_of_eq_27_and_never_below_0():
    module = Multiplier(2.0, 1e-3, 0.0, 3.0)
    for excess, expected in [(5.0, 2.5), (-1.0, 2.4), (20.0, 4.4), (-50.0, 0.0)]:
        module.ascend(excess, 0.1)
        assert module.multiplier.item() == pytest.approx(expected)
    assert module.penalty.item() == 1e-3
