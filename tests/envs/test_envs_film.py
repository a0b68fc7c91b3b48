"""Frames for films, and the wrapper of the original package against a stand-in for it."""

import sys
from types import ModuleType, SimpleNamespace

import gymnasium
import numpy as np
import pytest
from gymnasium import spaces

from fosp.envs import make_env
from fosp.envs.video import EpisodeFilm
from fosp.errors import InputError


def test_totals_insets_and_flash():
    env = make_env("SafetyPointGoal1-v0", observation="image", render_mode="rgb_array")
    observation, _ = env.reset(seed=0)
    film = EpisodeFilm(env, "safe")
    calm = film.frame(observation)
    assert calm.dtype == np.uint8
    assert calm.shape == (520, 480, 3)
    # the front view, 2.25 times as large, stands in the upper left corner
    np.testing.assert_array_equal(calm[10 + 72, 10 + 72], observation["image"][32, 32, :3])
    struck = film.frame(observation, reward=1.5, cost=2.0)
    assert (film.total_reward, film.total_cost) == (1.5, 2.0)
    np.testing.assert_array_equal(struck[0, 240], [220, 30, 30])
    fading = [film.frame(observation)[0, 240] for _ in range(4)]
    assert fading[0][0] > fading[1][0] >= fading[3][0]
    np.testing.assert_array_equal(fading[3], calm[0, 240])
    env.close()


def test_without_a_view_from_outside_the_robots_views_stand_alone():
    env = make_env("SafetyPointGoal1-v0", observation="vector")
    observation, _ = env.reset(seed=0)
    frame = EpisodeFilm(env).frame(observation)
    assert frame.shape == (472, 864, 3)
    env.close()


class Unseeable(gymnasium.Env):
    """Nothing to look at."""

    observation_space = spaces.Box(-1, 1, (2,), np.float32)
    action_space = spaces.Box(-1, 1, (1,), np.float32)
    metadata = {"render_modes": ["rgb_array"], "render_fps": 12}  # noqa: RUF012 - as Gymnasium

    def reset(self, *, seed=None, options=None):
        return np.zeros(2, np.float32), {}


class Undrawn(Unseeable):
    def __init__(self, render_mode):
        self.render_mode = render_mode


gymnasium.register("Unseeable-v0", entry_point=Unseeable)
gymnasium.register("Undrawn-v0", entry_point=Undrawn)


def test_what_cannot_be_shown_is_said():
    with pytest.raises(InputError, match="takes no render_mode"):
        make_env("Unseeable-v0", observation="vector", render_mode="rgb_array")
    env = make_env("Undrawn-v0", observation="vector", render_mode="rgb_array")
    observation, _ = env.reset()
    with pytest.raises(InputError, match="nothing to film"):
        EpisodeFilm(env).frame(observation)


class Genuine(gymnasium.Env):
    """As the original behaves: six values, float64, pictures from the task."""

    observation_space = spaces.Box(-np.inf, np.inf, (5,), np.float64)
    action_space = spaces.Box(-1.0, 1.0, (2,), np.float64)

    def __init__(self):
        cameras = ["fixednear", "vision", "vision_back"]
        model = SimpleNamespace(ncam=3, camera=lambda i: SimpleNamespace(name=cameras[i]))
        self.task = SimpleNamespace(model=model, render=self._picture)

    def _picture(self, width, height, mode, camera_name, cost):
        assert (mode, cost) == ("rgb_array", {})
        return np.full((height, width, 3), 10 if camera_name == "vision" else 20, np.uint8)

    def reset(self, *, seed=None, options=None):
        self.t = 0
        return np.zeros(5), {}

    def step(self, action):
        self.t += 1
        costs = {"cost_hazards": 1.0, "cost_sum": 1.0}
        return np.full(5, self.t, float), 0.5, 1.0, False, self.t == 6, costs


def test_the_original_behind_our_interface(monkeypatch):
    package = ModuleType("safety_gymnasium")
    package.make = lambda env_id: Genuine()
    monkeypatch.setitem(sys.modules, "safety_gymnasium", package)
    env = make_env("safety_gymnasium:SafetyPointGoal1-v0", observation="both")
    observation, _ = env.reset(seed=0)
    assert env.observation_space.contains(observation)
    assert observation["image"][0, 0].tolist() == [10, 10, 10, 20, 20, 20]
    _, reward, terminated, truncated, info = env.step(np.zeros(2))
    assert (reward, terminated, truncated) == (2.0, False, False)
    assert info == {"cost": 4.0, "frames": 4, "cost_hazards": 4.0}
    observation, _, _, truncated, info = env.step(np.zeros(2))
    assert truncated
    assert info["frames"] == 2
    assert observation["vector"].tolist() == [6.0] * 5


def test_without_the_original_the_sentence_says_so(monkeypatch):
    monkeypatch.setitem(sys.modules, "safety_gymnasium", None)
    with pytest.raises(InputError, match="safety_gymnasium, which is not importable"):
        make_env("safety_gymnasium:SafetyPointGoal1-v0")
