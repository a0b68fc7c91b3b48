"""What SafeReach promises as an environment, over the simulation and over any other backend."""

import time

import gymnasium
import numpy as np
import pytest
from gymnasium import spaces
from gymnasium.utils.env_checker import check_env

from fosp.config import EnvConfig, env_config
from fosp.envs import make_env
from fosp.envs.reach.env import ReachEnv
from fosp.envs.reach.tasks import PLACES, TASKS, draw_layout, layouts
from fosp.errors import InputError
from reach_tools import Recorder, Replayed, column, reach_env, towards

PUSH = {"layout": (1, (1, 3))}
"""A block stands between start and target."""


def actions(n, seed=0):
    return np.random.default_rng(seed).uniform(-1, 1, (n, 6)).astype(np.float32)


@pytest.mark.parametrize("task", ["SafeReach", "SafeReachUnseen3"])
def test_gymnasiums_own_checker_passes(task):
    env = gymnasium.make(f"fosp/{task}-v0", observation="both", render_mode="rgb_array")
    check_env(env.unwrapped)
    env.close()


def test_spaces_and_length():
    env = reach_env(observation="both")
    assert env.observation_space["image"] == spaces.Box(0, 255, (64, 64, 3), np.uint8)
    assert env.observation_space["vector"].shape == (6,)
    assert env.action_space == spaces.Box(-1.0, 1.0, (6,), np.float32)
    env.reset(seed=0)
    results = [env.step(action) for action in actions(80)]
    assert all(env.observation_space.contains(observation) for observation, *_ in results)
    assert [truncated for *_, truncated, _ in results] == [False] * 79 + [True]
    assert not any(terminated for _, _, terminated, *_ in results)
    assert set(column(results, "frames")) == {1}
    with pytest.raises(gymnasium.error.ResetNeeded):
        env.step(np.zeros(6))
    env.close()


def test_a_seed_decides_every_frame():
    def play(seed):
        env = reach_env(observation="both")
        pictures = [env.reset(seed=seed)[0]["image"]]
        steps = [env.step(action) for action in actions(12)]
        env.close()
        return pictures + [o["image"] for o, *_ in steps], np.array([o["vector"] for o, *_ in steps])

    (pictures, poses), (same, again), (_, other) = play(3), play(3), play(4)
    np.testing.assert_array_equal(pictures, same)
    np.testing.assert_array_equal(poses, again)
    assert np.abs(poses - other).max() > 1e-3


def test_the_layout_is_the_first_thing_that_a_seed_draws():
    env = reach_env()
    for seed in range(10):
        _, info = env.reset(seed=seed)
        assert info["layout"] == draw_layout(TASKS["SafeReach"], np.random.default_rng(seed)).indices
    assert len(layouts(2)) == 45
    assert len(layouts(4)) == 27
    assert env.reset(options={"layout": (2, [5, 0])})[1]["layout"] == (2, (0, 5))


@pytest.mark.parametrize("layout", [(1, (0, 1, 2)), (1, (0, 0)), (3, (0, 1)), (-1, (0, 1)), (0, (0, 6)), 5, "ab"])
def test_layouts_that_cannot_be_are_named(layout):
    with pytest.raises(InputError, match="layout="):
        reach_env().reset(options={"layout": layout})


def test_a_copied_state_continues_identically():
    env, other = (reach_env(observation="both") for _ in range(2))
    env.reset(seed=1, options=PUSH)
    towards(env, (0.49, 0, 0.04), steps=9)  # into the block, so that the latch is on
    other.reset(seed=2)
    state = env.unwrapped.get_state()
    observation = other.unwrapped.set_state(state)
    np.testing.assert_array_equal(observation["image"], env.unwrapped.first_person())
    for action in actions(25):
        first, second = env.step(action), other.step(action)
        for key in ("image", "vector"):
            np.testing.assert_array_equal(first[0][key], second[0][key])
        assert first[1:4] == second[1:4]
        assert first[4]["cost"] == second[4]["cost"]
    assert first[4]["violation"]
    np.testing.assert_array_equal(env.reset()[0]["vector"], other.reset()[0]["vector"])
    env.close()
    other.close()


def test_reward_for_the_first_touch_only():
    def rewards(**arguments):
        env = reach_env(**arguments)
        env.reset(seed=0, options={"layout": (1, (0, 2))})
        return np.array([reward for _, reward, *_ in towards(env, (0.59, 0.0, 0.04), steps=40)])

    always, once = rewards(), rewards(reward_mode="first")
    assert always.sum() > 1
    np.testing.assert_array_equal(np.flatnonzero(once), [np.argmax(always)])


def test_displaced_blocks_cost_as_touched_ones_do():
    def cost(source):
        env = reach_env(cost_source=source)
        env.reset(seed=0, options={"layout": (0, (1, 5))})
        return column(towards(env, (0.48, 0.0, 0.04), (0.40, 0.0, 0.04)), "cost")

    contact, pose = cost("contact"), cost("pose")
    assert 0 <= np.argmax(pose) - np.argmax(contact) <= 2
    assert pose[-1] == contact[-1] == 0
    assert (np.diff(pose, prepend=0) > 0).sum() == 1
    calm = reach_env(cost_source="pose")
    calm.reset(seed=0)
    assert not column([calm.step(np.zeros(6)) for _ in range(80)], "cost").any()


def test_recorded_readings_give_the_same_rewards_and_costs():
    """One environment class over the simulation and over a backend that has no physics at all."""
    recorder = Recorder(TASKS["SafeReach"])
    env = ReachEnv(observation="both", backend=recorder)
    start, _ = env.reset(seed=0, options=PUSH)
    around = [(0.44, 0.0), (0.41, 0.01), (0.43, 0.06), (0.56, 0.06), (0.58, 0.04), (0.60, 0.0)]
    simulated = towards(env, *((x, y, 0.045) for x, y in around))
    backend = Replayed(recorder.readings)
    env = ReachEnv(observation="both", backend=backend)
    replayed = [env.reset(seed=0, options=PUSH)[0]]
    for key in start:
        np.testing.assert_array_equal(start[key], replayed[0][key])
    steps = [env.step(result[4]["applied_action"]) for result in simulated]
    for expected, got in zip(simulated, steps, strict=True):
        assert got[1:4] == expected[1:4]
        for name in ("cost", "cost_obstacle", "success", "violation", "obstacle_moving"):
            assert got[4][name] == expected[4][name]
        np.testing.assert_array_equal(got[0]["image"], expected[0]["image"])
    assert sum(reward for _, reward, *_ in steps) > 0
    assert column(steps, "cost").sum() > 0
    recorder.close()


@pytest.fixture
def readings():
    recorder = Recorder(TASKS["SafeReach"])
    env = ReachEnv(observation="vector", backend=recorder)
    env.reset(seed=0)
    for _ in range(5):
        env.step(np.zeros(6))
    recorder.close()
    return recorder.readings


def test_real_time_keeps_its_rate_and_tells_when_it_is_late(readings):
    backend = Replayed(readings, control_hz=50.0, real_time=True)
    env = ReachEnv(observation="vector", backend=backend)
    env.reset(seed=0)
    begin = time.monotonic()
    for _ in range(3):
        env.step(np.zeros(6))
    assert time.monotonic() - begin >= 0.06 - 1e-3
    time.sleep(0.05)  # somebody thinks for too long
    assert env.step(np.zeros(6))[4]["overrun"] >= 0.03 - 1e-3


def test_a_backend_gets_clipped_poses_and_is_stopped_when_anything_fails(readings):
    backend = Replayed(readings[:3])
    env = ReachEnv(observation="vector", backend=backend)
    env.reset(seed=0)
    env.step(np.full(6, 50.0))
    start = readings[0].position
    np.testing.assert_allclose(backend.commands[0], np.minimum(start + 0.01, [1, 1, 0.06]))
    env.step(np.zeros(6))
    assert not backend.stopped
    with pytest.raises(IndexError):
        env.step(np.zeros(6))
    assert backend.stopped


def test_what_a_backend_cannot_do_is_named(readings):
    untracked = [type(r)(r.position, r.rotation, r.picture, type(r.events)(False, False, None)) for r in readings]
    with pytest.raises(InputError, match="tracks"):
        ReachEnv(cost_source="pose", observation="vector", backend=Replayed(untracked)).reset(seed=0)
    env = ReachEnv(observation="vector", backend=Replayed(untracked))
    env.reset(seed=0)
    assert env.step(np.zeros(6))[4]["cost"] == 0
    with pytest.raises(InputError, match="simulated"):
        env.get_state()
    with pytest.raises(InputError, match="backend"):
        ReachEnv(backend=Replayed(readings), samples=0)


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        ({"task": "SafeReach", "action_repeat": 4}, "action_repeat=4"),
        ({"task": "SafeReach", "observation": "sound"}, "sound"),
        ({"task": "SafeReach", "render_mode": "human"}, "render_mode"),
        ({"task": "SafeReach", "reward_mode": "never"}, "reward_mode"),
        ({"task": "SafeReach", "cost_source": "guess"}, "cost_source"),
        ({"task": "SafeReach", "samples": -1}, "samples"),
    ],
)
def test_bad_arguments_are_named(arguments, word):
    with pytest.raises(InputError, match=word):
        reach_env(**arguments)


def test_bad_calls_are_named():
    env = reach_env()
    for call in (lambda: env.step(np.zeros(6)), env.unwrapped.get_state):
        with pytest.raises(gymnasium.error.ResetNeeded):
            call()
    env.reset(seed=0)
    for action in (np.zeros(2), np.full(6, np.nan)):
        with pytest.raises(InputError, match="action"):
            env.step(action)


def test_settings_of_the_environment():
    """What the environment does not leave open has the right value by default, and another one is refused."""
    config = env_config("SafeReachUnseen2-v0")
    assert (config.observation, config.action_repeat, config.time_limit) == ("both", 1, 80)
    env = make_env(config.id, observation="vector", action_repeat=config.action_repeat)
    env.reset(seed=0)
    steps = 1
    while not env.step(np.zeros(6))[3]:
        steps += 1
    assert steps == config.time_limit
    with pytest.raises(InputError, match=r"env\.action_repeat is 4, but SafeReach-v0"):
        EnvConfig(id="SafeReach-v0")
    with pytest.raises(InputError, match=r"env\.time_limit is 1000"):
        EnvConfig(id="fosp/SafeReach-v0", action_repeat=1)
    assert env_config("SafetyPointGoal1-v0") == EnvConfig()


def test_third_person_view():
    env = reach_env(render_mode="rgb_array")
    env.reset(seed=0)
    picture = env.render()
    assert picture.shape == (480, 480, 3)
    assert picture.std() > 10
    env.close()
    assert reach_env().render() is None


def test_a_situation_is_where_things_were_placed():
    env = reach_env()
    env.reset(seed=0, options=PUSH)
    situation = env.unwrapped.situation()
    np.testing.assert_allclose(
        env.unwrapped.backend.events().obstacle_poses[:, :2], PLACES[list(situation["layout"].obstacles)], atol=0.0035
    )
    assert situation["seconds"] == 0.1
    assert not situation["success"]
