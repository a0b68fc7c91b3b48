"""Behaviour cloning: maximum likelihood on the data's actions, and nothing else."""

from __future__ import annotations

import pytest
import torch

from fosp.agents.base import transitions
from tiny import random_batch, tiny_agent


def test_loss_is_the_mean_negative_log_likelihood_of_real_steps():
    agent, batch = tiny_agent({"agent": "bc"}), random_batch()
    features = {}
    original = agent.train_world_model

    def remember(batch):
        features["s"], states, metrics = original(batch)
        features["actor"] = [p.detach().clone() for p in agent.actor.parameters()]
        features["pi"] = agent.actor(transitions(features["s"], batch).features)
        return features["s"], states, metrics

    agent.train_world_model = remember
    metrics = agent.update(batch)
    log_p = features["pi"].log_prob(batch["action"][:, 1:])
    valid = (~batch["is_first"][:, 1:]).float()
    assert metrics["loss/actor"].item() == pytest.approx(-((log_p * valid).sum() / valid.sum()).item(), rel=1e-5)
    assert any(not torch.equal(a, b) for a, b in zip(features["actor"], agent.actor.parameters(), strict=True))


def test_learns_the_behaviours_action():
    agent = tiny_agent({"agent": "bc", "behaviour.actor_learning_rate": 1e-2})
    for i in range(60):
        batch = random_batch(seed=i)
        batch["action"] = torch.full_like(batch["action"], 0.6)
        agent.update(batch)
    noise = torch.rand(*agent.world_model.rssm.noise_shape(3, 6), generator=torch.Generator().manual_seed(0))
    s = agent.world_model.loss(batch, noise)[1].features[:, 1:].flatten(0, 1)
    action, info = agent.policy(s, "mean", torch.Generator())
    assert (action - 0.6).abs().mean() < 0.15
    assert info == {}


def test_rewards_and_costs_do_not_reach_the_actor():
    """On equal states and actions: the world model would feel them, so its update is kept away."""
    actors = []
    for factor in (0.0, 100.0):
        agent, batch = tiny_agent({"agent": "bc"}), random_batch()
        batch |= {"reward": batch["reward"] * factor, "cost": batch["cost"] * factor}
        agent.world_model.requires_grad_(False)
        agent.world_model.reward_head.requires_grad_(True)
        agent.update(batch)
        actors.append([p.detach() for p in agent.actor.parameters()])
    assert all(torch.equal(a, b) for a, b in zip(*actors, strict=True))


@pytest.mark.parametrize("name", ["bc", "fosp"])
def test_a_running_average_of_the_actor_acts_in_its_place(name):
    agent = tiny_agent({"agent": name, "behaviour.actor_average": 0.25, "behaviour.actor_learning_rate": 1e-2})
    expected = [p.detach().clone() for p in agent.actor.parameters()]
    for i in range(3):
        agent.update(random_batch(seed=i))
        expected = [0.75 * e + 0.25 * p.detach() for e, p in zip(expected, agent.actor.parameters(), strict=True)]
    for found, wanted, own in zip(agent.average.parameters(), expected, agent.actor.parameters(), strict=True):
        torch.testing.assert_close(found, wanted)
        assert not torch.equal(found, own)
        assert not found.requires_grad
    s = torch.randn(5, agent.world_model.features, generator=torch.Generator().manual_seed(0))
    action, _ = agent.policy(s, "mean", torch.Generator())
    torch.testing.assert_close(action, agent.average(s).mode)
    assert not torch.allclose(action, agent.actor(s).mode)
