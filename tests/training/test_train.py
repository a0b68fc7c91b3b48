"""Training from scratch ("direct online"): what it starts from, what it counts, and that it resumes exactly."""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import pytest
import torch
import yaml
from safetensors.torch import load_file

from fosp.agents import make_agent
from fosp.config import change, load_config, save_config
from fosp.data import Dataset
from fosp.errors import InputError
from fosp.training.checkpoint import checkpoint_info, share_done
from fosp.training.interrupts import Interrupted
from fosp.training.offline import pretrain
from fosp.training.online import finetune, train, updates_granted
from fosp.training.trained import load_trained
from resuming import InterruptAfter, assert_same_episodes, assert_same_run, lines, settings
from tiny import play, write_dataset


@pytest.fixture(scope="module")
def config():
    """Five episodes of 20 frames, two of them at random; three updates after each."""
    return settings(training__prefill_episodes=2, training__evaluate_at=(0, 41))


@pytest.fixture(scope="module")
def direct(config, tmp_path_factory):
    """An uninterrupted training."""
    run = tmp_path_factory.mktemp("runs") / "direct"
    train(config, run)
    return run


def test_it_starts_with_random_episodes_and_counts_them_like_all_others(direct):
    episodes = list(Dataset(direct / "episodes"))
    counters = checkpoint_info(direct)["loop"]["counters"]
    assert [summary.behaviour for summary in Dataset(direct / "episodes").summaries()] == ["random"] * 2 + ["fosp"] * 3
    assert [episode.seed for episode in episodes] == [500_000 + i for i in range(5)]
    assert (counters["frames"], counters["episodes"], counters["update"]) == (100, 5, int(100 * 1.5 / (2 * 5)))
    assert counters["cost"] == pytest.approx(sum(episode.total_cost for episode in episodes))
    assert np.abs(episodes[0].actions).max() > 0


def test_one_actor_learns_with_the_online_losses(direct):
    assert not load_config(direct / "config.yaml").behaviour.expansion
    agent = load_trained(direct).agent
    assert agent.is_online
    assert not agent.expanded
    assert agent.learner is agent.actor
    logged = [entry for entry in lines(direct) if "loss/actor" in entry]
    assert logged
    assert "actor/log_probability" not in logged[0]  # which only the loss on the data's actions reports
    assert all("expansion/new_share" not in entry for entry in lines(direct))


def test_it_learns_with_the_scale_of_the_random_episodes_vectors(direct):
    random = torch.cat([torch.from_numpy(Dataset(direct / "episodes")[i].observations["vector"]) for i in range(2)])
    mean = load_trained(direct).agent.world_model.vector_mean.cpu()
    torch.testing.assert_close(mean, (random.sign() * random.abs().log1p()).mean(0))


def test_updates_after_an_episode_are_those_of_the_ratio_or_a_number(config):
    training = config.training
    assert updates_granted(training, 20) == 20 * training.train_ratio / (training.batch_size * training.sequence_length)
    assert updates_granted(dataclasses.replace(training, updates_per_episode=7), 20) == 7


def test_a_number_of_updates_follows_every_episode_and_success_and_violation_are_logged(config, tmp_path):
    run = tmp_path / "run"
    train(change(config, {"training.updates_per_episode": 2}), run)
    state, episodes = checkpoint_info(run)["loop"], list(Dataset(run / "episodes"))
    assert state["counters"]["update"] == 2 * len(episodes)
    logged = [line for line in lines(run) if "train/success" in line]
    assert [line["train/violation"] for line in logged] == [float(episode.costs.any()) for episode in episodes]
    assert [line["train/success"] for line in logged] == [float((e.rewards > 0).any()) for e in episodes]


def test_it_is_evaluated_at_its_marks_and_at_the_end(direct):
    """Mark 0 after the random episodes, at frame 40 (nothing can act before); 41 is passed at frame 60."""
    evaluations = lines(direct, "evaluations.jsonl")
    assert [(entry["frames"], entry["update"]) for entry in evaluations] == [(40, 6), (60, 9), (100, 15)]
    assert share_done(direct) == 1


# Two calls of the progress at the start, two a random episode (frames, figures), six updates, then as in fine-tuning.
@pytest.mark.parametrize("calls", [4, 9, 20], ids=["in-random-episodes", "in-updates", "in-an-episode"])
def test_interrupted_it_resumes_exactly(config, direct, tmp_path, calls):
    run = tmp_path / "run"
    with pytest.raises(Interrupted):
        train(config, run, progress=InterruptAfter(calls))
    assert 0 < share_done(run) < 1
    train(config, run, resume=True)
    assert_same_run(direct, run)
    assert_same_episodes(direct, run)


def test_neither_verb_takes_up_what_the_other_made(config, direct, tmp_path):
    dataset = write_dataset(tmp_path / "line", [play(i, None) for i in range(2)])
    pretrain(settings(training__offline_updates=1), [dataset], tmp_path / "offline")
    with pytest.raises(InputError, match="was made by `fosp pretrain`"):
        train(config, tmp_path / "offline", resume=True)
    with pytest.raises(InputError, match="was made by `fosp pretrain`"):
        finetune(config, tmp_path / "offline", tmp_path / "offline", resume=True)
    with pytest.raises(InputError, match="was made by `fosp train`"):
        pretrain(config, [dataset], direct, resume=True)
    with pytest.raises(InputError, match="has no data to go on with"):
        finetune(config, direct, tmp_path / "tuned")


def test_finetuning_can_be_evaluated_before_its_first_episode(tmp_path):
    dataset = write_dataset(tmp_path / "line", [play(i, None) for i in range(2)])
    config = settings(training__offline_updates=2, training__online_frames=40, training__evaluate_at=(0,))
    pretrain(config, [dataset], tmp_path / "offline")
    finetune(config, tmp_path / "offline", tmp_path / "online")
    evaluations = [json.loads(line) for line in (tmp_path / "online" / "evaluations.jsonl").read_text().splitlines()]
    assert [(entry["frames"], entry["update"]) for entry in evaluations] == [(0, 2), (40, 8)]
    a, b = (load_file(tmp_path / name / "checkpoint" / "model.safetensors") for name in ("offline", "online"))
    frozen = [name for name in a if name.startswith("agent/actor.")]
    assert all(torch.equal(a[name], b[name]) for name in frozen)


def test_at_first_only_the_world_model_learns_and_then_only_the_behaviour_on_it(tmp_path):
    dataset = write_dataset(tmp_path / "data", [play(i, None) for i in range(2)])
    agents = {}
    for alone in (0, 2, 3):
        run = tmp_path / str(alone)
        changes = {"training__model_updates": alone, "training__offline_updates": 3 - alone}
        config = settings(**changes, training__evaluation_episodes=1)
        pretrain(config, [dataset], run)
        agents[alone] = load_file(run / "checkpoint" / "model.safetensors")
    fresh = make_agent(config, load_trained(run).agent.spaces, 1).state_dict()
    moved = {
        alone: {name.split(".")[0] for name in fresh if not torch.equal(saved[f"agent/{name}"], fresh[name])}
        for alone, saved in agents.items()
    }
    assert moved[3] == {"world_model", "reward_bound", "cost_bound"}
    assert moved[0] >= moved[2] >= {"world_model", "actor", "reward_critic", "cost_critic", "reachability"}
    assert not all(torch.equal(agents[0][name], agents[2][name]) for name in agents[0] if "actor" in name)
    earlier = settings(training__model_updates=2, training__offline_updates=0)
    pretrain(earlier, [dataset], tmp_path / "model")
    model = load_file(tmp_path / "model" / "checkpoint" / "model.safetensors")
    rested = [name for name in model if name.startswith(("agent/world_model.", "optimiser/world_model/"))]
    assert all(torch.equal(model[name], agents[2][name]) for name in rested)


def test_nothing_is_evaluated_before_there_is_a_behaviour(tmp_path):
    dataset = write_dataset(tmp_path / "data", [play(i, None) for i in range(2)])
    config = settings(training__model_updates=2, training__offline_updates=2, training__evaluate_every=1)
    pretrain(config, [dataset], tmp_path / "run")
    evaluations = [json.loads(line) for line in (tmp_path / "run" / "evaluations.jsonl").read_text().splitlines()]
    assert [entry["update"] for entry in evaluations] == [3, 4]


def test_an_interruption_while_the_behaviour_learns_leaves_the_model_at_rest(tmp_path):
    dataset = write_dataset(tmp_path / "data", [play(i, None) for i in range(2)])
    config = settings(training__model_updates=3, training__offline_updates=3, training__cooldown=0.5)
    pretrain(config, [dataset], tmp_path / "whole")
    with pytest.raises(Interrupted):
        pretrain(config, [dataset], tmp_path / "halves", progress=InterruptAfter(4))
    pretrain(config, [], tmp_path / "halves", resume=True)
    assert_same_run(tmp_path / "whole", tmp_path / "halves")


def test_fine_tuning_keeps_the_multiplier_unless_it_is_set_anew(tmp_path):
    dataset = write_dataset(tmp_path / "data", [play(i, None) for i in range(2)])
    config = settings(training__offline_updates=2, training__online_frames=0)
    pretrain(config, [dataset], tmp_path / "offline")
    learned = load_trained(tmp_path / "offline").agent.multiplier.state_dict()
    assert learned["penalty"] > config.behaviour.penalty
    kept = finetune(config, tmp_path / "offline", tmp_path / "kept").multiplier.state_dict()
    assert kept == learned
    changed = change(config, {"behaviour.multiplier": 0.7})
    anew = finetune(changed, tmp_path / "offline", tmp_path / "anew").multiplier.state_dict()
    assert anew == {"multiplier": 0.7, "penalty": learned["penalty"]}


def test_with_a_cost_limit_the_multiplier_answers_to_the_episodes_played_and_to_nothing_else(tmp_path):
    data = write_dataset(tmp_path / "line", [play(seed, None) for seed in range(4)])
    limit = {"behaviour.cost_limit": 3.0, "behaviour.cost_limit_rate": 0.01, "behaviour.multiplier": 5.0}
    config = change(settings(), {**limit, "training.evaluation_episodes": 1})
    offline = pretrain(config, [data], tmp_path / "run")
    climbed = offline.multiplier.multiplier.item()
    assert climbed != 5.0  # offline by Eq. 27: there are no episodes of its own
    online = finetune(config, tmp_path / "run", tmp_path / "online")
    costs = [line["train/cost"] for line in lines(tmp_path / "online") if "train/cost" in line]
    assert len(costs) == 5
    expected = climbed + 0.01 * sum(cost - 3.0 for cost in costs)
    assert online.multiplier.multiplier.item() == pytest.approx(expected, rel=1e-9)


def test_what_was_fine_tuned_is_fine_tuned_further_with_its_own_episodes_among_the_data(tmp_path):
    dataset = write_dataset(tmp_path / "line", [play(i, None) for i in range(2)])
    config = settings(training__offline_updates=1, training__online_frames=40)
    pretrain(config, [dataset], tmp_path / "offline")
    finetune(config, tmp_path / "offline", tmp_path / "first")
    finetune(config, tmp_path / "first", tmp_path / "second")
    first, second = (checkpoint_info(tmp_path / name)["loop"] for name in ("first", "second"))
    assert first["datasets"] == [str(dataset.resolve())]
    assert second["datasets"] == [str(dataset.resolve()), str((tmp_path / "first" / "episodes").resolve())]


@pytest.mark.parametrize(
    ("section", "entry", "message"),
    [
        ("behaviour", {"reach_initial": 0.0}, r"behaviour.reach_initial is 0.0, outside its range \(0, 1\)"),
        ("behaviour", {"gamma": 1.0}, r"behaviour.gamma is 1.0, outside its range \[0, 1\)"),
        ("env", {"id": 5}, "env.id must be of type str"),
        ("dreamer", {"ensemble": "five"}, "dreamer.ensemble must be of type int"),
        ("safe_dreamer", {"plan_elites": "x"}, "safe_dreamer.plan_elites must be of type int"),
        ("recovery_rl", {"plan_elites": "x"}, "recovery_rl.plan_elites must be of type int"),
    ],
)
def test_a_setting_that_was_edited_wrongly_is_named(tmp_path, section, entry, message):
    path = tmp_path / "config.yaml"
    save_config(settings(), path)
    edited = yaml.safe_load(path.read_text())
    edited[section] |= entry
    path.write_text(yaml.safe_dump(edited))
    with pytest.raises(InputError, match=message):
        load_config(path)
