"""Safe policy expansion: two actors that share nothing, candidates scored each by its own action, choices per row."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy import stats

from fosp.agents.fosp import FOSP
from tiny import awaken, random_batch, tiny_agent


def online_agent(changes: dict | None = None) -> FOSP:
    agent = tiny_agent(changes)
    awaken(agent)
    agent.see_bounds(0.05, 0.02)  # small bounds make for large scores
    agent.start_online()
    return agent


def features(agent: FOSP, rows: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(rows, agent.world_model.features, generator=torch.Generator().manual_seed(seed))


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def snapshot(module: torch.nn.Module) -> list[torch.Tensor]:
    return [p.detach().clone() for p in module.parameters()]


def same(a: list[torch.Tensor], b: list[torch.Tensor]) -> bool:
    return all(torch.equal(x, y) for x, y in zip(a, b, strict=True))


def test_the_two_actors_share_no_parameter_and_no_memory():
    agent = online_agent()
    old, new = ({p.data_ptr() for p in actor.parameters()} for actor in (agent.actor, agent.new_actor))
    assert len(old) == len(new) > 0
    assert not old & new
    assert not same(snapshot(agent.actor), snapshot(agent.new_actor))


def test_the_offline_actor_is_bit_identical_after_a_thousand_online_updates():
    agent = tiny_agent({"behaviour.horizon": 1})
    agent.update(random_batch())  # some momentum in the optimiser of the offline actor
    agent.start_online()
    old, new, critic = (snapshot(m) for m in (agent.actor, agent.new_actor, agent.cost_critic))
    for i in range(1000):
        agent.update(random_batch(2, 4, seed=i))
    assert same(old, snapshot(agent.actor))
    assert not same(new, snapshot(agent.new_actor))
    assert not same(critic, snapshot(agent.cost_critic))


@pytest.mark.parametrize("start", ["fresh", "copy"])
def test_the_new_actor_starts_fresh_or_as_a_copy(start):
    agent = tiny_agent({"behaviour.expansion_start": start})
    agent.update(random_batch())
    fresh = snapshot(agent.new_actor)
    agent.start_online()
    assert same(snapshot(agent.new_actor), snapshot(agent.actor)) == (start == "copy")
    assert same(snapshot(agent.new_actor), fresh) == (start == "fresh")
    before = snapshot(agent.actor)
    agent.update(random_batch())
    assert same(before, snapshot(agent.actor))


def test_before_fine_tuning_the_new_actor_has_no_say():
    agent = tiny_agent()
    s = features(agent, 5)
    action, info = agent.policy(s, "mean", generator())
    torch.testing.assert_close(action, agent.actor(s).mode)
    assert "choice" not in info


def test_each_candidate_is_scored_with_its_own_action():
    """Score and action of each row are recomputed one actor at a time; the candidates differ in every row."""
    agent = online_agent()
    s = features(agent, 40)
    g = generator(3)
    action, info = agent.policy(s, "sample", g)
    replay = generator(3)
    candidates = []
    for actor in (agent.actor, agent.new_actor):
        pi = actor(s)
        candidates.append(pi.sample(torch.rand(pi.mode.shape, generator=replay)))
    assert (candidates[0] - candidates[1]).abs().min() > 1e-4
    bounds = [sum(b * 0.95**t for t in range(21)) for b in (0.05, 0.02)]  # 20 steps of the line, gamma 0.95
    for candidate, name in zip(candidates, ("score_offline", "score_new"), strict=True):
        score = (
            agent.reward_critic.slow_q(s, candidate) / bounds[0] - agent.cost_critic.slow_q(s, candidate) / bounds[1]
        )
        torch.testing.assert_close(info[name], score, rtol=1e-4, atol=1e-5)
    assert (info["score_offline"] - info["score_new"]).abs().min() > 1e-5
    share = 1 / (1 + torch.exp(10 * (info["score_offline"] - info["score_new"])))
    torch.testing.assert_close(info["probability_new"], share, rtol=1e-4, atol=1e-5)
    chosen = torch.where(info["choice"].bool().unsqueeze(-1), candidates[1], candidates[0])
    torch.testing.assert_close(action, chosen)
    assert 0 < info["choice"].float().mean() < 1


def test_choice_frequencies_follow_eq_21_in_every_environment_by_itself():
    """Three environments with different preferences, stepped together 4000 times; chi-squared for each of them, and
    for the pairs of choices: environments decide independently, never for the batch."""
    agent = online_agent({"behaviour.expansion_inverse_temperature": 1.0})
    with torch.no_grad():  # almost deterministic candidates, so that each environment's probability is one number
        for actor in (agent.actor, agent.new_actor):
            actor.net[-1].weight.mul_(20)
    wanted = torch.tensor([0.2, 0.5, 0.8])
    scores = torch.stack([torch.zeros(3), torch.logit(wanted)], 1)
    agent.score = lambda s, action, noise: scores.repeat(len(s) // 3, 1)
    times = 4000
    s = features(agent, 3).repeat(times, 1)
    _, info = agent.policy(s, "sample", generator(1))
    torch.testing.assert_close(info["probability_new"][:3], wanted)
    choice = info["choice"].view(times, 3).numpy()
    for e in range(3):
        expected = times * np.array([1 - wanted[e].item(), wanted[e].item()])
        assert stats.chisquare(np.bincount(choice[:, e], minlength=2), expected).pvalue > 1e-3
    for a, b in ((0, 1), (0, 2), (1, 2)):
        joint = np.bincount(2 * choice[:, a] + choice[:, b], minlength=4)
        pa, pb = wanted[a].item(), wanted[b].item()
        expected = times * np.array([(1 - pa) * (1 - pb), (1 - pa) * pb, pa * (1 - pb), pa * pb])
        assert stats.chisquare(joint, expected * joint.sum() / expected.sum()).pvalue > 1e-3


def test_evaluation_takes_the_better_candidate_of_each_row():
    agent = online_agent()
    s = features(agent, 30)
    action, info = agent.policy(s, "mean", generator())
    better = info["score_new"] > info["score_offline"]
    assert 0 < better.float().mean() < 1
    torch.testing.assert_close(action, torch.where(better.unsqueeze(-1), agent.new_actor(s).mode, agent.actor(s).mode))


def test_bounds_are_discounted_sums_over_an_episode():
    agent = tiny_agent({"behaviour.gamma": 0.9})
    agent.see_bounds(2.0, 3.0)
    assert agent.reward_bound.item() == pytest.approx(2 * sum(0.9**t for t in range(21)), rel=1e-5)
    assert agent.cost_bound.item() == pytest.approx(3 * sum(0.9**t for t in range(21)), rel=1e-5)
    held = tiny_agent({"behaviour.gamma": 0.9, "env.action_repeat": 4})  # an episode of 20 frames has five steps
    held.see_bounds(2.0, 3.0)
    assert held.reward_bound.item() == pytest.approx(2 * sum(0.9**t for t in range(6)), rel=1e-5)
    agent.see_bounds(-math.inf, 0.0)  # no positive reward, no cost: the terms are left out
    assert agent.reward_bound.item() == agent.cost_bound.item() == 0


def test_going_online_carries_everything_else_over_and_happens_once():
    agent = tiny_agent()
    agent.update(random_batch())
    before = {n: p.clone() for n, p in agent.state_dict().items() if n != "online"}
    agent.start_online()
    assert all(torch.equal(before[n], p) for n, p in agent.state_dict().items() if n != "online")
    optimiser = agent.optimisers["actor"]
    agent.start_online()
    assert agent.optimisers["actor"] is optimiser
    assert {id(p) for p in optimiser.parameters} == {id(p) for p in agent.new_actor.parameters()}


def test_with_a_running_average_the_averages_of_both_actors_compete():
    agent = tiny_agent({"behaviour.actor_average": 0.25, "behaviour.expansion_start": "copy"})
    for i in range(3):
        agent.update(random_batch(seed=i))
    offline = snapshot(agent.average)
    agent.start_online()
    assert same(offline, snapshot(agent.actor))  # what acted offline is what is frozen
    assert same(offline, snapshot(agent.new_actor))
    for i in range(3):
        agent.update(random_batch(seed=i))
    assert same(offline, snapshot(agent.actor))
    assert not same(snapshot(agent.average), snapshot(agent.new_actor))
    s, scored = features(agent, 40), []
    agent.score = lambda s, a, noise: scored.append(a) or torch.zeros(a.shape[:-1])
    agent.policy(s, "mean", generator())
    torch.testing.assert_close(scored[0], torch.stack([agent.actor(s).mode, agent.average(s).mode], 1))


@pytest.mark.parametrize("model", ["own", "shared"])
def test_with_its_own_world_model_the_frozen_actor_acts_as_it_did_offline(model):
    """The choice is forced to the frozen actor, then to the new one, which sees by the model that has learned on."""
    agent = tiny_agent({"behaviour.expansion_model": model, "behaviour.expansion_start": "copy"})
    awaken(agent)

    def played(states: list | None = None) -> torch.Tensor:
        state, actions = agent.initial_state(3), []
        for step in range(8):
            seen = {
                "vector": torch.randn(3, 2, generator=generator(100 + step)),
                "is_first": torch.full((3,), step == 0),
            }
            action, state, _ = agent.act(seen, state, "mean", generator(step))
            actions.append(action)
            if states is not None:
                states.append((seen, state))
        return torch.stack(actions)

    before = played()
    agent.start_online()
    agent.score = lambda s, action, noise: torch.tensor([1.0, 0.0]).expand(len(s), 2)
    assert torch.equal(played(), before)
    for i in range(10):
        agent.update(random_batch(seed=i))
    assert torch.equal(played(), before) == (model == "own")
    agent.score = lambda s, action, noise: torch.tensor([0.0, 1.0]).expand(len(s), 2)
    states: list = []
    actions = played(states)
    (_, first), (seen, state) = states[-2:]
    noise = torch.rand(agent.world_model.rssm.noise_shape(3), generator=generator(7))
    latent = agent.world_model.filter(seen, first.latent, first.action, noise)
    assert torch.equal(latent.h, state.latent.h)
    torch.testing.assert_close(actions[-1], agent.new_actor(latent.features).mode)


def test_with_the_multiplier_as_price_it_decides_which_candidate_acts():
    """The frozen candidate earns one and costs one, the new one neither: chosen up to lambda_p = 1, not beyond."""
    agent = online_agent({"behaviour.expansion_price": "multiplier"})
    for critic in (agent.reward_critic, agent.cost_critic):
        critic.slow_q = lambda s, a: torch.tensor([1.0, 0.0]).expand(len(s), 2)
    for price, chosen in ((0.9, 0), (1.1, 1)):
        agent.multiplier.multiplier.fill_(price)
        _, info = agent.policy(features(agent, 7), "mean", generator())
        assert info["choice"].tolist() == [chosen] * 7
        torch.testing.assert_close(info["score_offline"], (1 - price) / agent.reward_bound * torch.ones(7))


def test_a_price_of_its_own_leaves_the_multiplier_out_of_the_choice_and_answers_to_costs():
    """The frozen candidate earns one and costs one, the new one neither: chosen up to a price of 1, not beyond."""
    changes = {"behaviour.expansion_price": "own", "behaviour.price": 0.9, "behaviour.price_rate": 0.05}
    agent = online_agent(changes | {"behaviour.cost_limit": 1.0})
    for critic in (agent.reward_critic, agent.cost_critic):
        critic.slow_q = lambda s, a: torch.tensor([1.0, 0.0]).expand(len(s), 2)
    agent.multiplier.multiplier.fill_(50.0)
    for costs, price in (([], 0.9), ([3.0, 2.0], 0.9 + 0.05 * (5 - 2)), ([0.0], 1.0), ([0.0] * 100, 0.0)):
        agent.see_costs(costs)
        assert agent.price.item() == pytest.approx(price, abs=1e-6)
        if price != 1:
            _, info = agent.policy(features(agent, 7), "mean", generator())
            assert info["choice"].tolist() == [int(price > 1)] * 7
            torch.testing.assert_close(info["score_offline"], (1 - price) / agent.reward_bound * torch.ones(7))


def test_its_own_price_is_a_setting_offline_and_kept_once_it_moves():
    """What an agent is pretrained with does not bind fine-tuning; what it learned from its costs is in its state."""
    agent = tiny_agent({"behaviour.expansion_price": "own", "behaviour.price": 0.7})
    assert "price" not in agent.state_dict()
    assert agent.price.item() == pytest.approx(0.7)
    agent.start_online()
    assert agent.state_dict()["price"].item() == pytest.approx(0.7)
    assert "price" not in online_agent().state_dict()


@pytest.mark.parametrize("mode", ["mean", "sample"])
@pytest.mark.parametrize("online", [False, True])
def test_of_several_candidates_the_best_acts_whoever_offers_it(mode, online):
    """Score and action of every candidate are recomputed; softmax so sharp that the best is taken for certain."""
    changes = {"behaviour.candidates": 4, "behaviour.expansion_inverse_temperature": 1e7}
    agent = online_agent(changes) if online else tiny_agent(changes)
    if not online:
        awaken(agent)
        agent.see_bounds(0.05, 0.02)
    s = features(agent, 40)
    action, info = agent.policy(s, mode, generator(3))
    offered, replay = [], generator(3)
    for actor in (agent.actor, agent.new_actor) if online else (agent.actor,):
        pi = actor(s)
        if mode == "sample":
            offered += [pi.sample(u) for u in torch.rand(4, *pi.mode.shape, generator=replay)]
        else:  # the mode, then points of Sobol's sequence, of which the first two are the corner and the middle
            points = torch.tensor([[0.75, 0.25], [0.25, 0.75], [0.375, 0.375]])[:, : pi.mode.shape[-1]]
            offered += [pi.mode, *(pi.sample(u.expand_as(pi.mode)) for u in points)]
    score = torch.stack([agent.score(s, a) for a in offered], 1)
    best = score.argmax(-1)
    torch.testing.assert_close(action, torch.stack(offered, 1)[torch.arange(40), best])
    assert len(best.unique()) > 1
    if online:
        torch.testing.assert_close(info["choice"], best // 4)
        assert 0 < info["choice"].float().mean() < 1
        torch.testing.assert_close(info["score_offline"], score[:, :4].amax(-1), rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(info["score_new"], score[:, 4:].amax(-1), rtol=1e-4, atol=1e-5)
    else:
        assert "choice" not in info


def test_choices_among_several_candidates_follow_eq_21():
    """Four candidates of two actors with known scores, 6000 draws: chi-squared of the one that acted."""
    agent = online_agent({"behaviour.candidates": 2, "behaviour.expansion_inverse_temperature": 1.0})
    wanted = torch.tensor([0.1, 0.2, 0.3, 0.4])
    offers: list[torch.Tensor] = []

    def score(s: torch.Tensor, action: torch.Tensor, noise: None) -> torch.Tensor:
        offers.append(action)
        return wanted.log().expand(len(s), 4)

    agent.score = score
    s = features(agent, 1).repeat(6000, 1)
    action, info = agent.policy(s, "sample", generator(1))
    chosen = (offers[0] == action.unsqueeze(1)).all(-1)
    assert (chosen.sum(-1) == 1).all()
    assert stats.chisquare(chosen.sum(0).numpy(), 6000 * np.array([0.1, 0.2, 0.3, 0.4])).pvalue > 1e-3
    torch.testing.assert_close(info["choice"], chosen[:, 2:].any(-1).long())
    torch.testing.assert_close(info["probability_new"], torch.full((6000,), 0.7))


def test_an_episodes_excess_moves_multiplier_and_price_in_units_of_the_range_of_v_c():
    """4 above the limit in a unit of 16: by a quarter of the rates."""
    changes = {"behaviour.penalty_scale": "value", "behaviour.cost_limit": 1.0, "behaviour.cost_limit_rate": 20.0}
    changes |= {"behaviour.expansion_price": "own", "behaviour.price": 15.0, "behaviour.price_rate": 2.0}
    agent = online_agent(changes)
    agent.cost_unit.value.fill_(16.0)
    before = agent.multiplier.multiplier.item()
    agent.see_costs([5.0])
    assert agent.multiplier.multiplier.item() == pytest.approx(before + 5, rel=1e-9)
    assert agent.price.item() == pytest.approx(15.5)


def test_a_price_of_its_own_is_of_costs_in_units_of_the_range_of_v_c():
    """Twice the price at twice the unit chooses alike, and scores alike."""
    agent = online_agent({"behaviour.expansion_price": "own", "behaviour.price": 3.0})
    s, action = features(agent, 5), torch.rand(5, 1, generator=generator(0))
    before = agent.score(s, action)
    agent.price.mul_(2)
    assert (agent.score(s, action) - before).abs().max() > 1e-4
    agent.cost_unit.value.fill_(2.0)
    torch.testing.assert_close(agent.score(s, action), before)


def test_one_bad_episode_counts_up_to_the_excess_limit():
    """Limit 1: of a cost of 30 not 29 counts but 20; an episode without cost counts as it did."""
    changes = {"behaviour.expansion_price": "own", "behaviour.price": 1.0, "behaviour.price_rate": 0.05}
    changes |= {"behaviour.cost_limit": 1.0}
    changes |= {"behaviour.excess_limit": 20.0, "behaviour.multiplier_limit": 0.0, "behaviour.cost_limit_rate": 0.1}
    agent = online_agent(changes)
    before = agent.multiplier.multiplier.item()
    agent.see_costs([30.0, 0.0, 4.0])
    assert agent.price.item() == pytest.approx(1 + 0.05 * (20 - 1 + 3), abs=1e-6)
    assert agent.multiplier.multiplier.item() == pytest.approx(before + 0.1 * (20 - 1 + 3), abs=1e-6)


@pytest.mark.parametrize("mode", ["mean", "sample"])
def test_a_candidate_is_followed_in_the_model_before_it_is_judged(mode):
    """Every candidate and future by itself, step by step: the same action has the same worth, and the best one acts."""
    changes = {"behaviour.candidates": 3, "behaviour.lookahead": 3, "behaviour.lookahead_samples": 2}
    agent = online_agent(changes | {"behaviour.expansion_inverse_temperature": 1e7, "behaviour.expansion_price": "own"})
    model, gamma = agent.world_model, agent.config.behaviour.gamma
    s = features(agent, 5)
    g = generator(3)
    offers = torch.cat([agent.candidates(actor(s), mode, g) for actor in (agent.actor, agent.new_actor)], 1)
    noise = agent.future_noise(5, mode, g)
    worth, keep = torch.zeros(2, 5, 6), agent.config.behaviour.lookahead_lambda
    critics = (agent.reward_critic, agent.cost_critic)
    with torch.no_grad():
        for row in range(5):
            for k in range(6):
                for future in range(2):
                    x, action = s[row : row + 1], offers[row, k : k + 1]
                    so_far, weight, share = torch.zeros(2), 1.0, 1.0  # of reward and cost; their discount; lambda's
                    for step in range(3):
                        q = torch.cat([critic.slow_q(x, action) for critic in critics])
                        worth[:, row, k] += share * (1 - keep) * (so_far + weight * q) / 2
                        share *= keep
                        x = model.rssm.imagine_step(
                            model.rssm.split(x), action, noise[step, row : row + 1, future]
                        ).features
                        so_far = so_far + weight * torch.cat([model.reward(x), model.cost(x)])
                        weight *= gamma * model.continuation(x).item()
                        action = agent.new_actor(x).mode
                    q = torch.cat([critic.slow_q(x, action) for critic in critics])
                    worth[:, row, k] += share * (so_far + weight * q) / 2
    followed = agent.follow(s.unsqueeze(1).expand(-1, 6, -1), offers, noise)
    torch.testing.assert_close(torch.stack(followed), worth, rtol=1e-4, atol=1e-5)
    action, info = agent.policy(s, mode, generator(3))
    best = ((worth[0] - agent.price * worth[1]) / agent.reward_bound).argmax(-1)
    torch.testing.assert_close(action, offers[torch.arange(5), best])
    assert torch.equal(info["choice"], best // 3)


def test_a_policy_that_looks_ahead_is_a_function_of_the_state_where_its_mode_acts():
    agent = online_agent({"behaviour.candidates": 4, "behaviour.lookahead": 2})
    s = features(agent, 20)
    first, second = (agent.policy(s, "mean", generator(seed))[0] for seed in (1, 2))
    assert torch.equal(first, second)
    drawn = agent.future_noise(20, "sample", generator(1))
    assert drawn.shape == (2, 20, 4, agent.world_model.rssm.latents)
    assert len(drawn.unique()) > 0.99 * drawn.numel()  # every row its own
