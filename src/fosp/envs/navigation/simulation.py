"""One task running: reset and step exactly as the original, in float64 and in the robot's own control units."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import mujoco
import numpy as np

from fosp.envs.navigation.profiles import Profile
from fosp.envs.navigation.robots import Robot
from fosp.envs.navigation.task import Task
from fosp.envs.navigation.world import World

SUBSTEPS = 10


@dataclass
class Step:
    """What one physics frame gave.

    Attributes:
        reward: change of distance plus the goal's bonus.
        cost: 1.0 if anything was violated, else 0.0.
        costs: 0.0 or 1.0 per entry, without the sum. An entry that is suspended in this frame is absent.
        terminated: the task is over (goal of a race, or no place for a new goal).
        truncated: the time limit is reached.
        goal_met: the goal was reached in this frame.
    """

    reward: float
    cost: float
    costs: dict[str, float]
    terminated: bool
    truncated: bool
    goal_met: bool


class Simulation:
    """A robot in a task. See the fact sheet in ``docs/environments.md`` for what is equal to the original."""

    def __init__(self, robot: Robot, task: Task, profile: Profile) -> None:
        self.robot, self.task, self.profile = robot, task, profile
        self.world = World(robot, task, profile)
        self.rng: np.random.RandomState | None = None
        self.frame = 0
        self._low, self._high = np.array(robot.control_low), np.array(robot.control_high)
        self._group_index = {name: i for i, name in enumerate(self.world.groups)}

    @property
    def observation_size(self) -> int:
        """Length of the vector observation."""
        return self.robot.sensors + 16 * len(self.world.groups)

    def reset(self, seed: int | None = None) -> None:
        """Starts an episode. Without a seed the random stream continues where the last episode left it.

        Raises:
            RuntimeError: if no layout can be found.
        """
        if seed is not None:
            self.rng = np.random.RandomState(seed)
        assert self.rng is not None, "the first reset needs a seed"
        world, task = self.world, self.task
        world.sample(self.rng)
        if self.profile.start_before_goal and not task.starts_last:
            task.start(world)
            task.choose_goal(world)
        else:
            task.choose_goal(world)
            task.start(world)
        world.forward()
        self.frame = 0

    def step(self, control: np.ndarray) -> Step:
        """Advances one physics frame (10 substeps) with ``control`` (2,) in the robot's units; it is clipped."""
        assert self.rng is not None
        world, task = self.world, self.task
        world.data.ctrl[:] = np.minimum(np.maximum(control, self._low), self._high)
        # The original draws the number of substeps from a binomial that always gives 10. It consumes one double,
        # without which every later goal would land elsewhere.
        self.rng.random_sample()
        world.advance(SUBSTEPS)
        world.forward()

        reached = task.reached(world)
        reward = task.progress(world) + (task.bonus if reached else 0.0)
        reward = min(max(reward, -task.reward_limit), task.reward_limit)
        raw = task.costs(world)
        task.after_costs(world, raw)
        terminated = False
        if reached:
            task.goal_reached(world)
            if task.ends_at_goal:
                terminated = True
            else:
                world.refresh_layout()
                terminated = not task.choose_goal(world)
        self.frame += 1
        return Step(
            reward=reward,
            cost=float(any(value > 0 for value in raw.values())),
            costs={name: float(value > 0) for name, value in raw.items()},
            terminated=terminated,
            truncated=self.frame >= task.step_limit,
            goal_met=reached,
        )

    def observe(self) -> np.ndarray:
        """Vector observation (observation_size,) float64: sensors, then 16 lidar readings per group."""
        sensors = self.world.data.sensordata
        if self.robot.rolling_ball:
            matrix = np.empty(9)
            mujoco.mju_quat2Mat(matrix, sensors[15:19])
            sensors = np.concatenate([sensors[:15], matrix])
        readings = self.world.lidar()
        for name in self.task.hidden_from_lidar():
            readings[self._group_index[name]] = 0.0
        return np.concatenate([sensors, readings.ravel()])

    def get_state(self) -> dict[str, Any]:
        """Everything that decides the future, as plain arrays, numbers and dictionaries."""
        world = self.world
        size = mujoco.mj_stateSize(world.model, mujoco.mjtState.mjSTATE_INTEGRATION)
        physics = np.empty(size)
        mujoco.mj_getState(world.model, world.data, physics, mujoco.mjtState.mjSTATE_INTEGRATION)
        assert self.rng is not None
        return {
            "random": self.rng.get_state(legacy=False),
            "layout": dict(world.layout),
            "sampled_layout": dict(world.sampled_layout),
            "heading": world.heading,
            "rotations": [list(r) for r in world.rotations],
            "goal": world.model.body("goal").pos.copy(),
            "geom_rgba": world.model.geom_rgba.copy(),
            "physics": physics,
            "task": self.task.state(),
            "frame": self.frame,
        }

    def set_state(self, state: dict[str, Any]) -> None:
        """Continues from what ``get_state`` gave, also in another simulation of the same task and profile."""
        world = self.world
        self.rng = world.rng = np.random.RandomState()
        self.rng.set_state(state["random"])
        world.layout = dict(state["sampled_layout"])
        world.heading = state["heading"]
        world.rotations = [list(r) for r in state["rotations"]]
        world.build()
        world.layout = dict(state["layout"])
        world.model.body("goal").pos[:] = state["goal"]
        world.model.geom_rgba[:] = state["geom_rgba"]
        physics = mujoco.mjtState.mjSTATE_INTEGRATION
        mujoco.mj_setState(world.model, world.data, state["physics"], physics)
        world.forward()
        # forward refreshes the solver's warm start; the stored one is put back so that both runs stay bit-equal
        mujoco.mj_setState(world.model, world.data, state["physics"], physics)
        self.task.restore(state["task"])
        self.frame = state["frame"]
