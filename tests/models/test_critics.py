"""Critics: returns and targets worked by hand, expectiles against their closed form."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.optimize import brentq

from fosp.models.critics import (
    Critic,
    expectile_weight,
    in_sample_target,
    lambda_return,
    sequence_return,
)
from fosp.models.feasible import FeasibleValue, reach_avoid_target

SAMPLES = np.array([-1.0, 0.0, 0.5, 1.0, 4.0])


def closed_form_expectile(samples: np.ndarray, kappa: float) -> float:
    """The root of kappa E[(x - m)+] = (1 - kappa) E[(m - x)+]."""

    def balance(m: float) -> float:
        return kappa * np.maximum(samples - m, 0).mean() - (1 - kappa) * np.maximum(m - samples, 0).mean()

    return brentq(balance, samples.min(), samples.max())


# ------------------------------------------------------------------------------ Eq. 8


def test_lambda_return_worked_by_hand():
    """H = 3, lambda = 0.5; from the last step back: each return mixes V(s^{h+1}) and R^{h+1} half and half."""
    reward = torch.tensor([1.0, 2.0, 3.0])
    value = torch.tensor([9.0, 10.0, 20.0, 40.0])
    discount = torch.tensor([0.5, 0.8, 0.1])
    # R^2 = 3 + 0.1 * (20 + 20) = 7;  R^1 = 2 + 0.8 * (10 + 3.5) = 12.8;  R^0 = 1 + 0.5 * (5 + 6.4) = 6.7
    torch.testing.assert_close(lambda_return(reward, value, discount, 0.5), torch.tensor([6.7, 12.8, 7.0]))


def test_lambda_return_at_its_ends_is_td_and_monte_carlo():
    g = torch.Generator().manual_seed(0)
    reward, value = torch.randn(5, 2, 3, generator=g), torch.randn(6, 2, 3, generator=g)
    discount = torch.rand(5, 2, 3, generator=g)
    torch.testing.assert_close(lambda_return(reward, value, discount, 0.0), reward + discount * value[1:])
    expected = value[5]
    for h in (4, 3, 2, 1, 0):
        expected = reward[h] + discount[h] * expected
    torch.testing.assert_close(lambda_return(reward, value, discount, 1.0)[0], expected)


def test_lambda_return_stops_at_a_termination():
    """Where the continuation is 0, nothing after it counts."""
    reward = torch.tensor([1.0, 2.0, 1e6])
    value = torch.tensor([0.0, 0.0, 1e6, 1e6])
    discount = torch.tensor([0.9, 0.0, 0.9])
    torch.testing.assert_close(
        lambda_return(reward, value, discount, 0.95)[:2], torch.tensor([1 + 0.9 * 0.95 * 2, 2.0])
    )


# ----------------------------------------------------------------------------- Eq. 10


@pytest.mark.parametrize(("terminated", "first"), [(False, [10.25, 17.0]), (True, [6.5, 2.0])])
def test_sequence_return_worked_by_hand(terminated, first):
    """Two steps that end an episode, by a time limit or for good; the seam; two steps of the next."""
    returns = sequence_return(
        torch.tensor([[1.0, 2.0, 99.0, 3.0, 4.0]]),
        torch.tensor([[10.0, 20.0, 30.0, 40.0, 50.0, 60.0]]),
        torch.tensor([[False, terminated, False, False, False]]),
        torch.tensor([[1.0, 1.0, 0.0, 1.0, 1.0]]),
        gamma=0.5,
        lambda_=0.5,
    )
    assert returns.tolist() == [[*first, 30.0, 24.0, 34.0]]


def test_in_sample_target_worked_by_hand():
    """The termination at the second step stops the bootstrap; a time limit has next_terminal False and does not."""
    target = in_sample_target(
        torch.tensor([1.0, -2.0, 0.5]), torch.tensor([10.0, 10.0, 4.0]), torch.tensor([False, True, False]), 0.9
    )
    torch.testing.assert_close(target, torch.tensor([10.0, -2.0, 4.1]))


# ------------------------------------------------------------------------------ Eq. 7


def test_expectile_weight_is_kappa_above_and_one_minus_kappa_below():
    difference = torch.tensor([2.0, 0.1, -0.1, -3.0])
    torch.testing.assert_close(expectile_weight(difference, 0.8), torch.tensor([0.8, 0.8, 0.2, 0.2]))


@pytest.mark.parametrize("kappa", [0.2, 0.5, 0.8])
def test_printed_expectile_loss_is_minimised_by_the_closed_form(kappa):
    m = torch.tensor(closed_form_expectile(SAMPLES, kappa), requires_grad=True)
    difference = torch.from_numpy(SAMPLES) - m
    (expectile_weight(difference, kappa) * difference.square()).mean().backward()
    assert abs(m.grad.item()) < 1e-6  # the weights are float32


def trained_value(kappa: float) -> float:
    """V of one state after training on the samples as its Q values."""
    torch.manual_seed(0)
    critic = Critic(2, 1, 16, 1, kappa)
    features, q = torch.ones(len(SAMPLES), 2), torch.tensor(SAMPLES, dtype=torch.float32)
    adam = torch.optim.Adam(critic.value_head.parameters(), lr=0.02)
    for step in range(500):
        adam.param_groups[0]["lr"] = 0.02 * (1 - step / 500)
        adam.zero_grad()
        critic.value_loss(features, q).mean().backward()
        adam.step()
    return critic.value(features[:1]).item()


def test_value_head_reaches_the_closed_form_expectile_in_the_right_direction():
    """Reward and cost critics are the same class; 0.8 leans to high values, 0.2 to low ones."""
    values = {kappa: trained_value(kappa) for kappa in (0.2, 0.5, 0.8)}
    for kappa, value in values.items():
        assert value == pytest.approx(closed_form_expectile(SAMPLES, kappa), abs=0.03)
    assert values[0.8] > SAMPLES.mean() + 0.3 > SAMPLES.mean() - 0.3 > values[0.2]
    assert values[0.5] == pytest.approx(SAMPLES.mean(), abs=0.03)


def test_mean_value_loss_reaches_the_plain_mean_whatever_the_expectile():
    torch.manual_seed(0)
    critic = Critic(2, 1, 16, 1, 0.9)
    features, q = torch.ones(len(SAMPLES), 2), torch.tensor(SAMPLES, dtype=torch.float32)
    adam = torch.optim.Adam(critic.value_head.parameters(), lr=0.02)
    for step in range(400):
        adam.param_groups[0]["lr"] = 0.02 * (1 - step / 400)
        adam.zero_grad()
        critic.mean_value_loss(features, q).mean().backward()
        adam.step()
    assert critic.value(features[:1]).item() == pytest.approx(SAMPLES.mean(), abs=0.03)


# ------------------------------------------------------------------------- slow copies


@pytest.mark.parametrize("kind", ["critic", "feasible"])
def test_slow_copy_moves_by_its_rate_and_passes_gradients_to_the_action_only(kind):
    torch.manual_seed(0)
    if kind == "critic":
        critic = Critic(3, 2, 8, 1, 0.8)
        fast, slow, evaluate = critic.q_head, critic.slow_q_head, critic.slow_q
    else:
        critic = FeasibleValue(3, 2, 8, 1)
        fast, slow, evaluate = critic.head, critic.slow_head, critic.forward
    with torch.no_grad():
        for parameter in fast.parameters():
            parameter.add_(torch.randn_like(parameter))
    before = [p.clone() for p in slow.parameters()]
    critic.update_slow(0.25)
    for was, now, target in zip(before, slow.parameters(), fast.parameters(), strict=True):
        torch.testing.assert_close(now, was + 0.25 * (target - was))
    action = torch.zeros(5, 2, requires_grad=True)
    evaluate(torch.randn(5, 3), action).sum().backward()
    assert action.grad.abs().min() > 0
    assert all(p.grad is None for p in critic.parameters())


def test_untrained_values_are_exactly_zero():
    critic = Critic(3, 2, 8, 1, 0.8)
    features, action = torch.randn(4, 3), torch.randn(4, 2)
    assert (critic.value(features) == 0).all()
    assert (critic.slow_q(features, action) == 0).all()


# ------------------------------------------------------------------------ ablation (iv)


def test_reach_avoid_target_worked_by_hand():
    """The largest cost ahead: with gamma = 1 exactly the maximum, below it pulled towards the present cost."""
    cost, after = torch.tensor([0.0, 0.0, 2.0, 1.0]), torch.tensor([0.0, 3.0, 1.0, 4.0])
    torch.testing.assert_close(reach_avoid_target(cost, after, 1.0), torch.tensor([0.0, 3.0, 2.0, 4.0]))
    torch.testing.assert_close(reach_avoid_target(cost, after, 0.9), torch.tensor([0.0, 2.7, 2.0, 3.7]))
