"""What make_env promises: spaces, costs, repeats, seeds, states, errors."""

import gymnasium
import numpy as np
import pytest
from gymnasium import spaces
from gymnasium.utils.env_checker import check_env

from fosp.config import env_config
from fosp.envs import list_envs, make_env
from fosp.envs.navigation.simulation import Simulation
from fosp.errors import InputError

IDS = [info.id for info in list_envs()]


def actions(n, seed=0):
    return np.random.default_rng(seed).uniform(-1, 1, (n, 2)).astype(np.float32)


@pytest.mark.filterwarnings("ignore:.*Box observation space m.*infinity.*")
@pytest.mark.parametrize("env_id", ["SafetyPointGoal1-v0", "SafetyCarButton2-v0"])
def test_gymnasiums_own_checker_passes(env_id):
    env = gymnasium.make(f"fosp/{env_id}", observation="both", render_mode="rgb_array")
    check_env(env.unwrapped)
    env.close()


@pytest.mark.parametrize("env_id", IDS)
def test_every_listed_environment_runs(env_id):
    info = next(info for info in list_envs() if info.id == env_id)
    env = make_env(env_id, observation="vector")
    observation, _ = env.reset(seed=3)
    assert observation["vector"].shape == (info.vector_size,)
    assert env_config(env_id).time_limit == info.frames
    assert env.observation_space.contains(observation)
    assert env.action_space.shape == (info.action_size,)
    for _ in range(3):
        observation, reward, terminated, truncated, step_info = env.step(env.action_space.sample())
        assert env.observation_space.contains(observation)
        assert isinstance(reward, float)
        assert set(info.costs) <= set(step_info)
        assert step_info["frames"] == env.unwrapped.action_repeat == (1 if info.views == 1 else 4)
        assert not terminated
        assert not truncated
    assert info.description


def test_observations_have_the_promised_shapes():
    env = make_env("SafetyPointGoal1-v0", observation="both")
    assert env.observation_space["image"] == spaces.Box(0, 255, (64, 64, 6), np.uint8)
    assert env.action_space == spaces.Box(-1.0, 1.0, (2,), np.float32)
    observation, _ = env.reset(seed=0)
    assert observation["image"].shape == (64, 64, 6)
    assert observation["image"].dtype == np.uint8
    assert observation["vector"].dtype == np.float32
    env.close()
    assert make_env("SafetyPointGoal1-v0", profile="pypi").observation_space["image"].shape == (64, 64, 3)
    assert list(make_env("SafetyPointGoal1-v0", observation="vector").observation_space) == ["vector"]


def test_repeated_frames_sum_rewards_and_costs():
    once, repeated = (make_env("SafetyPointGoal2-v0", observation="vector", action_repeat=k) for k in (1, 4))
    once.reset(seed=9)
    repeated.reset(seed=9)
    totals = dict.fromkeys(("cost_hazards", "cost_vases_contact", "cost_vases_velocity"), 0.0)
    for action in np.clip(actions(40, seed=1) + np.array([0.7, 0.0], np.float32), -1, 1):
        parts = [once.step(action) for _ in range(4)]
        observation, reward, _, _, info = repeated.step(action)
        np.testing.assert_array_equal(observation["vector"], parts[-1][0]["vector"])
        assert reward == pytest.approx(sum(part[1] for part in parts), abs=1e-12)
        for name in ("cost", "cost_hazards", "cost_vases_contact", "cost_vases_velocity"):
            assert info[name] == sum(part[4][name] for part in parts)
        totals = {name: total + info[name] for name, total in totals.items()}
    assert min(totals.values()) > 0  # otherwise the sums were not tested


def test_nothing_is_drawn_between_repeated_frames(monkeypatch):
    env = make_env("SafetyPointGoal1-v0", action_repeat=4)
    env.reset(seed=0)
    drawn, frames = [], []
    first_person, step = env.unwrapped.first_person, Simulation.step
    monkeypatch.setattr(env.unwrapped, "first_person", lambda: drawn.append(1) or first_person())
    monkeypatch.setattr(Simulation, "step", lambda self, control: frames.append(1) or step(self, control))
    env.step(env.action_space.sample())
    assert len(drawn) == 1
    assert len(frames) == 4
    env.close()


def test_time_limit_truncates_and_does_not_terminate():
    env = make_env("SafetyPointGoal0-v0", observation="vector", action_repeat=3)
    env.reset(seed=0)
    frames, truncated = 0, False
    while not truncated:
        _, _, terminated, truncated, info = env.step(np.zeros(2))
        frames += info["frames"]
        assert not terminated
    assert frames == 1000
    assert info["frames"] == 1  # 1000 = 333 * 3 + 1: the last step is short and loses nothing
    with pytest.raises(gymnasium.error.ResetNeeded):
        env.step(np.zeros(2))


def test_a_seed_decides_the_whole_episode():
    def play(seed):
        env = make_env("SafetyPointButton1-v0", observation="vector")
        first, _ = env.reset(seed=seed)
        return np.stack([first["vector"], *(env.step(a)[0]["vector"] for a in actions(40))])

    np.testing.assert_array_equal(play(11), play(11))
    assert np.abs(play(11)[0] - play(12)[0]).max() > 0.01


@pytest.mark.parametrize("env_id", ["SafetyPointButton2-v0", "SafetyCarPush1-v0", "SafetyPointFadingHard2-v0"])
def test_a_copied_state_continues_identically(env_id):
    env, other = (make_env(env_id, observation="vector") for _ in range(2))
    env.reset(seed=1)
    other.reset(seed=2)
    for action in actions(30):
        env.step(action)
    state = env.unwrapped.get_state()
    rest = [env.step(action) for action in actions(100, seed=2)]
    other.unwrapped.set_state(state)
    for action, expected in zip(actions(100, seed=2), rest, strict=True):
        got = other.step(action)
        np.testing.assert_array_equal(got[0]["vector"], expected[0]["vector"])
        assert got[1:4] == expected[1:4]
        assert got[4] == expected[4]
    np.testing.assert_array_equal(env.reset()[0]["vector"], other.reset()[0]["vector"])


def test_a_state_includes_what_is_faded():
    env, other = (make_env("SafetyPointFadingHard1-v0", observation="both") for _ in range(2))
    env.reset(seed=4)
    for _ in range(10):
        env.step(np.zeros(2))
    other.reset(seed=9)
    other.unwrapped.set_state(env.unwrapped.get_state())
    np.testing.assert_array_equal(env.unwrapped.first_person(), other.unwrapped.first_person())
    env.close()
    other.close()


def test_the_first_reset_needs_no_seed():
    env = make_env("SafetyPointGoal1-v0", observation="vector")
    observation, _ = env.reset()
    again, _ = make_env("SafetyPointGoal1-v0", observation="vector").reset()
    assert np.abs(observation["vector"] - again["vector"]).max() > 0


def test_third_person_view():
    env = make_env("SafetyPointGoal1-v0", observation="vector", render_mode="rgb_array")
    env.reset(seed=0)
    picture = env.render()
    assert picture.shape == (480, 480, 3)
    assert picture.std() > 10
    env.close()
    assert make_env("SafetyPointGoal1-v0", observation="vector").unwrapped.render() is None


def test_samples_change_only_edges():
    env, fast = make_env("SafetyPointGoal1-v0"), make_env("SafetyPointGoal1-v0", samples=0)
    difference = np.abs(env.reset(seed=0)[0]["image"].astype(float) - fast.reset(seed=0)[0]["image"])
    assert 0 < (difference.max(-1) > 12).mean() < 0.1
    env.close()
    fast.close()


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        ({"env_id": "SafetyPointGoal9-v0"}, "SafetyPointGoal9-v0"),
        ({"env_id": "SafetyPointGoal1-v0", "observation": "sound"}, "sound"),
        ({"env_id": "SafetyPointGoal1-v0", "action_repeat": 0}, "action_repeat"),
        ({"env_id": "SafetyPointGoal1-v0", "profile": "1.0"}, "profile"),
        ({"env_id": "SafetyPointGoal1-v0", "render_mode": "human"}, "render_mode"),
        ({"env_id": "SafetyPointGoal1-v0", "samples": -1}, "samples"),
        ({"env_id": "SafetyPointGoal1-v0", "image_size": 0}, "image_size"),
    ],
)
def test_bad_arguments_are_named(arguments, word):
    with pytest.raises(InputError, match=word):
        make_env(**arguments)


def test_bad_calls_are_named():
    env = make_env("SafetyPointGoal1-v0", observation="vector")
    with pytest.raises(gymnasium.error.ResetNeeded):
        env.step(np.zeros(2))
    with pytest.raises(InputError, match="seed"):
        env.reset(seed=2**32)
    env.reset(seed=0)
    with pytest.raises(InputError, match="action"):
        env.step(np.zeros(3))
    with pytest.raises(InputError, match="action"):
        env.step(np.array([0.0, np.nan]))


def test_unscaled_robots_get_actions_between_minus_one_and_one():
    env = make_env("SafetyRacecarRace1-v0", observation="vector", action_repeat=1)
    env.reset(seed=0)
    env.step(np.array([0.5, -1.0]))
    np.testing.assert_allclose(env.unwrapped.simulation.world.data.ctrl, [10.0, -0.785])


def test_race_ends_at_the_goal():
    env = make_env("SafetyPointRace1-v0", observation="vector", action_repeat=1)
    env.reset(seed=0)
    world = env.unwrapped.simulation.world
    # put the robot next to the goal; its slides are expressed in the start frame
    start = np.array(world.layout["agent"])
    offset = np.array([3.0, 1.05]) - start
    c, s = np.cos(world.heading), np.sin(world.heading)
    world.data.qpos[:2] = [c * offset[0] + s * offset[1], -s * offset[0] + c * offset[1]]
    _, reward, terminated, truncated, info = env.step(np.zeros(2))
    assert terminated
    assert not truncated
    assert info["goal_met"]
    assert reward == pytest.approx(11.0)  # the bonus of 10 and the clipped jump of distance
