"""The cross-entropy method against optima known in closed form, and the ranking of plans by hand."""

from __future__ import annotations

import torch

from fosp.models.planning import constrained_score, cross_entropy_plan

ROWS, HORIZON, ACTIONS = 3, 4, 2


def plan(score, *, iterations=10, samples=300, elites=30, momentum=0.1, seed=0, rows=ROWS, **more):
    noise = torch.randn(iterations, rows, samples, HORIZON, ACTIONS, generator=torch.Generator().manual_seed(seed))
    start = torch.zeros(rows, HORIZON, ACTIONS)
    return cross_entropy_plan(score, start, start + 1, noise, elites=elites, momentum=momentum, **more)


def test_it_finds_the_maximum_of_a_quadratic_in_every_row():
    target = torch.linspace(-0.8, 0.8, ROWS * HORIZON * ACTIONS).view(ROWS, 1, HORIZON, ACTIONS)
    found = plan(lambda plans: -(plans - target).square().sum((-2, -1)))
    assert (found - target.squeeze(1)).abs().max() < 0.06


def test_optima_beyond_the_bounds_are_found_at_the_bounds():
    assert (plan(lambda plans: plans.sum((-2, -1))) > 0.95).all()


def test_rows_do_not_see_one_another():
    target = torch.tensor([0.5, -0.5, 0.0]).view(ROWS, 1, 1, 1)
    score = lambda plans, t=target: -(plans - t).square().sum((-2, -1))  # noqa: E731
    together = plan(score)
    noise = torch.randn(10, ROWS, 300, HORIZON, ACTIONS, generator=torch.Generator().manual_seed(0))
    start = torch.zeros(1, HORIZON, ACTIONS)
    alone = cross_entropy_plan(
        lambda plans: score(plans, target[1:2]), start, start + 1, noise[:, 1:2], elites=30, momentum=0.1
    )
    torch.testing.assert_close(together[1:2], alone)


def test_one_iteration_is_the_mean_of_the_elites_and_momentum_keeps_its_share():
    noise = torch.tensor([0.2, -0.4, 0.9, 0.5]).view(1, 1, 4, 1, 1)
    start = torch.zeros(1, 1, 1)
    for momentum in (0.0, 0.25):
        found = cross_entropy_plan(
            lambda plans: plans.sum((-2, -1)), start + 0.1, start + 1, noise, elites=2, momentum=momentum
        )
        # Samples are 0.3, -0.3, 1.0 and 0.6: the two best have the mean 0.8.
        torch.testing.assert_close(found.item(), (1 - momentum) * 0.8 + momentum * 0.1)


def test_a_proposal_that_no_sample_comes_near_is_taken_up():
    goal = torch.full((HORIZON, ACTIONS), 0.9)
    score = lambda plans: -(plans - goal).square().sum((-2, -1))  # noqa: E731
    proposals = goal.expand(ROWS, 30, -1, -1)
    found = plan(score, iterations=1, momentum=0.0, proposals=proposals)
    torch.testing.assert_close(found, goal.expand(ROWS, -1, -1))


def test_enough_safe_plans_are_ranked_by_objective_before_all_others():
    objective = torch.tensor([[5.0, 1.0, 3.0, 9.0]])
    cost = torch.tensor([[0.0, 0.0, 1.0, 2.5]])
    score = constrained_score(objective, cost, budget=1.0, elites=2)
    assert score.argsort(descending=True).tolist() == [[0, 2, 1, 3]]


def test_too_few_safe_plans_are_ranked_by_cost():
    objective = torch.tensor([[5.0, 1.0, 3.0, 9.0], [5.0, 1.0, 3.0, 9.0]])
    cost = torch.tensor([[2.0, 0.5, 3.0, 2.5], [0.0, 0.5, 3.0, 2.5]])
    score = constrained_score(objective, cost, budget=1.0, elites=2)
    assert score[0].argsort(descending=True).tolist() == [1, 0, 3, 2]  # one safe plan: by cost
    assert score[1].argsort(descending=True).tolist() == [0, 1, 3, 2]  # two: by objective


def test_the_safe_way_is_planned_where_the_short_one_is_forbidden():
    """A point that starts at 0 earns by going right; beyond 1.5 every step costs."""

    def rank(plans):
        x = plans[..., 0].cumsum(-1)
        return constrained_score(x[..., -1], (x > 1.5).float().sum(-1), 0.0, 30)

    x = plan(rank)[..., 0].cumsum(-1)
    assert (x <= 1.5).all()
    assert (x[:, -1] > 1.3).all()
