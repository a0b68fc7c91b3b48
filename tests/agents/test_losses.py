"""FOSP's losses put together: pairing, imagined rollouts, Eqs. 19 to 23 written out in numpy, and who trains whom."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import stats
from torch import Tensor, nn

from fosp.agents.base import Transitions, transitions
from fosp.agents.fosp import FOSP, Dream
from fosp.errors import InputError
from tiny import awaken, random_batch, tiny_agent

B, T, H = 3, 6, 3


def agent_with_opinions(changes: dict | None = None) -> FOSP:
    """An agent none of whose outputs is constant."""
    agent = tiny_agent(changes)
    awaken(agent)
    for scale in (agent.reward_scale, agent.cost_scale):
        scale.range.fill_(2.0)
    return agent


def noises(agent: FOSP, seed: int = 0) -> tuple[Tensor, Tensor, Tensor]:
    g = torch.Generator().manual_seed(seed)
    starts = B * (T // agent.config.behaviour.start_every)
    return (
        torch.rand(H, starts, 1, generator=g),
        torch.rand(*agent.world_model.rssm.noise_shape(H, starts), generator=g),
        torch.rand(B, T, 1, generator=g),
    )


def parts(agent: FOSP, batch: dict[str, Tensor]) -> tuple[Transitions, Dream]:
    g = torch.Generator().manual_seed(0)
    noise = torch.rand(*agent.world_model.rssm.noise_shape(B, T), generator=g)
    states = agent.world_model.loss(batch, noise)[1].detach()
    actor_noise, latent_noise, _ = noises(agent)
    return transitions(states.features, batch), agent.imagine(batch, states, actor_noise, latent_noise)


def trained(module: nn.Module) -> bool:
    return any(p.grad is not None and p.grad.abs().max() > 0 for p in module.parameters())


def numbers(x: Tensor) -> np.ndarray:
    return x.detach().double().numpy()


# ---------------------------------------------------------------------------- pairing


def test_transitions_pair_rows_and_leave_out_the_seams():
    """Row t + 1 holds what the step from t did; a row that starts an episode ends no step."""
    batch = {
        "action": torch.tensor([[[0.0], [0.1], [0.2], [0.0], [0.4]]]),
        "reward": torch.tensor([[0.0, 1.0, 2.0, 0.0, 4.0]]),
        "cost": torch.tensor([[0.0, 0.0, 3.0, 0.0, 1.0]]),
        "is_first": torch.tensor([[True, False, False, True, False]]),
        "is_terminal": torch.tensor([[False, False, True, False, False]]),
    }
    data = transitions(torch.arange(5.0).view(1, 5, 1), batch)
    assert data.features.flatten().tolist() == [0, 1, 2, 3]
    assert data.next_features.flatten().tolist() == [1, 2, 3, 4]
    assert data.action.flatten().tolist() == pytest.approx([0.1, 0.2, 0.0, 0.4])
    assert data.reward.tolist() == [[1, 2, 0, 4]]
    assert data.cost.tolist() == [[0, 3, 0, 1]]
    assert data.next_terminal.tolist() == [[False, True, False, False]]
    assert data.violation.tolist() == [[False, False, True, False]]
    assert data.valid.tolist() == [[1, 1, 0, 1]]
    assert data.mean(torch.tensor([[1.0, 2.0, 100.0, 6.0]])).item() == pytest.approx(3)


# ------------------------------------------------------------- imagined rollouts, Eq. 6


@pytest.mark.parametrize(("every", "started"), [(1, [0, 1, 2, 3, 4, 5]), (2, [1, 3, 5]), (4, [3])])
def test_imagined_rollouts_start_where_told_and_look_where_they_arrive(every, started):
    agent = agent_with_opinions({"behaviour.start_every": every, "behaviour.reach_threshold": 0.0})
    batch = random_batch(B, T)
    noise = torch.rand(*agent.world_model.rssm.noise_shape(B, T), generator=torch.Generator().manual_seed(0))
    states = agent.world_model.loss(batch, noise)[1].detach()
    actor_noise, latent_noise, _ = noises(agent)
    dream = agent.imagine(batch, states, actor_noise, latent_noise)
    assert not any(x.requires_grad for x in dream)
    torch.testing.assert_close(dream.features[0], states.features[:, started].flatten(0, 1))
    model = agent.world_model
    arrivals = dream.features[1:]
    torch.testing.assert_close(dream.reward, model.reward(arrivals))
    torch.testing.assert_close(dream.cost, model.cost(arrivals))
    torch.testing.assert_close(dream.discount, 0.95 * model.continuation(arrivals))
    for h in range(H):
        torch.testing.assert_close(dream.action[h], agent.actor(dream.features[h]).sample(actor_noise[h]))
    weight = 1 - batch["is_terminal"][:, started].flatten().float()
    for h in range(H):
        torch.testing.assert_close(dream.weight[h], weight)
        weight = weight * dream.discount[h]
    assert torch.equal(dream.violation[0], batch["cost"][:, started].flatten() > 0)
    assert torch.equal(dream.violation[1:], dream.cost[:-1] > 0)
    assert 0 < dream.violation[1:].float().mean() < 1


def test_online_rollouts_follow_the_new_actor():
    agent, batch = agent_with_opinions(), random_batch(B, T)
    agent.start_online()
    _, dream = parts(agent, batch)
    actor_noise, _, _ = noises(agent)
    torch.testing.assert_close(dream.action[1], agent.new_actor(dream.features[1]).sample(actor_noise[1]))
    assert (dream.action[1] - agent.actor(dream.features[1]).sample(actor_noise[1])).abs().max() > 1e-4


# --------------------------------------------------------- the actor's loss, in numpy


def truncnorm(pi):
    loc, scale = numbers(pi.loc)[..., 0], numbers(pi.scale)[..., 0]
    return stats.truncnorm((-1 - loc) / scale, (1 - loc) / scale, loc, scale)


def phi(value: np.ndarray, multiplier: float, penalty: float) -> np.ndarray:
    active = multiplier + penalty / 2 * value >= 0
    return np.where(active, multiplier * value + penalty / 4 * value**2, -(multiplier**2) / penalty)


def advantages(agent: FOSP, s: Tensor, a: Tensor) -> tuple[np.ndarray, np.ndarray]:
    """Q - V over the scales as they stand after the loss was computed."""
    result = []
    for critic, scale in ((agent.reward_critic, agent.reward_scale), (agent.cost_critic, agent.cost_scale)):
        result.append(numbers(critic.slow_q(s, a) - critic.value(s)) / scale.value.item())
    return result[0], result[1]


LAGRANGIAN = pytest.mark.parametrize("lagrangian", ["gradient", "weight"])


def priced(lagrangian: str, advantage_reward: np.ndarray, advantage_cost: np.ndarray) -> np.ndarray:
    """What weighs in place of A_r at lambda_p = 0.2."""
    return advantage_reward if lagrangian == "gradient" else (advantage_reward - 0.2 * advantage_cost) / 1.2


@LAGRANGIAN
def test_data_actor_loss_is_eqs_19_and_20(lagrangian):
    agent, batch = agent_with_opinions({"behaviour.lagrangian": lagrangian}), random_batch(B, T)
    data, _ = parts(agent, batch)
    noise = noises(agent)[2]
    loss, metrics = agent.data_actor_loss(data, noise)
    s, a = data.features, data.action
    advantage_reward, advantage_cost = advantages(agent, s, a)
    advantage_reward = priced(lagrangian, advantage_reward, advantage_cost)
    u = 1 - numbers(agent.reachability.probability(s))
    w = u * np.minimum(np.exp(10 * advantage_reward), 100) + (1 - u) * np.minimum(np.exp(-5 * advantage_cost), 100)
    pi = agent.actor(s)
    penalty = phi(numbers(agent.cost_critic.slow_q(s, pi.sample(noise[:, :-1]))), 0.2, 0.05) * (
        lagrangian == "gradient"
    )
    distribution = truncnorm(pi)
    rows = w * distribution.logpdf(numbers(a)[..., 0]) + 0.01 * distribution.entropy() - penalty * u
    valid = numbers(data.valid)
    assert 0 < valid.sum() < valid.size
    assert loss.item() == pytest.approx(-(rows * valid).sum() / valid.sum(), rel=1e-3)
    assert metrics["weights/mean"].item() == pytest.approx(w.mean(), rel=1e-3)


def test_advantages_may_come_from_what_followed_in_the_sequence():
    agent, batch = agent_with_opinions({"behaviour.advantage": "return"}), random_batch(B, T)
    data, _ = parts(agent, batch)
    found = agent.data_advantages(data)
    gamma, lambda_ = agent.config.behaviour.gamma, agent.config.behaviour.lambda_
    s = torch.cat([data.features, data.next_features[:, -1:]], 1)
    for advantage, critic, scale, signal in (
        (found[0], agent.reward_critic, agent.reward_scale, data.reward),
        (found[1], agent.cost_critic, agent.cost_scale, data.cost),
    ):
        value, signal, goes_on = numbers(critic.value(s)), numbers(signal), 1 - numbers(data.next_terminal)
        for row in range(B):
            after = value[row, -1]
            for t in reversed(range(T - 1)):
                target = signal[row, t] + gamma * goes_on[row, t] * (
                    (1 - lambda_) * value[row, t + 1] + lambda_ * after
                )
                after = target if data.valid[row, t] else value[row, t]
                expected = (after - value[row, t]) / scale.value.item()
                assert advantage[row, t].item() == pytest.approx(expected, rel=1e-3, abs=1e-4)


@LAGRANGIAN
def test_online_actor_loss_is_eqs_20_and_23_on_imagined_rollouts(lagrangian):
    agent, batch = agent_with_opinions({"behaviour.lagrangian": lagrangian}), random_batch(B, T)
    agent.start_online()
    _, dream = parts(agent, batch)
    noise = noises(agent, 7)[0]
    loss, _ = agent.online_actor_loss(dream, noise)
    s, a = dream.features[:-1], dream.action
    advantage_reward, advantage_cost = advantages(agent, s, a)
    advantage_reward = priced(lagrangian, advantage_reward, advantage_cost)
    u = 1 - numbers(agent.reachability.probability(s))
    w = u * 10 * advantage_reward - (1 - u) * 5 * advantage_cost
    pi = agent.new_actor(s)
    penalty = phi(numbers(agent.cost_critic.slow_q(s, pi.sample(noise))), 0.2, 0.05) * (lagrangian == "gradient")
    distribution = truncnorm(pi)
    rows = w * distribution.logpdf(numbers(a)[..., 0]) + 0.01 * distribution.entropy() - penalty * u
    assert loss.item() == pytest.approx(-(rows * numbers(dream.weight)).mean(), rel=1e-3)


@pytest.mark.parametrize(("probability", "follows"), [(1e-6, "reward"), (1 - 1e-6, "cost")])
def test_a_feasible_state_is_weighed_by_reward_and_an_infeasible_one_by_cost(probability, follows):
    agent, batch = agent_with_opinions(), random_batch(B, T)
    with torch.no_grad():
        for parameter in agent.reachability.head.parameters():
            parameter.zero_()
        agent.reachability.head[-1].bias.fill_(np.log(probability / (1 - probability)))
    data, _ = parts(agent, batch)
    seen = {}
    agent.weight_metrics = lambda w, u: seen.update(w=w) or {}
    agent.data_actor_loss(data, noises(agent)[2])
    advantage_reward, advantage_cost = advantages(agent, data.features, data.action)
    exponent = 10 * advantage_reward if follows == "reward" else -5 * advantage_cost
    np.testing.assert_allclose(seen["w"], np.minimum(np.exp(exponent), 100), rtol=2e-3, atol=1e-4)


@pytest.mark.parametrize("scale", ["advantage", "return"])
def test_advantages_are_put_on_the_scale_that_is_set(scale):
    agent, batch = agent_with_opinions({"behaviour.advantage_scale": scale}), random_batch(B, T)
    with torch.no_grad():  # returns that differ from advantages by far
        agent.world_model.reward_head.net[-1].bias[140:].add_(6.0)
    data, dream = parts(agent, batch)
    _, _, returns = agent.critic_loss(agent.reward_critic, data, dream, data.reward, dream.reward, noises(agent)[2])
    raw = numbers(agent.reward_critic.slow_q(data.features, data.action) - agent.reward_critic.value(data.features))
    measured = raw * numbers(data.valid) if scale == "advantage" else numbers(returns)
    low, high = np.percentile(measured, [5, 95])
    agent.behaviour_loss(batch, *states_of(agent, batch), *noises(agent))
    assert agent.reward_scale.range.item() == pytest.approx(0.99 * 2.0 + 0.01 * (high - low), rel=1e-5)


def states_of(agent: FOSP, batch: dict[str, Tensor]) -> tuple[Tensor, object]:
    noise = torch.rand(*agent.world_model.rssm.noise_shape(B, T), generator=torch.Generator().manual_seed(0))
    states = agent.world_model.loss(batch, noise)[1].detach()
    return states.features, states


# -------------------------------------------------------- the penalty trains the actor


def test_phi_reaches_the_actor_through_the_slow_cost_critic_and_nothing_else():
    agent, batch = agent_with_opinions(), random_batch(B, T)
    data, _ = parts(agent, batch)
    agent.penalty(data.features, agent.actor(data.features).sample(noises(agent)[2][:, :-1])).sum().backward()
    assert trained(agent.actor)
    for module in (agent.cost_critic, agent.reward_critic, agent.reachability, agent.world_model, agent.new_actor):
        assert not trained(module)


def test_lambda_p_weighs_costs_in_units_of_the_range_of_v_c():
    """Range 400 so far: an update moves it a hundredth of the way to the batch's; Phi, Eq. 27 and prices divide by it.

    With costs as they are the unit is 1, however large they get.
    """
    for setting, before in (("value", 400.0), ("none", 1.0)):
        agent, batch = agent_with_opinions({"behaviour.penalty_scale": setting}), random_batch(B, T)
        agent.cost_unit.range.fill_(before)
        features, states = states_of(agent, batch)
        value = numbers(agent.cost_critic.value(features))
        metrics = agent.behaviour_loss(batch, features, states, *noises(agent))[1]
        low, high = np.percentile(value, [5, 95])
        unit = 0.99 * 400 + 0.01 * (high - low) if setting == "value" else 1.0
        assert agent.cost_unit.value.item() == pytest.approx(unit, rel=1e-5)
        action = agent.actor(features).mode
        expected = phi(numbers(agent.cost_critic.slow_q(features, action)) / unit, 0.2, 0.05)
        np.testing.assert_allclose(numbers(agent.penalty(features, action)), expected, rtol=1e-4)
        assert agent.price_by_multiplier.item() == pytest.approx(0.2 / unit, rel=1e-5)
        assert metrics["value/cost"].item() == pytest.approx(value.mean(), rel=1e-4)
        metrics = agent.update(batch)
        climb = 0.025 * metrics["value/cost"].item() / metrics["multiplier/cost_unit"].item()
        assert agent.multiplier.multiplier.item() == pytest.approx(0.2 + climb, rel=1e-6)


def test_advantages_that_are_scaled_are_not_scaled_again():
    with pytest.raises(InputError, match="scaled already"):
        tiny_agent({"behaviour.penalty_scale": "value", "behaviour.lagrangian": "weight"})


def test_rare_costs_are_not_magnified():
    """A range of V_c below 1 counts as 1."""
    agent, batch = agent_with_opinions({"behaviour.penalty_scale": "value"}), random_batch(B, T)
    agent.behaviour_loss(batch, *states_of(agent, batch), *noises(agent))
    assert 0 < agent.cost_unit.range.item() < 1
    assert agent.cost_unit.value.item() == 1


@pytest.mark.parametrize("online", [False, True])
def test_a_large_multiplier_moves_the_actor_to_lower_costs(online):
    """With the weights silenced, steps on the actor's loss lower Q_c of its own actions."""
    agent, batch = agent_with_opinions({"behaviour.beta_reward": 0.0, "behaviour.beta_cost": 0.0}), random_batch(B, T)
    agent.multiplier.multiplier.fill_(1e4)
    if online:
        agent.start_online()
    data, dream = parts(agent, batch)
    actor_noise, _, penalty_noise = noises(agent)

    def own_cost() -> Tensor:
        pi = agent.learner(data.features)
        return data.mean(agent.cost_critic.slow_q(data.features, pi.sample(penalty_noise[:, :-1])))

    before = own_cost().item()
    for _ in range(5):
        loss = agent.online_actor_loss(dream, actor_noise) if online else agent.data_actor_loss(data, penalty_noise)
        loss[0].backward()
        agent.optimisers["actor"].step()
    assert own_cost().item() < before


# --------------------------------------------------------------------- who trains whom


def test_each_loss_trains_its_own_networks_only():
    batch = random_batch(B, T)
    expected = {
        "value_reward": {"reward_critic.value_head"},
        "q_reward": {"reward_critic.q_head"},
        "value_cost": {"cost_critic.value_head"},
        "q_cost": {"cost_critic.q_head"},
        "offline_actor": {"actor"},
        "online_actor": {"new_actor"},
        "reachability": {"reachability.head"},
    }
    for name, modules in expected.items():
        agent = agent_with_opinions()
        if name == "online_actor":
            agent.start_online()
        data, dream = parts(agent, batch)
        actor_noise, _, penalty_noise = noises(agent)
        if name == "offline_actor":
            loss = agent.data_actor_loss(data, penalty_noise)[0]
        elif name == "online_actor":
            loss = agent.online_actor_loss(dream, actor_noise)[0]
        elif name == "reachability":
            loss = agent.reachability_loss(data, dream)[0]
        else:
            kind, signal = name.split("_")
            critic = agent.get_submodule(f"{signal}_critic")
            real, dreamt = (data.reward, dream.reward) if signal == "reward" else (data.cost, dream.cost)
            losses = agent.critic_loss(critic, data, dream, real, dreamt, penalty_noise)
            loss = losses[0 if kind == "value" else 1]
        loss.backward()
        touched = {n for n, p in agent.named_parameters() if p.grad is not None and p.grad.abs().max() > 0}
        assert touched, name
        assert all(any(t.startswith(m + ".") for m in modules) for t in touched), name


def test_the_cost_critic_learns_costs_and_the_reward_critic_rewards():
    """Changing the batch's rewards changes the losses of the reward critic alone, and likewise for costs."""
    for signal, changed, same in (("reward", "reward", "cost"), ("cost", "cost", "reward")):
        agent, batch = agent_with_opinions(), random_batch(B, T)
        features, states = states_of(agent, batch)
        other = {**batch, signal: batch[signal] + 1.0}
        _, before = agent.behaviour_loss(batch, features, states, *noises(agent))
        _, after = agent.behaviour_loss(other, features, states, *noises(agent))
        assert before[f"loss/q_{changed}"].item() != after[f"loss/q_{changed}"].item()
        assert before[f"loss/q_{same}"].item() == after[f"loss/q_{same}"].item()


def test_the_critics_have_the_expectiles_of_their_own_settings():
    agent = tiny_agent({"behaviour.reward_expectile": 0.7, "behaviour.cost_expectile": 0.3})
    assert (agent.reward_critic.expectile, agent.cost_critic.expectile) == (0.7, 0.3)


# ------------------------------------------------------------------- reachability, Eq. 5


def test_reachability_sees_costs_of_data_and_of_imagination():
    agent, batch = agent_with_opinions(), random_batch(B, T)
    data, dream = parts(agent, batch)
    for quiet in (data._replace(violation=torch.zeros_like(data.violation)), None):
        changed = (quiet, dream) if quiet is not None else (data, dream._replace(violation=~dream.violation))
        base, other = (agent.reachability_loss(*x)[1] for x in ((data, dream), changed))
        name = "reachability/target_real" if quiet is not None else "reachability/target_imagined"
        assert abs(base[name].item() - other[name].item()) > 1e-3


def test_reachability_targets_worked_by_hand():
    """gamma_u = 0.9, p = 0.5 wherever asked. Real steps: a violation now; a calm step; a step into a harmless
    termination; a step into a termination by violation, where p is 1. Imagined: a violation now; calm steps with
    continuation 0.8 and a harmless (0.8 * 0.5) or costly (0.8 * 0.5 + 0.2 * 1) arrival."""
    agent = agent_with_opinions()
    agent.reachability.slow_probability = lambda features: torch.full(features.shape[:-1], 0.5)
    seen: list[Tensor] = []
    agent.reachability.loss = lambda features, target: seen.append(target) or target
    size = agent.world_model.features
    data = Transitions(
        features=torch.zeros(1, 4, size),
        action=torch.zeros(1, 4, 1),
        reward=torch.zeros(1, 4),
        cost=torch.tensor([[0.0, 3.0, 0.0, 1.0]]),
        next_features=torch.zeros(1, 4, size),
        next_terminal=torch.tensor([[False, False, True, True]]),
        violation=torch.tensor([[True, False, False, False]]),
        valid=torch.ones(1, 4),
    )
    dream = Dream(
        features=torch.zeros(4, 1, size),
        action=torch.zeros(3, 1, 1),
        reward=torch.zeros(3, 1),
        cost=torch.tensor([[0.0], [0.4], [0.6]]),
        discount=torch.full((3, 1), 0.7),
        weight=torch.ones(3, 1),
        violation=torch.tensor([[True], [False], [False]]),
        continuation=torch.full((3, 1), 0.8),
    )
    agent.reachability_loss(data, dream)
    torch.testing.assert_close(seen[0], torch.tensor([[1.0, 0.45, 0.0, 0.9]]))
    torch.testing.assert_close(seen[1], torch.tensor([[1.0], [0.36], [0.54]]))


# ------------------------------------------------------------------------ whole updates


def test_an_update_moves_multiplier_and_slow_copies_by_their_rules():
    agent, batch = agent_with_opinions(), random_batch(B, T)
    slow = {n: p.clone() for n, p in agent.named_parameters() if "slow" in n}
    assert len({n.split(".")[0] for n in slow}) == 3
    metrics = agent.update(batch)
    assert agent.multiplier.multiplier.item() == pytest.approx(0.2 + 0.025 * metrics["value/cost"].item(), rel=1e-6)
    assert agent.multiplier.penalty.item() == pytest.approx(0.05 * 1.001, rel=1e-9)
    parameters = dict(agent.named_parameters())
    for name, before in slow.items():
        target = parameters[name.replace("slow_", "")]
        torch.testing.assert_close(parameters[name], before + 0.02 * (target - before))


def test_value_cost_metric_is_the_mean_of_v_c_over_the_batch():
    agent, batch = agent_with_opinions(), random_batch(B, T)
    features, states = states_of(agent, batch)
    _, metrics = agent.behaviour_loss(batch, features, states, *noises(agent))
    assert metrics["value/cost"].item() == pytest.approx(agent.cost_critic.value(features).mean().item(), rel=1e-5)


def test_an_update_trains_everything_but_the_idle_actor_and_metrics_are_finite():
    agent, batch = agent_with_opinions(), random_batch(B, T)
    before = {n: p.clone() for n, p in agent.named_parameters()}
    metrics = agent.update(batch)
    assert all(torch.isfinite(v).all() for v in metrics.values())
    changed = {n.split(".")[0] for n, p in agent.named_parameters() if not torch.equal(p, before[n])}
    assert changed == {"world_model", "actor", "reward_critic", "cost_critic", "reachability"}


def test_no_gradient_of_the_behaviour_reaches_the_world_model():
    agent, batch = agent_with_opinions(), random_batch(B, T)
    features, states = states_of(agent, batch)
    agent.zero_grad(set_to_none=True)
    agent.behaviour_loss(batch, features, states, *noises(agent))[0].backward()
    assert not trained(agent.world_model)


def test_huge_advantages_at_beta_10_leave_the_update_finite():
    agent, batch = agent_with_opinions(), random_batch(B, T)
    with torch.no_grad():
        agent.reward_critic.slow_q_head.net[-1].bias[240:].add_(200.0)
    metrics = agent.update(batch)
    assert metrics["value/reward"].abs() < 100
    assert metrics["weights/max"].item() <= 100
    assert all(torch.isfinite(p).all() for p in agent.parameters())


def test_data_actions_at_the_bounds_are_learned_from():
    agent, batch = agent_with_opinions(), random_batch(B, T)
    batch["action"] = torch.sign(batch["action"])
    metrics = agent.update(batch)
    assert torch.isfinite(metrics["loss/actor"])


@pytest.mark.parametrize("change", [{"behaviour.advantage": "return"}, {"behaviour.online_actions": "recorded"}])
def test_set_to_recorded_actions_the_new_actor_learns_from_recorded_actions(change):
    """Online, Eq. 23 on dreams is left out: the loss of the data's actions trains the new actor, and only that one."""
    agent, batch = agent_with_opinions(change), random_batch(B, T)
    agent.start_online()
    agent.online_actor_loss = None  # calling it would fail
    frozen, new = ([p.detach().clone() for p in actor.parameters()] for actor in (agent.actor, agent.new_actor))
    agent.update(batch)
    assert all(torch.equal(a, b) for a, b in zip(frozen, agent.actor.parameters(), strict=True))
    assert not all(torch.equal(a, b) for a, b in zip(new, agent.new_actor.parameters(), strict=True))
