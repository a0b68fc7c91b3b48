"""DreamerV3: its losses by hand, and its critic against value iteration."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from test_chain import GAMMA, PROBABILITY, REWARD, STATES, TERMINAL, after, dreams

from fosp.agents.dreamer import Dreamer
from fosp.errors import InputError
from tiny import awaken, random_batch, tiny_agent

DREAMER = {"agent": "dreamer"}


def noises(agent: Dreamer, batch) -> tuple[torch.Tensor, torch.Tensor]:
    return agent.imagination_noise(batch)


def posterior(agent, batch):
    noise = agent.noise(*agent.world_model.rssm.noise_shape(*batch["action"].shape[:2]))
    return agent.world_model.loss(batch, noise)[1].detach()


def test_the_critic_finds_the_values_of_the_policy_that_dreams():
    """On the chain of test_chain.py, where rollouts are those of a policy that steps right with probability 0.6."""
    agent = tiny_agent(DREAMER | {"behaviour.gamma": GAMMA, "behaviour.units": 32, "behaviour.lambda_": 0.95})
    dream = dreams(agent.world_model.features)
    adam = torch.optim.Adam(agent.critic.head.parameters(), lr=1e-2)
    for step in range(400):
        adam.param_groups[0]["lr"] = 1e-2 * (1 - step / 400)
        adam.zero_grad()
        agent.critic_loss(agent.critic, dream, dream.reward)[1].backward()
        adam.step()
        agent.critic.update_slow(0.2)
    exact = np.zeros(STATES)
    for _ in range(300):
        for s in range(TERMINAL):
            ahead = [REWARD[after(s, a)] + GAMMA * exact[after(s, a)] for a in (-1, 1)]
            exact[s] = PROBABILITY @ ahead
    ours = agent.critic.value(dream.features[0, ::8])[:TERMINAL].detach().numpy()
    np.testing.assert_allclose(ours, exact[:TERMINAL], atol=0.03)


def test_the_actors_loss_is_the_policy_gradients():
    agent, batch = tiny_agent(DREAMER), random_batch()
    awaken(agent)
    dream = agent.imagine(batch, posterior(agent, batch), *noises(agent, batch))
    advantage = torch.randn(dream.reward.shape)
    loss, _ = agent.actor_loss(dream, advantage)
    pi = agent.actor(dream.features[:-1])
    terms = advantage * pi.log_prob(dream.action) + agent.config.behaviour.entropy * pi.entropy()
    assert loss.item() == pytest.approx(-(terms * dream.weight).mean().item(), rel=1e-5)


def test_a_better_action_becomes_more_likely():
    agent = tiny_agent(DREAMER | {"behaviour.actor_learning_rate": 1e-2, "behaviour.entropy": 0.0})
    batch = random_batch()
    dream = agent.imagine(batch, posterior(agent, batch), *noises(agent, batch))
    for _ in range(30):
        loss, _ = agent.actor_loss(dream, dream.action[..., 0])  # the higher, the better
        loss.backward()
        agent.optimisers["actor"].step()
    assert (agent.actor(dream.features[:-1]).mode > 0.3).all()


def test_advantages_are_scaled_by_the_range_of_returns_if_that_exceeds_1():
    agent, batch = tiny_agent(DREAMER), random_batch()
    dream = agent.imagine(batch, posterior(agent, batch), *noises(agent, batch))
    returns = torch.linspace(0, 100, dream.reward.numel()).reshape(dream.reward.shape)
    for _ in range(2000):
        agent.scale.see(returns)
    advantage = agent.advantage(agent.critic, agent.scale, dream, returns)
    np.testing.assert_allclose(advantage, returns / 90, rtol=0.02)  # V starts at 0; 95th minus 5th percentile
    small = tiny_agent(DREAMER)
    np.testing.assert_allclose(small.advantage(small.critic, small.scale, dream, returns / 1000), returns / 1000)


def test_disagreement_lowers_rewards_offline_and_not_online():
    agent, batch = tiny_agent(DREAMER | {"dreamer.uncertainty_penalty": 0.5}), random_batch()
    dream = agent.imagine(batch, posterior(agent, batch), *noises(agent, batch))
    arrived = agent.world_model.rssm.split(dream.features[1:])
    members = agent.ensemble.log_likelihoods(arrived.h, arrived.z).detach().numpy()
    assert len(members) == agent.config.dreamer.ensemble
    lowered = agent.penalised(dream, agent.ensemble).reward
    np.testing.assert_allclose(lowered, dream.reward.numpy() - 0.5 * members.std(0), rtol=1e-4, atol=1e-5)
    seen = []
    agent.penalised = lambda dream, ensemble: seen.append(1) or dream
    agent.update(batch)
    agent.start_online()
    agent.update(batch)
    assert seen == [1]
    with pytest.raises(InputError, match="takes 2 to disagree"):
        tiny_agent(DREAMER | {"dreamer.ensemble": 1})


def test_costs_do_not_reach_the_behaviour():
    """On equal states; the world model's cost head is told costs, so it is kept still."""
    agents = []
    for factor in (0.0, 100.0):
        agent, batch = tiny_agent(DREAMER), random_batch()
        awaken(agent)
        batch |= {"cost": batch["cost"] * factor}
        agent.world_model.requires_grad_(False)
        agent.world_model.reward_head.requires_grad_(True)
        agent.update(batch)
        agents.append([p.detach() for p in (*agent.actor.parameters(), *agent.critic.parameters())])
    assert all(torch.equal(a, b) for a, b in zip(*agents, strict=True))
