"""Rollouts by class numbers are the world model's own."""

from __future__ import annotations

import pytest
import torch

from fosp.models.rssm import repeat
from fosp.models.sparse import SparsePrior
from tiny import awaken, tiny_agent


@pytest.mark.parametrize("head_layers", [0, 2])
@torch.no_grad()
def test_steps_rewards_and_costs_are_those_of_the_world_model(head_layers):
    agent = tiny_agent({"world_model.head_layers": head_layers, "world_model.classes": 5})
    awaken(agent)
    model = agent.world_model
    noise = agent.noise(2, *model.rssm.noise_shape(6))
    first = model.rssm.imagine_step(model.rssm.initial(6, agent.device), agent.noise(6, 1), noise[0])
    theirs, prior = repeat(first, 3), SparsePrior(model, torch.float32)
    ours = prior.start(first, 3)
    assert torch.equal(ours.features(prior.entries), theirs.features)
    for _ in range(3):
        action, draw = 2 * agent.noise(18, 1) - 1, agent.noise(*model.rssm.noise_shape(18))
        theirs = model.rssm.imagine_step(theirs, action, draw)
        ours, reward, cost = prior.step(ours, action, draw)
        torch.testing.assert_close(ours.features(prior.entries), theirs.features)
        torch.testing.assert_close(reward, model.reward(theirs.features))
        torch.testing.assert_close(cost, model.cost(theirs.features))
    assert theirs.z.unflatten(-1, (-1, 5)).argmax(-1).unique().numel() > 1
    assert reward.std() > 0
