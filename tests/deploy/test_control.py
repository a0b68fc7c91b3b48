"""The control loop: rate and deadlines on a clock of our own, the guard, the operator, the log."""

from __future__ import annotations

import json

import numpy as np
import pytest

from fosp.cli import main
from fosp.data import Dataset
from fosp.deploy.control import ride
from fosp.deploy.drive import drive
from fosp.deploy.export import export_policy
from fosp.deploy.policy import Decision
from fosp.envs import make_env
from fosp.hardware.operator import ArmStoppedError
from fosp.training.offline import pretrain
from resuming import settings
from tiny import LIMIT, LINE, play, write_dataset


class Time:
    """A clock that only `sleep` and the policy's thinking move."""

    def __init__(self) -> None:
        self.now, self.slept = 100.0, []

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds


class Scripted:
    """A policy whose thinking takes given times, and whose estimates are given."""

    def __init__(self, time, thinking=(), estimates=(), threshold=0.5):
        self.time, self.thinking, self.estimates, self.threshold = time, list(thinking), list(estimates), threshold
        self.calls = 0

    def __call__(self, observation, state):
        i, self.calls = self.calls, self.calls + 1
        self.time.now += self.thinking[i] if i < len(self.thinking) else 0.01
        p = self.estimates[i] if i < len(self.estimates) else 0.1
        return Decision(np.array([0.5], np.float32), p, p > self.threshold, i)


@pytest.fixture
def env():
    env = make_env(LINE, observation="vector", action_repeat=1)
    yield env
    env.close()


class Arm:
    """Stands in for what a ReachEnv drives."""

    stops = 0

    def stop(self):
        self.stops += 1


def test_steps_come_at_their_rate_and_late_ones_are_counted(env):
    time = Time()
    made = ride(Scripted(time, thinking=[0.02, 0.25, 0.04]), env, 0, period=0.1, clock=time, sleep=time.sleep)
    assert (made.steps, made.ended, made.late) == (LIMIT, "finished", 1)
    assert made.slowest == pytest.approx(0.25)
    # The late step is followed by a whole one: nothing is caught up.
    assert time.slept[:4] == pytest.approx([0.08, 0.0, 0.06, 0.09])


def test_guard_stops_before_the_action_of_the_alarm(env):
    env.unwrapped.stop = (arm := Arm()).stop
    time = Time()
    made = ride(Scripted(time, estimates=[0.1, 0.2, 0.3, 0.9]), env, 0, clock=time, sleep=time.sleep)
    assert (made.ended, made.steps, made.violation) == ("guard", 3, 0.9)
    assert arm.stops == 1
    assert len(made.episode) == 3
    assert made.episode.truncated
    assert not made.episode.terminated
    assert made.episode.behaviour == "policy (guard)"


def test_without_the_guard_an_alarm_is_only_noted(env):
    time = Time()
    made = ride(Scripted(time, estimates=[0.9] * 3), env, 0, guard=False, clock=time, sleep=time.sleep)
    assert (made.ended, made.steps, made.violation) == ("finished", LIMIT, 0.9)


def test_the_operator_stops_it_and_nothing_done_is_no_episode(env):
    env.unwrapped.stop = (arm := Arm()).stop
    time, answers = Time(), iter([True, True, False])
    made = ride(Scripted(time), env, 0, held=lambda: next(answers), clock=time, sleep=time.sleep)
    assert (made.ended, made.steps) == ("operator", 2)
    made = ride(Scripted(time), env, 0, held=lambda: False, clock=time, sleep=time.sleep)
    assert (made.ended, made.steps, made.episode) == ("operator", 0, None)
    assert arm.stops == 2


def test_an_error_stops_the_arm(env):
    env.unwrapped.stop = (arm := Arm()).stop

    def broken(observation, state):
        raise RuntimeError("no more")

    with pytest.raises(RuntimeError, match="no more"):
        ride(broken, env, 0)
    assert arm.stops == 1


def test_an_arm_that_is_held_ends_the_episode_and_says_why(env, monkeypatch):
    step, calls = env.unwrapped.step, []

    def until_the_third(action):
        calls.append(action)
        if len(calls) == 3:
            raise ArmStoppedError("too much force")
        return step(action)

    monkeypatch.setattr(env.unwrapped, "step", until_the_third)
    time = Time()
    made = ride(Scripted(time), env, 0, clock=time, sleep=time.sleep)
    assert (made.ended, made.why, made.steps, len(made.episode)) == ("arm", "too much force", 2, 2)


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    root = tmp_path_factory.mktemp("drive")
    data = write_dataset(root / "line", [play(i, 0.9 if i % 2 else None) for i in range(6)])
    write_dataset(root / "held", [play(10 + i, 0.4) for i in range(12)])
    pretrain(settings(), [data], root / "run")
    export_policy(root / "run", root / "policy", calibration=root / "held", false_alarms=0.1)
    return root


def test_the_log_is_a_dataset_to_learn_from(root, tmp_path, capsys):
    assert main(["run-robot", "--from", str(root / "policy"), "--episodes", "2", "--log", str(tmp_path / "log"),
                 "--no-guard", "--rate", "1000"]) == 0  # fmt: skip
    assert capsys.readouterr().out.count("finished after 20 steps") == 2
    episodes = Dataset(tmp_path / "log")
    assert [len(e) for e in episodes] == [LIMIT, LIMIT]
    pretrain(settings(), [root / "line", tmp_path / "log"], tmp_path / "more")


def test_an_episode_is_told_of_and_logged_before_the_next_begins(root, tmp_path):
    rides = drive(root / "policy", episodes=2, guard=False, log=tmp_path / "log")
    assert next(rides).ended == "finished"
    assert len(Dataset(tmp_path / "log")) == 1
    rides.close()


def test_the_guard_of_the_directory_stops_it(root, tmp_path, capsys):
    facts = root / "policy" / "policy.json"
    before = facts.read_text()
    facts.write_text(json.dumps({**json.loads(before), "threshold": 0.0}))
    try:
        assert main(["run-robot", "--from", str(root / "policy")]) == 0
    finally:
        facts.write_text(before)
    assert "guard after 0 steps, nothing done" in capsys.readouterr().out


def test_what_cannot_be_driven_is_said(root, tmp_path, capsys):
    for words, reason in (
        (["--from", str(root / "run")], "has no guard"),
        (["--from", str(tmp_path)], "holds no policy"),
        (["--from", str(root / "policy"), "--env", "SafetyPointGoal1-v0"], "has others"),
        (["--from", str(root / "policy"), "--episodes", "0"], "at least 1"),
        (["--from", str(root / "policy"), "--seed", "-1"], "at least 0"),
        (["--from", str(root / "policy"), "--log", str(root)], "is there already"),
    ):
        assert main(["run-robot", *words]) == 2
        assert reason in capsys.readouterr().err
