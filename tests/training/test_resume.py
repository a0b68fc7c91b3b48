"""Runs that are interrupted and resumed are the runs that were not: bit for bit, offline and online."""

from __future__ import annotations

import dataclasses
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

import fosp.training.offline
import fosp.training.online
from fosp.config import save_config
from fosp.data import Dataset, Replay
from fosp.training.checkpoint import checkpoint_info
from fosp.training.interrupts import Interrupted
from fosp.training.offline import pretrain
from fosp.training.online import finetune
from fosp.training.progress import SilentProgress
from resuming import InterruptAfter, assert_same_episodes, assert_same_run, lines, settings
from tiny import change, play, write_dataset

TESTS = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def dataset(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("data") / "line"
    return write_dataset(path, [play(i, (None, 0.5, 0.9)[i % 3]) for i in range(6)])


# ---------------------------------------------------------------------------- offline


@pytest.fixture(scope="module")
def offline(dataset, tmp_path_factory) -> Path:
    """An uninterrupted pretraining."""
    run = tmp_path_factory.mktemp("runs") / "offline"
    pretrain(settings(), [dataset], run)
    return run


def test_pretraining_logs_every_update_and_ends_with_checkpoint_and_evaluation(offline):
    losses = [entry for entry in lines(offline) if "loss/world_model" in entry]
    assert [entry["update"] for entry in losses] == list(range(1, 10))
    assert {"loss/value_reward", "loss/actor", "weights/mean", "reachability/target_real"} <= losses[0].keys()
    assert checkpoint_info(offline)["loop"]["update"] == 9
    (evaluation,) = lines(offline, "evaluations.jsonl")
    assert (evaluation["update"], len(evaluation["returns"])) == (9, 2)


def test_same_seed_same_run_other_seed_other_run(dataset, offline, tmp_path):
    pretrain(settings(), [dataset], tmp_path / "again")
    assert_same_run(offline, tmp_path / "again")
    pretrain(settings(seed=1), [dataset], tmp_path / "other")
    assert lines(tmp_path / "other")[0]["loss/world_model"] != lines(offline)[0]["loss/world_model"]


@pytest.mark.parametrize(("calls", "number"), [(3, signal.SIGINT), (7, signal.SIGTERM)])
def test_interrupted_pretraining_resumes_exactly(dataset, offline, tmp_path, calls, number):
    run = tmp_path / "run"
    handlers = [signal.getsignal(n) for n in (signal.SIGINT, signal.SIGTERM)]
    with pytest.raises(Interrupted):
        pretrain(settings(), [dataset], run, progress=InterruptAfter(calls, number))
    assert [signal.getsignal(n) for n in (signal.SIGINT, signal.SIGTERM)] == handlers
    assert 0 < checkpoint_info(run)["loop"]["update"] < 9
    pretrain(settings(seed=5), [], run, resume=True)  # settings and datasets come from the run
    assert_same_run(offline, run)


def test_a_killed_pretraining_resumes_from_its_last_checkpoint(dataset, offline, tmp_path):
    """Killed after update 6, its checkpoint is of update 4: updates 5 and 6 are made and logged again."""

    class Killed(Exception):
        pass

    class Kill(SilentProgress):
        calls = 0

        def update(self, n: int = 1, **figures: float) -> None:
            self.calls += 1
            if self.calls == 8:
                raise Killed

    run = tmp_path / "run"
    with pytest.raises(Killed):
        pretrain(settings(), [dataset], run, progress=Kill())
    assert checkpoint_info(run)["loop"]["update"] == 4
    assert max(entry["update"] for entry in lines(run)) > 4
    pretrain(settings(), [dataset], run, resume=True)
    assert_same_run(offline, run)


def test_a_run_killed_before_its_last_evaluation_makes_up_for_it(dataset, offline, tmp_path, monkeypatch):
    """The last checkpoint is written before the evaluation; resuming must not take the run for finished."""
    run = tmp_path / "run"

    def killed(*args, **kwargs):
        raise RuntimeError("killed")

    with monkeypatch.context() as patch:
        patch.setattr(fosp.training.offline, "evaluate", killed)
        with pytest.raises(RuntimeError, match="killed"):
            pretrain(settings(), [dataset], run)
    pretrain(settings(), [dataset], run, resume=True)
    assert_same_run(offline, run)
    pretrain(settings(), [dataset], run, resume=True)  # once more: nothing is left to do
    assert_same_run(offline, run)


def test_evaluations_that_are_made_again_are_not_logged_twice(dataset, tmp_path):
    """Killed at update 7 after the evaluation at 6, resumed from the checkpoint of 4."""
    config = settings(training__evaluate_every=3)
    pretrain(config, [dataset], tmp_path / "whole")
    assert [e["update"] for e in lines(tmp_path / "whole", "evaluations.jsonl")] == [3, 6, 9]

    class Killed(Exception):
        pass

    class Kill(SilentProgress):
        evaluations = 0

        def update(self, n: int = 1, **figures: float) -> None:
            self.evaluations += n == 0
            if self.evaluations == 2:
                raise Killed

    run = tmp_path / "run"
    with pytest.raises(Killed):
        pretrain(config, [dataset], run, progress=Kill())
    pretrain(config, [dataset], run, resume=True)
    assert_same_run(tmp_path / "whole", run)


def test_a_real_sigint_in_another_process_saves_and_the_run_resumes(dataset, offline, tmp_path):
    """As from a terminal: exit by Interrupted, a whole checkpoint, and the same run in the end."""
    run = tmp_path / "run"
    script = tmp_path / "train.py"
    config = tmp_path / "config.yaml"
    save_config(settings(training__offline_updates=100_000), config)
    script.write_text(
        "import sys, torch\nfrom pathlib import Path\nfrom fosp.config import load_config\n"
        "from fosp.training.interrupts import Interrupted\nfrom fosp.training.offline import pretrain\n"
        "from fosp.training.progress import SilentProgress\n"
        "torch.set_num_threads(1)\n"
        "class Tell(SilentProgress):\n"
        "    def update(self, n=1, **figures):\n"
        "        print('update', flush=True)\n"
        "config, dataset, run = map(Path, sys.argv[1:])\n"
        "try:\n"
        "    pretrain(load_config(config), [dataset], run, progress=Tell())\n"
        "except Interrupted:\n"
        "    sys.exit(130)\n"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(TESTS), *sys.path])}
    process = subprocess.Popen(
        [sys.executable, str(script), str(config), str(dataset), str(run)],
        stdout=subprocess.PIPE,
        text=True,
        env=environment,
    )
    assert process.stdout is not None
    for _ in range(3):
        assert process.stdout.readline() == "update\n"
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=120)
    assert process.returncode == 130
    done = checkpoint_info(run)["loop"]["update"]
    assert done >= 1
    if done < 9:  # on a slow machine it was caught early enough to compare
        save_config(settings(), run / "config.yaml")
        pretrain(settings(), [], run, resume=True)
        assert_same_run(offline, run)


# ----------------------------------------------------------------------------- online


@pytest.fixture(scope="module")
def online(offline, tmp_path_factory) -> Path:
    """An uninterrupted fine-tuning: five episodes of 20 frames, three updates after each."""
    run = tmp_path_factory.mktemp("runs") / "online"
    finetune(settings(), offline, run)
    return run


def test_finetuning_counts_frames_updates_and_costs(offline, online):
    counters = checkpoint_info(online)["loop"]["counters"]
    episodes = list(Dataset(online / "episodes"))
    assert [e.seed for e in episodes] == [500_000 + i for i in range(5)]
    assert counters["frames"] == sum(e.frames for e in episodes) == 100
    assert counters["episodes"] == 5
    assert counters["update"] == 9 + int(100 * 1.5 / (2 * 5))
    assert counters["due"] == pytest.approx(0)
    assert counters["cost"] == pytest.approx(sum(e.total_cost for e in episodes))
    rounds = [e for e in lines(online) if "train/return" in e]
    assert [e["train/return"] for e in rounds] == pytest.approx([e.total_reward for e in episodes])
    spent = np.cumsum([e.total_cost for e in episodes])
    assert [e["train/cost_regret"] for e in rounds] == pytest.approx(list(spent / (20 * np.arange(1, 6))))
    assert all(0 <= e["expansion/new_share"] <= 1 for e in rounds)
    (evaluation,) = lines(online, "evaluations.jsonl")
    assert evaluation["cost_regret"] == pytest.approx(spent[-1] / 100)
    assert (evaluation["frames"], evaluation["update"]) == (100, counters["update"])


def test_the_bounds_of_eq_22_are_of_all_that_was_ever_collected(dataset, tmp_path):
    """Data of a tenth of the rewards and costs: the robot's own episodes are beyond them."""
    poorer = [dataclasses.replace(e, rewards=0.1 * e.rewards, costs=0.1 * e.costs) for e in Dataset(dataset)]
    pretrain(settings(), [write_dataset(tmp_path / "poorer", poorer)], tmp_path / "offline")
    config = settings(behaviour__gamma=0.9)
    finetune(config, tmp_path / "offline", tmp_path / "run")
    own = list(Dataset(tmp_path / "run" / "episodes"))
    largest = max(e.rewards.max() for e in own), max(e.costs.max() for e in own)
    assert largest[0] > max(e.rewards.max() for e in poorer)
    state = load_file(tmp_path / "run" / "checkpoint" / "model.safetensors")
    discounted = sum(0.9**t for t in range(config.env.time_limit // config.env.action_repeat + 1))
    bounds = [state[f"agent/{name}_bound"].item() for name in ("reward", "cost")]
    assert bounds == pytest.approx([discounted * max(value, 0) for value in largest], rel=1e-5)


def test_from_the_first_episode_on_the_bounds_of_eq_22_are_by_the_settings_of_fine_tuning(dataset, offline, tmp_path):
    config = settings(behaviour__gamma=0.9)
    with pytest.raises(Interrupted):
        finetune(config, offline, tmp_path / "run", progress=InterruptAfter(1))
    state = load_file(tmp_path / "run" / "checkpoint" / "model.safetensors")
    discounted = sum(0.9**t for t in range(config.env.steps + 1))
    largest = max(e.costs.max() for e in Dataset(dataset))
    assert state["agent/cost_bound"].item() == pytest.approx(discounted * largest, rel=1e-5)


def test_finetuning_starts_from_the_pretrained_agent_and_leaves_it_alone(offline, online):
    before, after = (load_file(run / "checkpoint" / "model.safetensors") for run in (offline, online))
    frozen = [name for name in before if name.startswith("agent/actor.")]
    assert frozen
    assert all(torch.equal(before[name], after[name]) for name in frozen)
    assert not bool(before["agent/online"])
    assert bool(after["agent/online"])


# Calls of the progress: 2 at the start, 20 in a first episode, 1 for its figures, 3 updates, and so on.
@pytest.mark.parametrize("calls", [10, 25, 40], ids=["in-first-episode", "in-updates", "in-second-episode"])
def test_interrupted_finetuning_resumes_exactly(offline, online, tmp_path, calls):
    run = tmp_path / "run"
    with pytest.raises(Interrupted):
        finetune(settings(), offline, run, progress=InterruptAfter(calls))
    assert checkpoint_info(run)["loop"]["counters"]["frames"] < 100
    finetune(settings(seed=9), tmp_path / "not read when resuming", run, resume=True)
    assert_same_run(online, run)
    assert_same_episodes(online, run)


def test_finetuning_that_prefers_its_own_steps_resumes_exactly(offline, tmp_path, monkeypatch):
    drawn, sample = [], Replay.sample

    def spy(replay: Replay, *arguments):
        batch = sample(replay, *arguments)
        drawn.append(batch["action"])
        return batch

    monkeypatch.setattr(Replay, "sample", spy)
    config, run = settings(training__online_weight=1e6), tmp_path / "run"
    finetune(config, offline, tmp_path / "whole")
    with pytest.raises(Interrupted):
        finetune(config, offline, run, progress=InterruptAfter(40))
    finetune(config, offline, run, resume=True)
    assert_same_run(tmp_path / "whole", run)
    own = {tuple(action) for e in Dataset(run / "episodes") for action in e.actions.tolist()} | {(0.0,)}
    assert all(tuple(action) in own for batch in drawn for action in batch.flatten(0, 1).tolist())


def test_a_finetuning_killed_after_an_episode_was_stored_plays_it_again(offline, online, tmp_path, monkeypatch):
    """Between the episode's file and the checkpoint that counts it: the log must not tell it twice."""
    run, saves = tmp_path / "run", []
    save = fosp.training.online.save_checkpoint

    def killed(*args, **kwargs):
        saves.append(1)
        if len(saves) == 4:
            raise RuntimeError("killed")
        save(*args, **kwargs)

    with monkeypatch.context() as patch:
        patch.setattr(fosp.training.online, "save_checkpoint", killed)
        with pytest.raises(RuntimeError, match="killed"):
            finetune(settings(training__checkpoint_every=1000), offline, run)
    finetune(settings(), offline, run, resume=True)
    assert_same_episodes(online, run)
    assert [e for e in lines(run) if "train/return" in e] == [e for e in lines(online) if "train/return" in e]
    a, b = (load_file(r / "checkpoint" / "model.safetensors") for r in (online, run))
    assert all(torch.equal(a[name], b[name]) for name in a)


def test_several_environments_collect_at_once(offline, tmp_path):
    run = tmp_path / "run"
    finetune(settings(training__environments=2, training__online_frames=80), offline, run)
    counters = checkpoint_info(run)["loop"]["counters"]
    assert (counters["frames"], counters["episodes"]) == (80, 4)
    assert [e.seed for e in Dataset(run / "episodes")] == [500_000 + i for i in range(4)]
    assert len([e for e in lines(run) if "train/return" in e]) == 2


# ----------------------------------------------------------------------------- images


def test_images_train_offline_and_online_and_leave_pictures(tmp_path):
    dataset = write_dataset(
        tmp_path / "images", [play(i, (None, 0.5)[i % 2], image=True) for i in range(2)], "tiny:TinyLineImage-v0"
    )
    changes = {"training.offline_updates": 2, "training.evaluation_episodes": 1, "training.online_frames": 20}
    config = change(settings(), changes)
    config = change(config, {"env.id": "tiny:TinyLineImage-v0", "env.observation": "image"})
    pretrain(config, [dataset], tmp_path / "offline")
    finetune(config, tmp_path / "offline", tmp_path / "online")
    with np.load(tmp_path / "offline" / "artifacts" / "open_loop.npz") as pictures:
        assert pictures["truth"].shape == pictures["prediction"].shape == (4, 32, 64, 64, 6)
        assert pictures["truth"].dtype == pictures["prediction"].dtype == np.uint8
        assert 0 < int(pictures["context"]) < 32
    with np.load(tmp_path / "online" / "artifacts" / "film.npz") as film:
        assert film["frames"].shape == (20, 64, 64, 6)
        assert film["violation"].shape == film["cost"].shape == film["reward"].shape == (20,)
        assert ((film["violation"] >= 0) & (film["violation"] <= 1)).all()
