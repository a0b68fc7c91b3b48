"""Diagnosis: the area under the curve against a count of pairs; a model that knows and one that does not."""

from __future__ import annotations

import dataclasses
import math
import random

import numpy as np
import pytest
import torch

from fosp.errors import InputError
from fosp.training.diagnosis import OWN, diagnose, diagnose_run, roc_auc
from fosp.training.offline import pretrain
from fosp.training.progress import SilentProgress
from tiny import LIMIT, play, tiny_agent, tiny_config, write_dataset


def test_auc_counts_the_pairs_in_order_and_half_of_the_ties():
    rng = random.Random(0)
    score = np.array([rng.choice([0.1, 0.2, 0.3, 0.4]) for _ in range(40)])
    positive = np.array([rng.random() < 0.3 for _ in range(40)])
    pairs = [(a, b) for a in score[positive] for b in score[~positive]]
    assert roc_auc(score, positive) == pytest.approx(np.mean([1.0 if a > b else 0.5 * (a == b) for a, b in pairs]))


def test_auc_of_a_perfect_and_an_inverted_score():
    positive = np.array([False, False, True, True])
    assert roc_auc(np.array([0.0, 1, 2, 3]), positive) == 1
    assert roc_auc(np.array([3.0, 2, 1, 0]), positive) == 0
    assert math.isnan(roc_auc(np.array([3.0, 2, 1, 0]), positive & False))


def test_an_untrained_model_knows_nothing_and_the_truth_is_counted_right():
    agent, episodes = tiny_agent(), [play(i, 0.9) for i in range(3)]
    findings = {f.name: f for f in diagnose(agent, episodes, ahead=5)}
    costs = np.stack([np.concatenate([[0], e.costs]) for e in episodes])  # the cost of arriving in each state
    ahead = np.stack([costs[:, t + 1 : t + 6].sum(1) for t in range(LIMIT - 4)], 1)
    present, future = findings["cost, present step"], findings["cost, next 5 steps"]
    assert present.truth == pytest.approx(costs.mean())
    assert future.truth == pytest.approx(ahead.mean())
    assert (present.steps, future.steps) == (costs.size, ahead.size)
    assert present.estimate == 0  # heads start at exactly 0, so that all steps are tied
    assert present.auc == 0.5
    assert math.isnan(present.correlation)
    assert findings["violation within 5 steps"].truth == pytest.approx(
        ((ahead > 0) | (costs[:, : LIMIT - 4] > 0)).mean()
    )
    calm = costs[:, : LIMIT - 4] == 0
    warned = findings["violation within 5 steps, none yet"]
    assert (warned.steps, warned.truth) == (calm.sum(), pytest.approx((ahead > 0)[calm].mean()))
    assert 0 < warned.truth < 1


def test_a_trained_model_sees_and_foresees_the_hazard(tmp_path):
    data = write_dataset(tmp_path / "data", [play(i, 0.9 if i % 2 else None) for i in range(40)])
    unseen = write_dataset(tmp_path / "unseen", [play(100 + i, 0.9 if i % 2 else None) for i in range(10)])
    changes = {"model_updates": 300, "offline_updates": 0, "batch_size": 16, "evaluation_episodes": 1}
    training = {f"training.{name}": value for name, value in changes.items()}
    config = tiny_config(training | {"world_model.learning_rate": 1e-2})
    pretrain(config, [data], tmp_path / "run")
    findings = {f.name: f for f in diagnose_run(tmp_path / "run", unseen, 10, 3, SilentProgress())}
    assert findings["cost, present step"].auc > 0.95
    assert findings["cost, next 3 steps"].auc > 0.9
    assert findings["cost, next 3 steps"].correlation > 0.7
    assert findings["reward, next 3 steps"].correlation > 0.7


def test_what_a_policy_would_cost_is_foreseen_before_it_acts(tmp_path):
    """On one model, the clone of who drives into the hazard costs 1 a step, that of who keeps away next to nothing."""
    drives = {"into": [play(i, 0.9) for i in range(20)], "away": [play(100 + i, -0.5) for i in range(20)]}
    both = write_dataset(tmp_path / "both", drives["into"] + drives["away"])
    calm = write_dataset(tmp_path / "calm", [play(200 + i, -0.5) for i in range(5)])
    fast = {"training.batch_size": 16, "training.evaluation_episodes": 1, "world_model.learning_rate": 1e-2}
    model = tiny_config(fast | {"training.model_updates": 300, "training.offline_updates": 0})
    pretrain(model, [both], tmp_path / "model")
    assert OWN not in [f.name for f in diagnose_run(tmp_path / "model", calm, 5, 3, SilentProgress())]  # acts by chance
    clone = {"agent": "bc", "training.world_model": str(tmp_path / "model"), "training.offline_updates": 200}
    config = tiny_config(fast | clone | {"behaviour.actor_learning_rate": 1e-2})
    found = {}
    for name, episodes in drives.items():
        agent = pretrain(config, [write_dataset(tmp_path / name, episodes)], tmp_path / f"bc-{name}")
        *_, own = diagnose(agent, [play(200 + i, -0.5) for i in range(5)], ahead=3)
        assert (own.name, own.steps) == (OWN, 10)  # from two calm states of 21 each
        found[name] = own.estimate
    assert found["into"] == pytest.approx(LIMIT, rel=0.25)
    assert found["away"] < 0.05 * LIMIT


def test_rollouts_of_the_policy_start_where_nothing_costs_for_ten_steps_around():
    agent = tiny_agent()
    episode = play(0, -0.5)
    assert diagnose(agent, [episode], ahead=3)[-1].steps == 2  # rows 10 and 20
    costs = episode.costs.copy()
    costs[0] = 1  # row 1, nine before row 10
    assert diagnose(agent, [dataclasses.replace(episode, costs=costs)], ahead=3)[-1].steps == 1
    costs[10] = 1  # row 11
    assert OWN not in [f.name for f in diagnose(agent, [dataclasses.replace(episode, costs=costs)], ahead=3)]


def test_a_policy_that_plans_is_not_followed():
    agent = tiny_agent({"agent": "safe_dreamer", "safe_dreamer.variant": "osrp"})
    assert OWN not in [f.name for f in diagnose(agent, [play(0, -0.5)], ahead=3)]


def test_diagnosis_leaves_the_agents_randomness_alone():
    agent = tiny_agent()
    before = agent.generator.get_state()
    first = diagnose(agent, [play(0, None)], ahead=2)
    assert torch.equal(agent.generator.get_state(), before)
    assert repr(diagnose(agent, [play(0, None)], ahead=2)) == repr(first)


def test_too_long_a_horizon_is_refused(tmp_path):
    data = write_dataset(tmp_path / "data", [play(i, None) for i in range(2)])
    pretrain(tiny_config({"training.offline_updates": 1}), [data], tmp_path / "run")
    with pytest.raises(InputError, match="no episode of more than 20 steps"):
        diagnose_run(tmp_path / "run", data, 2, LIMIT, SilentProgress())
    with pytest.raises(InputError, match="at least 1"):
        diagnose_run(tmp_path / "run", data, 2, 0, SilentProgress())
