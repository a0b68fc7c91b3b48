"""Robots of LeRobot's, with a stand-in of theirs: a point that is sent to places on a line."""

from __future__ import annotations

import textwrap

import gymnasium
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env

from fosp.cli import main
from fosp.data import Dataset
from fosp.deploy.control import ride
from fosp.deploy.policy import Decision
from fosp.envs import make_env
from fosp.errors import InputError
from fosp.hardware.lerobot import Judgement, LeRobotEnv


class Line:
    """Joint "arm.pos", from 0 to 10; a camera whose brightness is its place."""

    observation_features = {"arm.pos": float, "front": (48, 80, 3)}  # noqa: RUF012
    action_features = {"arm.pos": float}  # noqa: RUF012

    def __init__(self) -> None:
        self.place, self.is_connected, self.stopped = 5.0, False, 0

    def connect(self, calibrate=True):
        self.is_connected = True

    def get_observation(self):
        return {"arm.pos": self.place, "front": np.full((48, 80, 3), round(np.nan_to_num(self.place)), np.uint8)}

    def send_action(self, action):
        self.place = min(action["arm.pos"], 9.0)  # its own limit
        return {"arm.pos": self.place}

    def disconnect(self):
        self.is_connected = False


class Reach:
    """Reward for the place; cost beyond 8."""

    def reset(self, robot, rng):
        robot.send_action({"arm.pos": float(rng.uniform(4, 6))})

    def judge(self, observation, sent):
        return Judgement(sent["arm.pos"] / 10, float(observation["arm.pos"] > 8))


class Time:
    now = 0.0

    def __init__(self) -> None:
        self.slept = []

    def __call__(self):
        return self.now

    def sleep(self, seconds):
        self.slept.append(seconds)
        self.now += seconds


def line_env(robot=None, **more):
    settings = {"actions": {"arm.pos": (0, 10)}, "images": ["front"], "vector": ["arm.pos"], "fps": 10, "steps": 4}
    time = Time()
    return LeRobotEnv(robot or Line(), Reach(), clock=time, sleep=time.sleep, **settings | more), time


def test_it_is_a_gymnasium_environment():
    env, _ = line_env()
    check_env(env, skip_render_check=True)


def test_actions_are_scaled_costs_judged_and_steps_counted():
    robot = Line()
    env, time = line_env(robot)
    observation, _ = env.reset(seed=1)
    assert 4 <= observation["vector"][0] <= 6
    assert observation["image"].shape == (64, 64, 3)
    observation, reward, _, _, info = env.step(np.array([0.0]))
    assert (observation["vector"][0], reward, info["cost"], info["sent"]) == (5.0, 0.5, 0.0, {"arm.pos": 5.0})
    assert observation["image"].max() == 5
    _, reward, _, _, info = env.step(np.array([1.0]))
    assert (reward, info["cost"], info["sent"]["arm.pos"]) == (0.9, 1.0, 9.0)  # what was sent, not what was asked
    env.step(np.array([0.0]))
    assert env.step(np.array([0.0]))[2:4] == (False, True)
    assert time.slept == pytest.approx([0.1] * 4)
    env.close()
    assert not robot.is_connected


def test_a_late_step_is_told_and_the_next_has_its_whole_time():
    env, time = line_env()
    env.reset(seed=0)
    time.now += 0.25
    assert env.step(np.zeros(1))[4]["overrun"] == pytest.approx(0.15)
    assert env.step(np.zeros(1))[4]["overrun"] == 0
    assert time.slept == pytest.approx([0.1])


def test_whatever_goes_wrong_the_robot_is_held():
    robot, held = Line(), []
    env, _ = line_env(robot, stop=held.append)
    with pytest.raises(gymnasium.error.ResetNeeded):
        env.step(np.zeros(1))
    env.reset(seed=0)
    with pytest.raises(InputError, match="1 finite numbers"):
        env.step(np.array([np.nan]))
    assert held == []
    robot.send_action = lambda action: 1 / 0
    with pytest.raises(ZeroDivisionError):
        env.step(np.zeros(1))
    assert held == [robot]


def test_a_sensor_that_reads_nothing_holds_the_robot_and_what_was_before_remains():
    robot, held = Line(), []
    env, time = line_env(robot, stop=held.append, observation="vector")
    sending = robot.send_action

    def third(action):
        if env._step == 2:
            robot.place = float("nan")
            return action
        return sending(action)

    robot.send_action = third
    made = ride(lambda *_: Decision(np.array([0.5]), 0.0, False, None), env, 0, clock=time, sleep=time.sleep)
    assert (made.ended, made.steps, len(made.episode)) == ("arm", 2, 2)
    assert "'arm.pos' reads nan" in made.why
    assert held


def test_what_has_no_name_cannot_be_observed():
    with pytest.raises(InputError, match="names of images"):
        line_env(images=[])
    with pytest.raises(InputError, match="observes no 'wrist'"):
        line_env(images=["wrist"])[0].reset(seed=0)


@pytest.fixture
def file(tmp_path):
    (tmp_path / "my_line_arm.py").write_text(
        textwrap.dedent("""
            from test_lerobot import line_env

            def make(observation, steps):
                return line_env(observation=observation, steps=steps)[0]

            def nothing(observation):
                return None
        """)
    )
    path = tmp_path / "arm.yaml"
    path.write_text("make: my_line_arm:make\narguments: {steps: 6}\n")
    return path


def test_a_robot_file_makes_it_an_environment_like_any_other(file, tmp_path):
    out = tmp_path / "data"
    assert main(["collect", "--env", f"lerobot:{file}", "--policy", "random", "--episodes", "2", "--workers", "2",
                 "--action-repeat", "2", "--out", str(out)]) == 0  # fmt: skip
    first, _ = Dataset(out)
    assert len(first) == 3  # six steps of the robot, two of them for an action
    assert first.observations["image"].shape[1:] == (64, 64, 3)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("make: my_line_arm:unmake\n", "gives no function"),
        ("make: nowhere:make\n", "gives no function"),
        ("make: my_line_arm:nothing\n", "not a Gymnasium environment"),
        ("arguments: {}\n", "lacks 'make'"),
    ],
)
def test_what_is_wrong_with_the_file_is_named(file, text, says):
    file.write_text(text)
    with pytest.raises(InputError, match=says):
        make_env(f"lerobot:{file}")
