"""What is looked at before a loop spends hours, and what it says of runs that others have left."""

from __future__ import annotations

import json
import subprocess
import sys

import gymnasium
import numpy as np
import pytest
import torch

from fosp.config import load_config
from fosp.errors import InputError, Notice
from fosp.experiments import runs
from fosp.training.checkpoint import has_checkpoint, save_checkpoint, share_done
from fosp.training.interrupts import Interrupted
from fosp.training.offline import pretrain
from fosp.training.online import finetune, train
from fosp.training.progress import SilentProgress
from fosp.training.trained import load_trained
from resuming import InterruptAfter, settings
from tiny import LINE, play, write_dataset


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    return write_dataset(tmp_path_factory.mktemp("data") / "line", [play(i, None) for i in range(2)])


@pytest.fixture(scope="module")
def stopped(dataset, tmp_path_factory):
    """Stopped after two of four updates."""
    run = tmp_path_factory.mktemp("runs") / "stopped"
    with pytest.raises(Interrupted):
        pretrain(settings(training__offline_updates=4), [dataset], run, progress=InterruptAfter(2))
    return run


class Refusing(SilentProgress):
    """No update may happen."""

    def start(self, total, label, done=0):
        raise AssertionError("the loop has begun")


@pytest.mark.parametrize(("env", "complaint"), [("SafetyPointGoal1-v0", r"\(60,\)"), ("tiny:TinyLin-v0", "is unknown")])
def test_an_environment_that_does_not_fit_is_found_before_the_first_update(dataset, tmp_path, env, complaint):
    config = settings(env__id=env, training__offline_updates=1)
    with pytest.raises(InputError, match=complaint):
        pretrain(config, [dataset], tmp_path / "run", progress=Refusing())
    pretrain(settings(training__offline_updates=1), [dataset], tmp_path / "run")  # the directory is still free


def test_fine_tuning_looks_as_well(dataset, tmp_path):
    pretrain(settings(training__offline_updates=1), [dataset], tmp_path / "run")
    other = settings(env__id="SafetyPointGoal1-v0", training__offline_updates=1)
    with pytest.raises(InputError, match=r"SafetyPointGoal1-v0 has .*\(60,\)"):
        finetune(other, tmp_path / "run", tmp_path / "tuned")
    assert not has_checkpoint(tmp_path / "tuned")


def test_without_evaluations_pretraining_needs_no_environment_and_is_whole(dataset, tmp_path):
    config = settings(env__id="Elsewhere-v0", training__offline_updates=2, training__evaluation_episodes=0)
    pretrain(config, [dataset], tmp_path / "run")
    assert share_done(tmp_path / "run") == 1
    assert not (tmp_path / "run" / "evaluations.jsonl").exists()
    there = settings(env__id=LINE, training__evaluation_episodes=0, training__online_frames=20)
    finetune(there, tmp_path / "run", tmp_path / "tuned")
    assert share_done(tmp_path / "tuned") == 1
    assert not (tmp_path / "tuned" / "evaluations.jsonl").exists()


def test_who_takes_up_a_run_that_was_stopped_is_told(stopped, tmp_path):
    with pytest.warns(Notice, match=r"has 50% of its training behind it.* fosp pretrain --run .* --resume"):
        load_trained(stopped, "cpu")
    with pytest.warns(Notice, match="50%"):
        finetune(settings(training__online_frames=20), stopped, tmp_path / "tuned")


def test_other_data_do_not_slip_into_a_run_and_moved_ones_do(dataset, stopped, tmp_path):
    other = write_dataset(tmp_path / "other", [play(7, None)])
    with pytest.raises(InputError, match="resumes with its own datasets"):
        pretrain(load_config(stopped / "config.yaml"), [other], stopped, resume=True)
    moved, run = tmp_path / "moved", tmp_path / "run"
    with pytest.raises(Interrupted):
        pretrain(settings(training__offline_updates=4), [other], run, progress=InterruptAfter(2))
    other.rename(moved)
    pretrain(load_config(run / "config.yaml"), [moved], run, resume=True)
    assert share_done(run) == 1


def test_a_directory_of_something_else_is_no_place_for_a_run(dataset, tmp_path):
    with pytest.raises(InputError, match="holds something that is no run"):
        pretrain(settings(), [dataset], dataset)
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="holds something that is no run"):
        train(settings(), tmp_path / "file")


def test_weights_that_are_not_finite_leave_the_checkpoint_of_before(stopped):
    with pytest.warns(Notice):
        agent = load_trained(stopped, "cpu").agent
    before = (stopped / "checkpoint" / "model.safetensors").read_bytes()
    with torch.no_grad():
        next(agent.actor.parameters())[0] = np.nan
    with pytest.raises(InputError, match=r"has diverged: actor.* is not finite"):
        save_checkpoint(stopped, agent, {})
    assert (stopped / "checkpoint" / "model.safetensors").read_bytes() == before


def test_a_damaged_line_of_a_log_is_named_on_resuming(dataset, tmp_path):
    run = tmp_path / "run"
    with pytest.raises(Interrupted):
        pretrain(settings(training__offline_updates=4), [dataset], run, progress=InterruptAfter(2))
    (run / "evaluations.jsonl").write_text(json.dumps({"update": 0}) + "\n{half}\n")
    with pytest.raises(InputError, match=r"evaluations.jsonl, line 2 is not a JSON object"):
        pretrain(settings(), [], run, resume=True)


def test_the_setting_of_another_size_is_named(dataset, tmp_path):
    pretrain(settings(training__offline_updates=1), [dataset], tmp_path / "run")
    made = load_config(tmp_path / "run" / "config.yaml")
    with pytest.raises(InputError, match=rf"world_model.units 24, not {made.world_model.units}"):
        finetune(settings(world_model__units=24), tmp_path / "run", tmp_path / "tuned")


def test_another_variant_of_safe_dreamer_is_named_and_not_taken_for_damage(dataset, tmp_path):
    pretrain(settings(agent="safe_dreamer", training__offline_updates=1), [dataset], tmp_path / "run")
    other = settings(agent="safe_dreamer", safe_dreamer__variant="osrp_lag")
    with pytest.raises(InputError, match=r"safe_dreamer\.variant osrp_lag, not bsrp_lag"):
        finetune(other, tmp_path / "run", tmp_path / "tuned")


def test_a_run_notes_the_commits_that_it_was_begun_and_resumed_by(dataset, tmp_path, monkeypatch):
    """Not the one that the checkout has come to by the end."""
    head, run = ["first"], tmp_path / "run"
    monkeypatch.setattr(runs, "commit", lambda: head[0])

    class Moving(InterruptAfter):
        def update(self, **facts):
            head[0] = "later"
            super().update(**facts)

    def noted():
        return json.loads((run / "machine.json").read_text())["commit"]

    config = settings(training__offline_updates=6)
    with pytest.raises(Interrupted):
        runs.learn_offline(config, [dataset], run, Moving(2), False)
    assert noted() == "first"
    with pytest.raises(Interrupted):
        runs.learn_offline(config, [], run, InterruptAfter(2), True)
    assert noted() == "first, later"
    runs.learn_offline(config, [], run, SilentProgress(), True)
    assert noted() == "first, later"


class Large(gymnasium.Env):
    """Sees 84x84 pixels."""

    observation_space = gymnasium.spaces.Box(0, 255, (84, 84, 3), np.uint8)
    action_space = gymnasium.spaces.Box(-1, 1, (1,), np.float32)


gymnasium.register("TinyLarge-v0", entry_point=Large)


def test_pictures_of_another_size_are_refused_from_scratch_too(tmp_path):
    with pytest.raises(InputError, match="Pictures are 84x84 pixels"):
        train(settings(env__id="TinyLarge-v0", env__observation="image"), tmp_path / "run")


def test_a_run_that_another_process_trains_is_left_alone(dataset, tmp_path):
    run = tmp_path / "run"
    with pytest.raises(Interrupted):
        pretrain(settings(training__offline_updates=4), [dataset], run, progress=InterruptAfter(2))
    other = "import sys, pathlib\nfrom fosp.training.alone import alone_in_run\n"
    other += "with alone_in_run(pathlib.Path(sys.argv[1])):\n    print('held', flush=True)\n    sys.stdin.read()"
    with subprocess.Popen(
        [sys.executable, "-c", other, str(run)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout.readline() == b"held\n"
        with pytest.raises(InputError, match="in training already"):
            pretrain(settings(), [], run, resume=True)
        process.kill()
    pretrain(settings(), [], run, resume=True)
    assert share_done(run) == 1
