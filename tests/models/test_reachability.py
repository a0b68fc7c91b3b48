"""The reachability head: its backup by hand, and where it starts."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from fosp.models.reachability import Reachability, reachability_target


def test_backup_worked_by_hand():
    """A violation is 1 whatever follows; without one the next probability is discounted."""
    target = reachability_target(torch.tensor([True, True, False, False]), torch.tensor([0.0, 0.9, 0.5, 0.0]), 0.99)
    torch.testing.assert_close(target, torch.tensor([1.0, 1.0, 0.495, 0.0]))


def test_backup_of_a_sequence_is_the_discounted_time_to_the_next_violation():
    """Violations at steps 2 and 5 of 7: p = gamma^(steps to the next one), 0 once none follows."""
    violation, p, gamma = [False, False, True, False, False, True, False], torch.tensor(0.0), 0.9
    result = []
    for v in reversed(violation):
        p = reachability_target(torch.tensor(v), p, gamma)
        result.insert(0, p.item())
    assert result == pytest.approx([0.81, 0.9, 1, 0.81, 0.9, 1, 0])


@pytest.mark.parametrize("initial", [0.02, 0.3])
def test_untrained_head_starts_at_its_initial_probability_everywhere(initial):
    head = Reachability(6, 8, 2, initial)
    features = torch.randn(10, 6) * 5
    np.testing.assert_allclose(head.probability(features).detach(), initial, rtol=1e-5)
    np.testing.assert_allclose(head.slow_probability(features), initial, rtol=1e-5)


def test_loss_is_the_binary_cross_entropy_and_spares_its_target():
    head = Reachability(3, 8, 1, 0.2)
    target = torch.tensor([0.0, 0.3, 1.0], requires_grad=True)
    loss = head.loss(torch.randn(3, 3), target)
    expected = [-t * np.log(0.2) - (1 - t) * np.log(0.8) for t in (0.0, 0.3, 1.0)]
    np.testing.assert_allclose(loss.detach(), expected, rtol=1e-5)
    loss.sum().backward()
    assert target.grad is None


def test_slow_copy_moves_by_its_rate_and_is_never_trained():
    head = Reachability(3, 8, 1, 0.2)
    with torch.no_grad():
        for parameter in head.head.parameters():
            parameter.add_(1.0)
    features = torch.randn(4, 3)
    np.testing.assert_allclose(head.slow_probability(features), 0.2, rtol=1e-5)
    assert (head.probability(features) > 0.3).all()
    before = [p.clone() for p in head.slow_head.parameters()]
    head.update_slow(0.1)
    for was, now, target in zip(before, head.slow_head.parameters(), head.head.parameters(), strict=True):
        torch.testing.assert_close(now, was + 0.1 * (target - was))
    assert not any(p.requires_grad for p in head.slow_head.parameters())
