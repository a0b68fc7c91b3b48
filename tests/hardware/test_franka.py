"""The Franka adapter, over a stand-in that keeps the vendors' calling conventions and moves the simulated arm."""

from __future__ import annotations

import sys
from dataclasses import replace

import numpy as np
import pytest
from stand_ins import World, install

from fosp.cli import main
from fosp.data import Dataset
from fosp.envs import make_env
from fosp.envs.behaviours import make_behaviour
from fosp.envs.reach.env import ReachEnv
from fosp.envs.reach.tasks import TASKS
from fosp.errors import InputError
from fosp.hardware.operator import ArmStoppedError
from reach_tools import Recorder, Replayed

FILE = "host: 10.0.0.1\n"


@pytest.fixture
def world(monkeypatch):
    made = World()
    install(monkeypatch, made)
    yield made
    made.arm.close()


@pytest.fixture
def robot(tmp_path, world):
    path = tmp_path / "arm.yaml"
    path.write_text(FILE)
    return f"franka:{path}"


def episode(env, seed):
    """One in which an obstacle and the target are touched: observations, rewards, costs."""
    operator = make_behaviour("unsafe-success", 3)
    observation, _ = env.reset(seed=seed)
    operator.reset(env)
    rows, done = [(observation, 0.0, 0.0)], False
    while not done:
        observation, reward, _, done, info = env.step(operator.act(env))
        rows.append((observation, reward, info["cost"]))
    return rows


def test_the_robot_and_the_simulation_give_the_same_episode_through_one_environment(world, robot):
    world.seed = 4
    real = make_env(robot, observation="both")
    there = episode(real, 4)
    recorder = Recorder(TASKS["SafeReach"])
    simulated = ReachEnv(observation="both", backend=recorder)
    here = episode(simulated, 4)
    for (observed, reward, _), (expected, wanted, _) in zip(there, here, strict=True):
        np.testing.assert_array_equal(observed["image"], expected["image"])
        np.testing.assert_allclose(observed["vector"], expected["vector"], atol=1e-6)
        assert reward == wanted
    assert sum(row[1] for row in here) > 0
    # Nobody tracks the obstacles' poses: the cost is that of the readings without them.
    blind = [replace(reading, events=replace(reading.events, obstacle_poses=None)) for reading in recorder.readings]
    replayed = episode(ReachEnv(observation="both", backend=Replayed(blind)), 4)
    assert [row[2] for row in there] == [row[2] for row in replayed]
    assert sum(row[2] for row in there) > 0
    assert world.now == pytest.approx(8.0)  # 80 steps of a tenth of a second
    real.close()
    assert world.free


def test_things_are_placed_again_only_when_something_may_have_moved(world, robot):
    env = make_env(robot, observation="vector")
    env.reset(seed=0)
    asked = len(world.requests)
    assert asked == 2  # to place things, and to hold a key
    env.reset(seed=0)
    assert len(world.requests) == asked
    env.step(np.zeros(6, np.float32))
    env.reset(seed=0)
    assert len(world.requests) == 2 * asked


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        ("holding", False, "let go of the key"),
        ("force", 40.0, "40 N at the hand, more than force_limit, 25 N"),
        ("error", "cartesian_reflex", "cartesian_reflex"),
    ],
)
def test_operator_force_and_the_arm_itself_stop_it_where_it_is(world, robot, name, value, says):
    env = make_env(robot, observation="vector")
    env.reset(seed=0)
    for _ in range(3):
        env.step(np.ones(6, np.float32))
    sent = len(world.sent)
    setattr(world, name, value)
    with pytest.raises(ArmStoppedError, match=says):
        env.step(np.ones(6, np.float32))
    assert len(world.sent) == sent + 1  # no further command but this one:
    np.testing.assert_allclose(world.sent[-1], world.arm.tcp()[0])


def test_a_camera_that_fails_stops_the_arm(world, robot):
    env = make_env(robot, observation="both")
    env.reset(seed=0)
    world.blind = True
    with pytest.raises(InputError, match="The camera gives no picture"):
        env.step(np.ones(6, np.float32))
    np.testing.assert_allclose(world.sent[-1], world.arm.tcp()[0])


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("task: SafeReach\n", "lacks 'host'"),
        ("host: 10.0.0.1\nforce: 3\n", "unknown setting 'force'"),
        ("host: 10.0.0.1\ntask: Juggling\n", "arm.yaml: task is 'Juggling'"),
        ("host: 10.0.0.1\nforce_limit: strong\n", "arm.yaml: Setting force_limit must be a number"),
        ("host: 10.0.0.2\n", "No arm answers at 10.0.0.2"),
        ("host: 10.0.0.1\ncamera: '7'\n", "No RealSense camera with serial number 7"),
        ("[", "not valid YAML"),
    ],
)
def test_what_is_wrong_with_the_file_or_the_devices_is_named(world, tmp_path, text, says):
    (tmp_path / "arm.yaml").write_text(text)
    with pytest.raises(InputError, match=says):
        make_env(f"franka:{tmp_path / 'arm.yaml'}")
    assert world.free


def test_without_the_vendors_package_the_extra_is_named(world, robot, monkeypatch):
    monkeypatch.setitem(sys.modules, "panda_py", None)
    with pytest.raises(InputError, match=r"pip install 'fosp\[franka\]'"):
        make_env(robot)
    with pytest.raises(InputError, match=r"nowhere.yaml is missing"):
        make_env("franka:nowhere.yaml")


def test_demonstrations_with_the_space_mouse_become_a_dataset(world, robot, tmp_path, capsys):
    out = tmp_path / "shown"
    words = ["collect", "--env", robot, "--policy", "spacemouse", "--episodes", "1", "--out", str(out)]
    assert main(words) == 0
    (shown,) = Dataset(out)
    np.testing.assert_allclose(shown.actions[0], [0.5, 0, 0, 0, 0, -0.25])  # what is below the dead band is nothing
    assert shown.behaviour == "spacemouse"
    assert set(shown.observations) == {"image", "vector"}
    assert len(world.requests) == 2  # the look at the environment beforehand asks no one twice
    words[2] = "SafeReach-v0"
    assert main([*words[:-1], str(tmp_path / "other")]) == 2
    assert "in real time only" in capsys.readouterr().err


def test_a_policy_drives_it_and_is_fine_tuned_on_it(world, robot, tmp_path, capsys):
    data, run, online = (tmp_path / name for name in ("data", "run", "online"))
    small = ["--preset", "test", "--training.offline_updates", "2", "--training.evaluation_episodes", "1"]
    assert main(["collect", "--env", "SafeReach-v0", "--policy", "random", "--episodes", "2", "--out", str(data)]) == 0
    assert main(["pretrain", "--env", "SafeReach-v0", "--dataset", str(data), "--run", str(run), *small]) == 0
    words = ["run-robot", "--from", str(run), "--no-guard", "--backend", "franka"]
    path = robot.removeprefix("franka:")
    assert main([*words, "--robot", path, "--seed", "0", "--log", str(tmp_path / "log")]) == 0
    assert "Episode 0: finished after 80 steps" in capsys.readouterr().out
    (driven,) = Dataset(tmp_path / "log")
    assert len(driven) == 80
    assert world.free
    assert main(words) == 2
    assert "--backend franka needs --robot" in capsys.readouterr().err
    assert main([*words, "--robot", path, "--dead-man"]) == 2
    assert "a dead-man key of its own" in capsys.readouterr().err

    world.seeds = iter((500_000, 1_000_000))  # of the episode that it learns from, and of its evaluation: no others
    words = ["finetune", "--from", str(run), "--run", str(online), "--env", robot, "--training.online_frames", "80"]
    assert main(words) == 0
    assert "fine-tuned" in capsys.readouterr().out.lower()
    assert world.free
