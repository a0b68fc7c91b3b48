"""An environment of your own, with several named costs, behind this package's interface.

    python examples/own_environment.py

All it takes is Gymnasium's five values and ``info["cost"]``; every ``info["cost_<name>"]`` is kept beside it.
"""

import gymnasium
import numpy as np
from gymnasium import spaces

from fosp.envs import make_env


class Tank(gymnasium.Env):
    """Keep a tank's level near 0.5 by its inflow; overflowing costs, and so does wasting water."""

    observation_space = spaces.Box(0.0, 2.0, (1,), np.float64)
    action_space = spaces.Box(0.0, 0.3, (1,), np.float64)  # litres per step: rescaled to [-1, 1] for the agent

    def __init__(self, render_mode=None):
        self.render_mode = render_mode

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.level = self.np_random.uniform(0.0, 0.3)
        return np.array([self.level]), {}

    def step(self, action):
        self.level = float(np.clip(self.level + action[0] - 0.1, 0.0, 1.2))
        overflow, waste = float(self.level > 1.0), float(action[0] > 0.25)
        info = {"cost": max(overflow, waste), "cost_overflow": overflow, "cost_waste": waste}
        return np.array([self.level]), -abs(self.level - 0.5), False, False, info


gymnasium.register("Tank-v0", entry_point=Tank, max_episode_steps=200)

if __name__ == "__main__":
    env = make_env("Tank-v0", observation="vector", action_repeat=1)
    observation, _ = env.reset(seed=0)
    print(env.observation_space, env.action_space)
    totals = {"cost": 0.0, "cost_overflow": 0.0, "cost_waste": 0.0}
    truncated = False
    while not truncated:
        wanted = 0.3 if observation["vector"][0] < 0.45 else 0.1  # litres: wasteful when the level is low
        inflow = np.array([wanted / 0.15 - 1.0], np.float32)
        observation, reward, _, truncated, info = env.step(inflow)
        totals = {name: total + info[name] for name, total in totals.items()}
    print({name: round(total) for name, total in totals.items()})
