"""Draws with the OpenGL back end that MUJOCO_GL names and prints the rate as JSON; `fosp doctor` runs it."""

from __future__ import annotations

import json
import time

import gymnasium
import numpy as np

from fosp.envs import make_env
from fosp.errors import InputError


def measure(seconds: float = 1.5) -> dict[str, float | str]:
    """Agent steps per second with pictures, and who draws them."""
    env = make_env("SafetyPointGoal1-v0", observation="image")  # whose context is current as long as it lives
    return {"rate": rate(env, seconds), "renderer": renderer()}


def rate(env: gymnasium.Env, seconds: float) -> float:
    """Agent steps per second, over as many episodes as there is time for."""
    env.reset(seed=0)
    action = np.zeros(2, np.float32)
    begin, steps = time.perf_counter(), 0
    while time.perf_counter() - begin < seconds:
        _, _, terminated, truncated, _ = env.step(action)
        steps += 1
        if terminated or truncated:
            env.reset()
    return steps / (time.perf_counter() - begin)


def renderer() -> str:
    """Name of the OpenGL renderer whose context is current."""
    from OpenGL import GL

    return GL.glGetString(GL.GL_RENDERER).decode()


if __name__ == "__main__":
    try:
        print(json.dumps(measure()))
    except InputError as error:
        print(json.dumps({"error": str(error).partition(":")[0]}))
