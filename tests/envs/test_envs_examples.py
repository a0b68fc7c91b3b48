"""The examples do what the pages say."""

import runpy
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from fosp.envs import make_env

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"


@pytest.mark.parametrize("name", ["own_task.py", "own_environment.py"])
def test_it_runs_and_is_short(name):
    assert len((EXAMPLES / name).read_text().splitlines()) < 60
    run = subprocess.run([sys.executable, EXAMPLES / name], capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    assert "cost" in run.stdout


def test_the_new_obstacle_is_seen_and_costs():
    runpy.run_path(str(EXAMPLES / "own_task.py"))
    env = make_env("SafetyCarLavaRing-v0", observation="vector", action_repeat=1)
    observation, _ = env.reset(seed=1)
    assert observation["vector"].shape == (24 + 2 * 16,)
    world = env.unwrapped.simulation.world
    assert all(max(abs(x), abs(y)) >= 1.1 for name, (x, y) in world.layout.items() if name.startswith("lava"))
    lava = world.positions("lava")[0]
    world.data.qpos[:2] = lava[:2] - [0.27, 0.0]  # the car's hull into the block's side
    *_, info = env.step(np.zeros(2))
    assert info["cost_lava"] == info["cost"] == 1.0
