"""SafeDreamer: what costs do to its actor, and its planner in a world model that knows the line."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from test_learning import SETTINGS, mixed_behaviours

from fosp.config import change
from fosp.errors import InputError
from fosp.models.lagrangian import augmented_lagrangian
from fosp.training.evaluation import evaluate
from tiny import awaken, random_batch, tiny_agent, tiny_config

LAG = {"agent": "safe_dreamer"}
PLANNER = LAG | {
    "safe_dreamer.variant": "osrp",
    "safe_dreamer.plan_samples": 64,
    "safe_dreamer.plan_actor_samples": 8,
    "safe_dreamer.plan_elites": 8,
    "safe_dreamer.plan_horizon": 5,
    "safe_dreamer.plan_iterations": 3,
}


@pytest.fixture(scope="module")
def replay():
    return mixed_behaviours()


def dream_of(agent, batch):
    noise = agent.noise(*agent.world_model.rssm.noise_shape(*batch["action"].shape[:2]))
    states = agent.world_model.loss(batch, noise)[1].detach()
    return agent.imagine(batch, states, *agent.imagination_noise(batch))


def test_the_price_of_cost_is_the_slope_of_the_augmented_lagrangian():
    agent = tiny_agent(LAG | {"safe_dreamer.cost_limit": 2.0, "safe_dreamer.penalty": 0.3, "behaviour.multiplier": 0.2})
    costs = torch.full((3, 4), 5.0)
    excess = torch.tensor(5.0 - agent.budget, requires_grad=True)
    phi = augmented_lagrangian(excess, torch.tensor(0.2), torch.tensor(0.3))
    phi.backward()
    before = agent.multiplier.multiplier.item()
    assert agent.price(costs).item() == pytest.approx(excess.grad.item(), rel=1e-5)
    assert agent.multiplier.multiplier.item() == pytest.approx(before + 0.15 * excess.item())  # Eq. 27
    assert agent.price(torch.zeros(3, 4)).item() >= 0


def test_the_budget_is_the_discounted_value_of_the_limit():
    agent = tiny_agent(LAG | {"safe_dreamer.cost_limit": 5.0, "behaviour.gamma": 0.9})
    assert agent.budget == pytest.approx(5 / 20 / (1 - 0.9))  # episodes of 20 steps


def test_the_actor_weighs_both_advantages():
    agent, batch = tiny_agent(LAG | {"safe_dreamer.penalty": 0.5}), random_batch()
    awaken(agent)
    dream = dream_of(agent, batch)
    seen = {}
    agent.actor_loss = lambda dream, advantage: (seen.setdefault("advantage", advantage).sum(), {})
    agent.price = lambda costs: torch.tensor(0.7)
    state = {name: value.clone() for name, value in agent.state_dict().items()}
    agent.dream_losses(dream)
    agent.load_state_dict(state)
    parts = []
    for critic, scale, signal in (
        (agent.critic, agent.scale, dream.reward),
        (agent.cost_critic, agent.cost_scale, dream.cost),
    ):
        returns, _ = agent.critic_loss(critic, dream, signal)
        parts.append(agent.advantage(critic, scale, dream, returns))
    torch.testing.assert_close(seen["advantage"], parts[0] - 0.7 * parts[1])


def test_osrp_leaves_costs_to_the_planner():
    """Its actor is Dreamer's."""
    agent, batch = tiny_agent(PLANNER), random_batch()
    awaken(agent)
    dream = dream_of(agent, batch)
    seen = {}
    agent.actor_loss = lambda dream, advantage: (seen.setdefault("advantage", advantage).sum(), {})
    agent.price = lambda costs: torch.tensor(100.0)
    agent.dream_losses(dream)
    assert seen["advantage"].abs().max() < 50


def test_each_loss_trains_its_own_networks_only():
    agent, batch = tiny_agent(LAG), random_batch()
    awaken(agent)
    losses, _ = agent.dream_losses(dream_of(agent, batch))
    owners = {"value_reward": agent.critic.head, "value_cost": agent.cost_critic.head, "actor": agent.actor}
    for name, loss in losses.items():
        agent.zero_grad()
        loss.backward(retain_graph=True)
        touched = {key for key, p in agent.named_parameters() if p.grad is not None and p.grad.any()}
        own = {id(p) for p in owners[name].parameters()}
        assert touched == {key for key, p in agent.named_parameters() if id(p) in own and key in touched}
        assert touched


def test_planning_acts_for_every_row_by_itself_and_follows_its_generator():
    agent = tiny_agent(PLANNER)
    awaken(agent)
    s = torch.randn(3, agent.world_model.features)
    first, again = (agent.policy(s, "mean", torch.Generator().manual_seed(7))[0] for _ in range(2))
    assert first.shape == (3, 1)
    assert first.abs().max() <= 1
    assert torch.equal(first, again)


def test_plans_are_ranked_with_what_the_model_imagines():
    """Of two plans the one of higher predicted value wins while both are safe, the one of lower cost where none is."""
    agent = tiny_agent(PLANNER | {"safe_dreamer.plan_elites": 1})
    start = agent.world_model.rssm.split(torch.randn(1, agent.world_model.features))
    plans = torch.stack([torch.full((5, 1), -0.9), torch.full((5, 1), 0.9)]).unsqueeze(0)  # (1, 2, 5, 1)
    original, nothing = agent.foresee, torch.zeros(2)

    def foreseen(reward, cost):
        return lambda prior, state, action, noise: (
            original(prior, state, action, noise)[0], reward(action.squeeze(-1)), cost(action.squeeze(-1)),
        )  # fmt: skip

    agent.foresee = foreseen(lambda a: a, lambda a: nothing)
    assert agent.rank(start, plans, torch.Generator()).argmax().item() == 1
    agent.foresee = foreseen(lambda a: a, lambda a: 2 + a)  # both beyond the budget: the cheaper one
    assert agent.rank(start, plans, torch.Generator()).argmax().item() == 0
    # Two of five steps at 1 and 3 within a budget: their rewards, less the multiplier times their undiscounted costs.
    priced = tiny_agent(
        PLANNER | {"safe_dreamer.variant": "osrp_lag", "safe_dreamer.cost_limit": 1000.0, "safe_dreamer.plan_elites": 1}
    )
    priced.foresee = foreseen(lambda a: a, lambda a: 2 + a)
    priced.critic.value = lambda features: nothing
    for price, wanted in ((0.0, 1), (0.5, 1), (2.0, 0)):
        priced.multiplier.multiplier.fill_(price)
        low, high = priced.rank(start, plans, torch.Generator())[0]
        gamma = priced.config.behaviour.gamma
        assert (high - low).item() == pytest.approx(1.8 * sum(gamma**h for h in range(5)) - price * 1.8 * 5, rel=1e-5)
        assert (high > low) == wanted
    # What comes after a plan of five steps counts as well, a value of -0.9 and 0.9 here, discounted five times.
    agent.foresee = foreseen(lambda a: nothing, lambda a: nothing)
    agent.critic.value = lambda features: plans[0, :, -1, 0]
    low, high = agent.rank(start, plans, torch.Generator())[0]
    assert (high - low).item() == pytest.approx(1.8 * agent.config.behaviour.gamma**5, rel=1e-5)


@pytest.mark.slow
def test_a_compiled_planner_ranks_as_the_other_does_also_while_acting():
    eager, compiled = (tiny_agent(PLANNER | {"training.compile": compile_}) for compile_ in (False, True))
    awaken(eager)
    compiled.load_state_dict(eager.state_dict())
    plans, features = 2 * torch.rand(1, 40, 5, 1) - 1, torch.randn(1, eager.world_model.features)
    torch._dynamo.utils.counters.clear()
    with torch.no_grad(), compiled.uncompiled():
        ranks = [
            a.rank(a.world_model.rssm.split(features), plans, torch.Generator()) for a in (eager, compiled, compiled)
        ]
    torch.testing.assert_close(ranks[1], ranks[0])
    torch.testing.assert_close(ranks[2], ranks[0])
    assert torch._dynamo.utils.counters["stats"]["unique_graphs"] == 1


def learned(replay, settings, updates):
    agent, history = tiny_agent(SETTINGS | settings), []
    sampler = np.random.default_rng(0)
    for _ in range(updates):
        history.append(agent.update(replay.sample(8, 8, sampler)))
    return agent, history


def test_with_the_augmented_lagrangian_it_stays_out_of_the_hazard(replay):
    """Three variants of the settings of test_learning.py; Dreamer's cost there is above 5. At first: 14.8 and 0.0."""
    agent, _ = learned(replay, LAG | {"safe_dreamer.penalty": 3e-3}, 500)
    result = evaluate(agent, tiny_config().env, 20)
    assert result.reward > 13
    assert result.cost < 1


def test_planning_keeps_an_actor_that_ignores_costs_out_of_the_hazard(replay):
    """At first: 16.1 and 0.0."""
    agent, _ = learned(replay, PLANNER, 500)
    result = evaluate(agent, tiny_config().env, 20)
    assert result.reward > 14.5
    assert result.cost < 1
    agent.plan = lambda s, _: agent.actor(s).mode.unsqueeze(1)
    assert evaluate(agent, tiny_config().env, 20).cost > 5  # what the actor alone would pay


@pytest.mark.slow
def test_the_multiplier_rises_above_and_settles_where_the_cost_meets_its_budget(replay):
    """A limit of 5 an episode, a quarter of its steps, is 2.5 discounted; without any it would exceed 5."""
    agent, history = learned(
        replay, PLANNER | {"safe_dreamer.variant": "osrp_lag", "safe_dreamer.cost_limit": 5.0}, 1600
    )
    cost = np.array([m["value/cost_return"].item() for m in history])
    price = np.array([m["multiplier/lambda"].item() for m in history])
    assert cost.max() > 1.5 * agent.budget
    assert cost[-300:].mean() == pytest.approx(agent.budget, rel=0.1)
    assert price.max() > 2 * price[-300:].mean() > 0


@pytest.mark.slow
def test_the_augmented_lagrangian_rises_and_settles_where_the_cost_meets_its_budget(replay):
    """The same limit for the variant that all tables show. At first: imagined costs of 2.3, episodes of 3.8."""
    agent, history = learned(replay, LAG | {"safe_dreamer.cost_limit": 5.0, "safe_dreamer.penalty": 0.03}, 1500)
    cost = np.array([m["value/cost_return"].item() for m in history])
    price = np.array([m["multiplier/lambda"].item() for m in history])
    assert cost.max() > 1.5 * agent.budget
    assert cost[-300:].mean() == pytest.approx(agent.budget, rel=0.15)
    assert price.max() > 5 * price[-300:].mean()
    assert 1.5 < evaluate(agent, tiny_config().env, 40, mode="sample").cost < 5


def test_bad_settings_are_refused():
    with pytest.raises(InputError, match="variant"):
        change(tiny_config(), {"safe_dreamer.variant": "none"})
    with pytest.raises(InputError, match="plan_elites is 600"):
        change(tiny_config(), {"safe_dreamer.plan_elites": 600})
    with pytest.raises(InputError, match="plan_actor_samples is 500"):
        change(tiny_config(), {"safe_dreamer.plan_actor_samples": 500})
