"""Policy expansion's arithmetic (Eqs. 21 and 22), worked by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from fosp.models.expansion import discounted_bound, expansion_probabilities, expansion_score, priced_score


def test_discounted_bound_is_the_sum_over_0_to_t():
    assert discounted_bound(torch.tensor(2.0), 0.9, 3).item() == pytest.approx(2 * (1 + 0.9 + 0.81 + 0.729))
    assert discounted_bound(torch.tensor(0.5), 1.0, 250).item() == pytest.approx(125.5)
    assert discounted_bound(torch.tensor(1.0), 0.997, 250).item() == pytest.approx(sum(0.997**t for t in range(251)))


def test_score_puts_both_values_on_their_bounds():
    score = expansion_score(torch.tensor([3.0, -1.0]), torch.tensor([5.0, 0.0]), torch.tensor(6.0), torch.tensor(20.0))
    torch.testing.assert_close(score, torch.tensor([0.25, -1 / 6]))


def test_priced_score_counts_a_cost_as_lambda_rewards():
    q_reward, q_cost = torch.tensor([3.0, 2.5, 2.5]), torch.tensor([0.5, 0.0, 0.25])
    score = priced_score(q_reward, q_cost, torch.tensor(50.0), torch.tensor(2.0))
    torch.testing.assert_close(score, torch.tensor([2.0, 2.5, 2.0]) / 50)
    assert priced_score(q_reward, q_cost, torch.tensor(50.0), torch.tensor(0.5)).argmax() == 0  # costs are cheap
    no_reward = priced_score(torch.zeros(2), torch.tensor([1.0, 2.0]), torch.tensor(0.0), torch.tensor(3.0))
    torch.testing.assert_close(no_reward, torch.tensor([-3.0, -6.0]))


def test_score_leaves_out_a_signal_that_the_data_never_show():
    q_reward, q_cost, zero = torch.tensor([3.0]), torch.tensor([5.0]), torch.tensor(0.0)
    torch.testing.assert_close(expansion_score(q_reward, q_cost, torch.tensor(6.0), zero), torch.tensor([0.5]))
    torch.testing.assert_close(expansion_score(q_reward, q_cost, zero, torch.tensor(20.0)), torch.tensor([-0.25]))


def test_probabilities_are_a_softmax_at_the_inverse_temperature():
    p = expansion_probabilities(torch.tensor([[0.1, 0.3], [0.5, 0.5]]), 10.0)
    share = 1 / (1 + math.exp(-10 * 0.2))
    np.testing.assert_allclose(p, [[1 - share, share], [0.5, 0.5]], rtol=1e-5)
    np.testing.assert_allclose(expansion_probabilities(torch.tensor([[3.0, -9.0]]), 0.0), [[0.5, 0.5]])
