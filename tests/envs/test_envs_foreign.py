"""Other authors' environments behind the same interface."""

import gymnasium
import numpy as np
import pytest
from gymnasium import spaces

from fosp.envs import make_env
from fosp.errors import InputError


class Slider(gymnasium.Env):
    """A point on a line that is told a force; costs beyond 1, in two kinds."""

    action_space = spaces.Box(np.array([-2.0]), np.array([6.0]), dtype=np.float64)

    def __init__(self, kind="vector", cost=True, render_mode=None):
        self.kind, self.cost = kind, cost
        self.render_mode = render_mode
        self.observation_space = {
            "vector": spaces.Box(-np.inf, np.inf, (2,), np.float64),
            "image": spaces.Box(0, 255, (8, 8, 3), np.uint8),
            "dict": spaces.Dict(
                {"image": spaces.Box(0, 255, (8, 8, 3), np.uint8), "vector": spaces.Box(-9, 9, (2,), np.float32)}
            ),
            "odd": spaces.Discrete(3),
        }[kind]

    def _observe(self):
        image, vector = np.full((8, 8, 3), self.t, np.uint8), np.array([self.x, self.t], np.float64)
        return {"vector": vector, "image": image, "dict": {"image": image, "vector": vector.astype(np.float32)}}[
            self.kind
        ]

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.x, self.t = 0.0, 0
        return self._observe(), {}

    def step(self, action):
        self.x, self.t = self.x + float(action[0]), self.t + 1
        info = {"cost": float(self.x > 1), "cost_far": float(self.x > 1), "cost_near": 0.5} if self.cost else {}
        return self._observe(), 1.0, False, self.t >= 10, info


gymnasium.register("Slider-v0", entry_point=Slider, disable_env_checker=True)


def test_actions_are_scaled_and_costs_summed():
    env = make_env("Slider-v0", observation="vector", action_repeat=4)
    observation, _ = env.reset(seed=0)
    assert observation["vector"].dtype == np.float32
    assert env.action_space == spaces.Box(-1.0, 1.0, (1,), np.float32)
    observation, reward, terminated, truncated, info = env.step(np.array([-0.4]))  # a force of 0.4
    np.testing.assert_allclose(observation["vector"], [1.6, 4.0], rtol=1e-6)
    assert (reward, info["cost"], info["cost_far"], info["cost_near"], info["frames"]) == (4.0, 2.0, 2.0, 2.0, 4)
    env.step(np.zeros(1))
    *_, terminated, truncated, info = env.step(np.zeros(1))
    assert truncated
    assert not terminated
    assert info["frames"] == 2
    assert info["cost"] == 2.0


def test_images_and_dictionaries():
    image = make_env("Slider-v0", observation="image", kind="image")
    assert image.reset(seed=0)[0]["image"].shape == (8, 8, 3)
    both = make_env("Slider-v0", observation="both", kind="dict")
    observation, _ = both.reset(seed=0)
    assert both.observation_space.contains(observation)
    assert list(both.observation_space) == ["image", "vector"]


@pytest.mark.parametrize(
    ("observation", "kind", "word"),
    [("image", "vector", "'image'"), ("both", "image", "'vector'"), ("vector", "odd", "one-dimensional Box")],
)
def test_what_it_has_not_got_is_named(observation, kind, word):
    with pytest.raises(InputError, match=word):
        make_env("Slider-v0", observation=observation, kind=kind)


def test_an_environment_without_cost_is_refused():
    env = make_env("Slider-v0", observation="vector", cost=False)
    env.reset(seed=0)
    with pytest.raises(InputError, match=r"info\['cost'\]"):
        env.step(np.zeros(1))


def test_discrete_actions_are_refused():
    with pytest.raises(InputError, match="Box of actions"):
        make_env("CartPole-v1", observation="vector")
