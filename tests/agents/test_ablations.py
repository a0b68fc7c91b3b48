"""Each ablation is one setting and changes what it should, and only that."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from fosp.agents.base import transitions
from fosp.agents.fosp import FOSP
from fosp.models.critics import Critic
from tiny import awaken, random_batch, tiny_agent

B, T, H = 3, 6, 3


def build(**switches: object) -> FOSP:
    agent = tiny_agent({f"behaviour.{name}": value for name, value in switches.items()})
    awaken(agent)
    for scale in (agent.reward_scale, agent.cost_scale):
        scale.range.fill_(2.0)
    return agent


def world(agent: FOSP, batch: dict[str, Tensor], seed: int = 0):
    g = torch.Generator().manual_seed(0)
    noise = torch.rand(*agent.world_model.rssm.noise_shape(B, T), generator=g)
    states = agent.world_model.loss(batch, noise)[1].detach()
    g.manual_seed(seed)
    actor_noise = torch.rand(H, B * T, 1, generator=g)
    latent_noise = torch.rand(*agent.world_model.rssm.noise_shape(H, B * T), generator=g)
    penalty_noise = torch.rand(B, T, 1, generator=g)
    data = transitions(states.features, batch)
    return data, agent.imagine(batch, states, actor_noise, latent_noise), actor_noise, penalty_noise


@pytest.mark.parametrize("switch", ["insample", "reachability", "augmented_lagrangian"])
def test_each_switch_changes_what_is_learned(switch):
    results = []
    for value in (True, False):
        agent = build(**{switch: value})
        for _ in range(2):  # what only the critics feel at first reaches the actor in the second update
            metrics = agent.update(random_batch(B, T))
        assert all(torch.isfinite(v).all() for v in metrics.values())
        results.append([p.detach() for p in agent.actor.parameters()])
    assert any(not torch.equal(a, b) for a, b in zip(*results, strict=True))


# ------------------------------------------------------------------------ (i) in-sample


def test_without_in_sample_optimisation_q_learns_from_imagination_alone():
    for insample in (True, False):
        agent, batch = build(insample=insample), random_batch(B, T)
        data, dream, _, noise = world(agent, batch)
        losses = [
            agent.critic_loss(agent.reward_critic, data, dream, reward, dream.reward, noise)[1].item()
            for reward in (data.reward, data.reward + 1)
        ]
        assert (losses[0] == losses[1]) != insample


def test_without_in_sample_optimisation_v_is_the_mean_of_q_over_the_policys_own_actions():
    agent, batch = build(insample=False, reward_expectile=0.99), random_batch(B, T)
    data, dream, _, noise = world(agent, batch)
    value_loss, _, _ = agent.critic_loss(agent.reward_critic, data, dream, data.reward, dream.reward, noise)
    critic: Critic = agent.reward_critic
    q = critic.slow_q(data.features, agent.actor(data.features).sample(noise[:, :-1])).detach()
    expected = (critic.value_head(data.features).loss(q) * data.valid).sum() / data.valid.sum()
    assert value_loss.item() == pytest.approx(expected.item(), rel=1e-5)


def test_with_in_sample_optimisation_v_sees_the_datas_actions_only():
    agent, batch = build(), random_batch(B, T)
    data, dream, _, noise = world(agent, batch)
    critic = agent.reward_critic
    arguments = (critic, data, dream, data.reward, dream.reward)
    assert agent.critic_loss(*arguments, noise)[0].item() == agent.critic_loss(*arguments, 1 - noise)[0].item()
    q = critic.slow_q(data.features, data.action).detach()
    difference = q - critic.value(data.features)
    weight = torch.where(difference < 0, 0.2, 0.8).detach()
    expected = (weight * critic.value_head(data.features).loss(q) * data.valid).sum() / data.valid.sum()
    assert agent.critic_loss(*arguments, noise)[0].item() == pytest.approx(expected.item(), rel=1e-5)


# ----------------------------------------------------------------------- (ii) expansion


def test_without_expansion_the_offline_actor_itself_is_fine_tuned():
    agent = build(expansion=False)
    agent.start_online()
    assert agent.is_online
    old, new = ([p.clone() for p in a.parameters()] for a in (agent.actor, agent.new_actor))
    agent.update(random_batch(B, T))
    assert any(not torch.equal(a, b) for a, b in zip(old, agent.actor.parameters(), strict=True))
    assert all(torch.equal(a, b) for a, b in zip(new, agent.new_actor.parameters(), strict=True))
    s = torch.randn(4, agent.world_model.features)
    action, info = agent.policy(s, "mean", torch.Generator())
    torch.testing.assert_close(action, agent.actor(s).mode)
    assert "choice" not in info


def test_without_expansion_fine_tuning_still_learns_from_imagined_actions():
    agent, batch = build(expansion=False), random_batch(B, T)
    agent.start_online()
    _, dream, actor_noise, _ = world(agent, batch)
    torch.testing.assert_close(dream.action[0], agent.actor(dream.features[0]).sample(actor_noise[0]))
    agent.data_actor_loss = None  # calling it would fail
    agent.update(batch)
    agent.online_actor_loss(dream, actor_noise)[0].backward()
    assert any(p.grad is not None and p.grad.abs().max() > 0 for p in agent.actor.parameters())


# -------------------------------------------------------------------- (iii) reachability


def weights_seen(agent: FOSP) -> dict[str, Tensor]:
    seen: dict[str, Tensor] = {}
    agent.weight_metrics = lambda w, u: seen.update(w=w, u=u) or {}
    return seen


def raw_advantages(agent: FOSP, s: Tensor, a: Tensor) -> list[np.ndarray]:
    return [
        ((critic.slow_q(s, a) - critic.value(s)) / scale.value).detach().numpy()
        for critic, scale in ((agent.reward_critic, agent.reward_scale), (agent.cost_critic, agent.cost_scale))
    ]


def test_without_reachability_both_terms_count_in_full():
    agent, batch = build(reachability=False), random_batch(B, T)
    data, dream, actor_noise, noise = world(agent, batch)
    seen = weights_seen(agent)
    agent.data_actor_loss(data, noise)
    reward, cost = raw_advantages(agent, data.features, data.action)
    expected = np.minimum(np.exp(10 * reward), 100) + np.minimum(np.exp(-5 * cost), 100)
    np.testing.assert_allclose(seen["w"], expected, rtol=1e-3)
    assert (seen["u"] == 1).all()
    agent.start_online()
    agent.online_actor_loss(dream, actor_noise)
    reward, cost = raw_advantages(agent, dream.features[:-1], dream.action)
    np.testing.assert_allclose(seen["w"], 10 * reward - 5 * cost, rtol=1e-3, atol=1e-4)
    assert (seen["u"] == 1).all()


# ------------------------------------------------------------ (iv) augmented Lagrangian


def test_without_the_augmented_lagrangian_the_penalty_is_a_feasible_value_that_learns():
    agent, batch = build(augmented_lagrangian=False), random_batch(B, T)
    assert build().feasible_value is None
    agent.multiplier.multiplier.fill_(0.7)  # as learned, not as set
    data, _, _, noise = world(agent, batch)
    pi = agent.actor(data.features)
    penalty = agent.penalty(data.features, pi.sample(noise[:, :-1]))
    feasible = agent.feasible_value
    expected = 0.7 * feasible.slow_head(torch.cat([data.features, pi.sample(noise[:, :-1])], -1)).mean
    torch.testing.assert_close(penalty, expected)
    penalty.sum().backward()
    assert all(p.grad is None for p in feasible.parameters())
    assert any(p.grad is not None and p.grad.abs().max() > 0 for p in agent.actor.parameters())
    agent.zero_grad(set_to_none=True)
    before = [p.clone() for p in feasible.head.parameters()]
    slow = [p.clone() for p in feasible.slow_head.parameters()]
    agent.update(batch)
    assert any(not torch.equal(a, b) for a, b in zip(before, feasible.head.parameters(), strict=True))
    assert any(not torch.equal(a, b) for a, b in zip(slow, feasible.slow_head.parameters(), strict=True))


def test_feasible_value_learns_the_reach_avoid_backup_of_costs():
    agent, batch = build(augmented_lagrangian=False), random_batch(B, T)
    data, _, _, noise = world(agent, batch)
    seen = {}
    feasible = agent.feasible_value
    feasible.loss = lambda s, a, cost, after, gamma: seen.update(cost=cost, after=after, gamma=gamma) or cost
    agent.feasible_value_loss(feasible, data, noise)
    assert torch.equal(seen["cost"], data.cost)
    assert seen["gamma"] == 0.9
    action = agent.actor(data.next_features).sample(noise[:, 1:])
    expected = feasible(data.next_features, action) * (1 - data.next_terminal.float())
    torch.testing.assert_close(seen["after"], expected)
    assert data.next_terminal.any()
