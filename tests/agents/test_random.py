"""Random actions: uniform, whatever the state, the mode and the data; and a world model learns from them."""

from __future__ import annotations

import pytest
import torch
from scipy.stats import kstest

from fosp.report.runs import load_evaluations
from fosp.training.offline import pretrain
from fosp.training.online import finetune, train
from resuming import settings
from tiny import play, random_batch, tiny_agent, write_dataset


@pytest.mark.parametrize("mode", ["sample", "mean"])
def test_actions_are_uniform_and_no_two_alike(mode):
    agent = tiny_agent({"agent": "random"})
    action, info = agent.policy(torch.zeros(4000, agent.world_model.features), mode, torch.Generator().manual_seed(0))
    assert action.shape == (4000, 1)
    assert kstest(action.flatten().numpy(), "uniform", args=(-1, 2)).pvalue > 0.01
    assert len(action.unique()) > 3900
    assert info == {}


def test_an_update_is_the_world_models_alone():
    agent, alone = tiny_agent({"agent": "random"}), tiny_agent({"agent": "bc"})
    for i in range(2):
        agent.update(random_batch(seed=i))
        alone.update_model(random_batch(seed=i))
    ours, theirs = agent.world_model.state_dict(), alone.world_model.state_dict()
    assert all(torch.equal(ours[name], theirs[name]) for name in theirs)
    assert list(agent.optimisers) == ["world_model"]


def test_after_the_world_models_updates_nothing_is_left_to_learn(tmp_path):
    data = write_dataset(tmp_path / "line", [play(i, None) for i in range(3)])
    config = settings(agent="random", training__model_updates=2, training__offline_updates=2)
    pretrain(config, [data], tmp_path / "run")
    (evaluation,) = load_evaluations(tmp_path / "run")
    assert evaluation.update == 4


def test_plays_and_is_measured_like_every_agent(tmp_path):
    data = write_dataset(tmp_path / "line", [play(i, None) for i in range(3)])
    config = settings(agent="random")
    pretrain(config, [data], tmp_path / "offline")
    finetune(config, tmp_path / "offline", tmp_path / "online")
    train(config, tmp_path / "direct")
    for run in ("offline", "online", "direct"):
        last = load_evaluations(tmp_path / run)[-1]
        assert (last.agent, last.mode, len(set(last.returns))) == ("random", "mean", len(last.returns))
        assert (last.cost_regret is None) == (run == "offline")
