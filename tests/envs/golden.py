"""Replays recorded traces of the genuine Safety-Gymnasium on our simulation and compares every value."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import mujoco
import numpy as np

from fosp.envs.navigation.profiles import PROFILES
from fosp.envs.navigation.registry import get_task
from fosp.envs.navigation.simulation import Simulation, Step

SHARED = Path(__file__).resolve().parents[3] / "shared" / "golden"
FIXTURES = Path(__file__).resolve().parents[1] / "fixtures" / "golden"
TOLERANCE = 1e-6


@dataclass
class Trace:
    """A trace file: its arrays and what was running."""

    path: Path
    arrays: dict[str, np.ndarray] = field(init=False)
    meta: dict[str, Any] = field(init=False)

    def __post_init__(self) -> None:
        with np.load(self.path) as file:
            self.arrays = {name: file[name] for name in file.files}
        self.meta = json.loads(str(self.arrays["meta"]))
        match = re.fullmatch(r"Safety(Point|Car|Racecar)(.+)", self.meta["task"])
        assert match, self.meta["task"]
        self.robot, self.task = match.groups()
        self.profile = "github" if "GitHub" in self.meta["source"] else "pypi"

    def __getitem__(self, name: str) -> np.ndarray:
        return self.arrays[name]

    def __contains__(self, name: str) -> bool:
        return name in self.arrays

    @property
    def same_mujoco(self) -> bool:
        """Whether it was recorded on the MuJoCo that runs here."""
        return self.meta["mujoco"] == mujoco.__version__

    def simulation(self, profile: str | None = None) -> Simulation:
        """A fresh simulation of the trace's robot and task."""
        task, robot = get_task(self.task, self.robot)
        return Simulation(robot, task(), PROFILES[profile or self.profile])


def peek(simulation: Simulation) -> float:
    """The next double of the task's stream, drawn from a copy."""
    assert simulation.rng is not None
    copy = np.random.RandomState()
    copy.set_state(simulation.rng.get_state(legacy=False))
    return copy.random_sample()


def layout_array(layout: dict[str, tuple[float, float]], names: np.ndarray) -> np.ndarray:
    """(K, 2) positions in the order of ``names``."""
    return np.array([layout[str(name)] for name in names])


def check_layout(trace: Trace, simulation: Simulation, prefix: str = "") -> None:
    """Layout as sampled and after the goal's redraw, heading: they depend on NumPy alone, so exactly."""
    world = simulation.world
    names = trace["layout_names"]
    np.testing.assert_array_equal(layout_array(world.sampled_layout, names), trace[f"{prefix}layout_sampled_xy"])
    np.testing.assert_array_equal(layout_array(world.layout, names), trace[f"{prefix}layout_xy"])
    assert world.heading == trace[f"{prefix}agent_rot"]


def check_reset(trace: Trace, simulation: Simulation) -> None:
    """Everything that does not depend on the MuJoCo version after a seeded reset."""
    check_layout(trace, simulation)
    assert peek(simulation) == trace["rng_peek_reset"]
    goal = np.asarray(simulation.world.goal_position)
    np.testing.assert_allclose(goal, trace["reset_goal_pos"], rtol=0, atol=1e-12)
    if "reset_goal_button" in trace:
        assert vars(simulation.task)["target_button"] == trace["reset_goal_button"]
        assert vars(simulation.task)["timer"] == trace["reset_timer"]
    if "reset_alpha" in trace:
        np.testing.assert_array_equal(alphas(trace, simulation), trace["reset_alpha"])


def alphas(trace: Trace, simulation: Simulation) -> np.ndarray:
    """(A,) float32 opacities in the order of the trace."""
    model = simulation.world.model
    return np.array([model.geom(str(name)).rgba[3] for name in trace["alpha_names"]], dtype=np.float32)


def check_step(trace: Trace, i: int, result: Step, simulation: Simulation) -> None:
    """Reward, every cost entry, flags, and the Button's and Fading's own state after step i."""
    assert abs(result.reward - trace["reward"][i]) <= TOLERANCE
    assert result.cost == trace["cost"][i]
    expected = {
        str(name): value for name, value in zip(trace["cost_names"], trace["costs"][i], strict=True) if value == value
    }
    assert {**result.costs, "cost_sum": result.cost} == expected
    assert result.terminated == trace["terminated"][i]
    assert result.truncated == trace["truncated"][i]
    assert result.goal_met == trace["goal_met"][i]
    np.testing.assert_allclose(simulation.world.robot_position, trace["agent_pos"][i], rtol=0, atol=TOLERANCE)
    np.testing.assert_allclose(simulation.world.goal_position, trace["goal_pos"][i], rtol=0, atol=TOLERANCE)
    if "timer" in trace:
        assert vars(simulation.task)["timer"] == trace["timer"][i]
        assert vars(simulation.task)["target_button"] == trace["goal_button"][i]
    if "alpha" in trace:
        np.testing.assert_array_equal(alphas(trace, simulation), trace["alpha"][i])


def check_observation(trace: Trace, name: str, i: int | None, simulation: Simulation, tolerance: float) -> None:
    """The vector observation; a vase that settles on replacement shapes gets its own tolerance."""
    expected = trace[name] if i is None else trace[name][i]
    np.testing.assert_allclose(simulation.observe(), expected, rtol=0, atol=tolerance)


def check_whole_trace(trace: Trace, profile: str | None = None) -> None:
    """All steps, and the second, unseeded reset with its steps."""
    simulation = trace.simulation(profile)
    simulation.reset(trace.meta["seed"])
    check_reset(trace, simulation)
    check_observation(trace, "reset_obs", None, simulation, TOLERANCE)
    np.testing.assert_allclose(simulation.world.data.qpos, trace["reset_qpos"], rtol=0, atol=TOLERANCE)
    for i, action in enumerate(trace["actions"]):
        result = simulation.step(action)
        check_observation(trace, "obs", i, simulation, TOLERANCE)
        check_step(trace, i, result, simulation)
    last = (
        list(trace["state_step"]).index(len(trace["actions"]) - 1)
        if (len(trace["actions"]) - 1 in trace["state_step"])
        else None
    )
    if last is not None:
        np.testing.assert_allclose(simulation.world.data.qpos, trace["qpos"][last], rtol=0, atol=TOLERANCE)
    if "rng_peek_end" in trace:
        assert peek(simulation) == trace["rng_peek_end"]
    if "reset2_obs" in trace:
        simulation.reset()
        check_layout(trace, simulation, "reset2_")
        check_observation(trace, "reset2_obs", None, simulation, TOLERANCE)
        for i, action in enumerate(trace["reset2_actions"]):
            result = simulation.step(action)
            check_observation(trace, "reset2_step_obs", i, simulation, TOLERANCE)
            assert abs(result.reward - trace["reset2_reward"][i]) <= TOLERANCE
            assert result.cost == trace["reset2_cost"][i]
