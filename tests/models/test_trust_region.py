"""The step of constrained policy optimisation against a general solver; advantages against Stable-Baselines3."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from gymnasium import spaces
from scipy.optimize import minimize

from fosp.models.trust_region import constrained_step, generalised_advantages

RADIUS = 0.01


def problem(seed):
    random = np.random.default_rng(seed)
    root = random.normal(size=(4, 4))
    return root @ root.T + 0.5 * np.eye(4), random.normal(size=4), random.normal(size=4)


def step_of(hessian, gain, cost, excess):
    h = torch.from_numpy(hessian)
    return constrained_step(
        torch.from_numpy(gain), torch.from_numpy(cost), excess, RADIUS, lambda v: torch.linalg.solve(h, v)
    )


@pytest.mark.parametrize("seed", range(12))
@pytest.mark.parametrize("share", [-3.0, -0.8, -0.2, 0.0, 0.2, 0.8])
def test_step_solves_the_constrained_problem(seed, share):
    hessian, gain, cost = problem(seed)
    reach = np.sqrt(2 * RADIUS * cost @ np.linalg.solve(hessian, cost))  # cost that the trust region can take off
    excess = share * reach
    step = step_of(hessian, gain, cost, excess)
    best = minimize(
        lambda x: -gain @ x,
        -excess / (cost @ cost) * cost,
        jac=lambda x: -gain,
        constraints=[
            {"type": "ineq", "fun": lambda x: RADIUS - x @ hessian @ x / 2, "jac": lambda x: -hessian @ x},
            {"type": "ineq", "fun": lambda x: -excess - cost @ x, "jac": lambda x: -cost},
        ],
        method="SLSQP",
        options={"ftol": 1e-13, "maxiter": 500},
    )
    assert best.status in (0, 8)  # 8: no further progress at this precision
    x = step.direction.numpy()
    assert x @ hessian @ x / 2 <= RADIUS * (1 + 1e-6)
    assert excess + cost @ x <= 1e-8
    assert gain @ x == pytest.approx(gain @ best.x, abs=1e-5)
    assert step.case == ("unconstrained" if share == -3 else "constrained")


@pytest.mark.parametrize("seed", range(4))
def test_out_of_reach_the_step_takes_off_as_much_cost_as_the_region_allows(seed):
    hessian, gain, cost = problem(seed)
    reach = np.sqrt(2 * RADIUS * cost @ np.linalg.solve(hessian, cost))
    step = step_of(hessian, gain, cost, 1.5 * reach)
    assert step.case == "recovery"
    assert cost @ step.direction.numpy() == pytest.approx(-reach)


def test_no_cost_gradient_and_room_left_is_the_plain_trust_region_step():
    hessian, gain, _ = problem(0)
    x = step_of(hessian, gain, np.zeros(4), -1.0).direction.numpy()
    natural = np.linalg.solve(hessian, gain)
    np.testing.assert_allclose(x, natural * np.sqrt(2 * RADIUS / (gain @ natural)))


def test_advantages_are_those_of_stable_baselines():
    buffers = pytest.importorskip("stable_baselines3.common.buffers")
    random = np.random.default_rng(0)
    n, gamma, lambda_ = 12, 0.9, 0.8
    signal, value = random.normal(size=n).astype(np.float32), random.normal(size=n).astype(np.float32)
    starts = np.zeros(n, np.float32)
    starts[[0, 5]] = 1  # one episode of 5 steps that terminates, one of 7 that goes on
    after = 0.7
    buffer = buffers.RolloutBuffer(n, spaces.Box(-1, 1, (1,)), spaces.Box(-1, 1, (1,)), "cpu", lambda_, gamma)
    for t in range(n):
        zero = np.zeros((1, 1), np.float32)
        buffer.add(zero, zero, signal[t : t + 1], starts[t : t + 1], torch.tensor(value[t : t + 1]), torch.zeros(1))
    buffer.compute_returns_and_advantage(torch.tensor([after]), np.array([0.0]))
    next_value = np.append(value[1:], after).astype(np.float32)
    next_value[4] = 0
    last = np.zeros(n, bool)
    last[[4, 11]] = True
    ours = generalised_advantages(*(torch.from_numpy(x) for x in (signal, value, next_value, last)), gamma, lambda_)
    np.testing.assert_allclose(ours.numpy(), buffer.advantages[:, 0], rtol=1e-5, atol=1e-6)


def test_a_time_limit_is_no_end():
    """One step with reward 1 that the time limit cuts: 1 + 0.9 * 10 - 2."""
    advantage = generalised_advantages(
        torch.tensor([1.0]), torch.tensor([2.0]), torch.tensor([10.0]), torch.tensor([True]), 0.9, 0.95
    )
    assert advantage.item() == pytest.approx(8.0)
