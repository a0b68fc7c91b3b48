"""The navigation tasks as a Gymnasium environment."""

from __future__ import annotations

import math
from typing import Any, SupportsFloat

import gymnasium
import numpy as np
from gymnasium import spaces

from fosp.envs.navigation.profiles import get_profile
from fosp.envs.navigation.registry import get_task
from fosp.envs.navigation.rendering import SAMPLES, NavigationRenderer
from fosp.envs.navigation.simulation import Simulation
from fosp.envs.spaces import check_observation_kind
from fosp.errors import InputError

SCENE_SIZE = (480, 480)  # height and width of the third-person picture


class NavigationEnv(gymnasium.Env[dict[str, Any], np.ndarray]):
    """A robot in a task of the Safety-Gymnasium navigation suite.

    One step of the environment repeats the action for ``action_repeat`` physics frames of 0.02 s (Point) or 0.04 s
    (Car, Racecar); rewards and costs are summed, and nothing in between is observed or drawn. It stops early when the
    episode ends, so that no frame's cost is lost.

    * Action: (2,) float32 in [-1, 1], scaled to the robot's control range.
    * Observation: a dictionary with ``image``, (64, 64, 6) uint8, front view then rear view (3 channels in the
      ``pypi`` profile, which has no rear camera), and/or ``vector``, (D,) float32.
    * Info of a step: ``cost``, ``cost_<kind>`` for every kind the task has (sums over the frames, 0 ... action_repeat),
      ``frames`` (physics frames of this step) and ``goal_met``.
    """

    metadata: dict[str, Any] = {"render_modes": ["rgb_array"], "render_fps": 12}  # noqa: RUF012 - as Gymnasium

    def __init__(
        self,
        task: str,
        robot: str = "Point",
        observation: str = "image",
        action_repeat: int = 4,
        profile: str = "github",
        render_mode: str | None = None,
        image_size: int = 64,
        samples: int = SAMPLES,
    ) -> None:
        """Makes the environment; nothing is drawn and no OpenGL touched until the first picture.

        Args:
            task: name of a registered task, such as ``Goal1``.
            robot: ``Point``, ``Car`` or ``Racecar``.
            observation: ``image``, ``vector`` or ``both``.
            action_repeat: physics frames per step, at least 1.
            profile: ``github`` (as the paper) or ``pypi``; see the documentation for where they differ.
            render_mode: None, or ``rgb_array`` for a third-person view from ``render()``.
            image_size: pixels per side of each view.
            samples: multisampling of the pictures; 4 equals the original, 0 is fastest.

        Raises:
            InputError: if any of these is not usable.
        """
        check_observation_kind(observation)
        if action_repeat < 1:
            raise InputError(f"action_repeat={action_repeat} must be at least 1.")
        if image_size < 1:
            raise InputError(f"image_size={image_size} must be at least 1.")
        if samples < 0:
            raise InputError(f"samples={samples} must not be negative: 4 equals the original, 0 is fastest.")
        self.profile = get_profile(profile)
        task_class, robot_spec = get_task(task, robot)
        self.simulation = Simulation(robot_spec, task_class(), self.profile)
        self.action_repeat, self.render_mode, self.observation_kind = action_repeat, render_mode, observation
        self.cost_names = self.simulation.task.cost_names()
        self.views = len(self.profile.cameras)

        spaces_by_name: dict[str, spaces.Space[Any]] = {}
        if observation in ("image", "both"):
            shape = (image_size, image_size, 3 * self.views)
            spaces_by_name["image"] = spaces.Box(0, 255, shape, np.uint8)
        if observation in ("vector", "both"):
            size = self.simulation.observation_size
            low = np.full(size, -np.inf, np.float32)
            high = np.full(size, np.inf, np.float32)
            low[robot_spec.sensors :], high[robot_spec.sensors :] = 0.0, 1.0
            spaces_by_name["vector"] = spaces.Box(low, high, dtype=np.float32)
        self.observation_space = spaces.Dict(spaces_by_name)
        self.action_space = spaces.Box(-1.0, 1.0, (2,), np.float32)

        low64, high64 = np.array(robot_spec.control_low), np.array(robot_spec.control_high)
        self._middle, self._half = (high64 + low64) / 2, (high64 - low64) / 2
        self._eyes = NavigationRenderer(self.profile.cameras, image_size, image_size, samples)
        self._onlooker = NavigationRenderer((self.simulation.task.view(),), SCENE_SIZE[1], SCENE_SIZE[0], samples)
        self._running = False

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
        """Starts an episode. A seed starts the task's random stream anew; without one it continues.

        Args:
            seed: 0 <= seed < 2**32.
            options: not used.

        Raises:
            InputError: if the seed is out of range.
        """
        super().reset(seed=seed)
        if seed is not None and not 0 <= seed < 2**32:
            raise InputError(f"seed={seed} must be between 0 and 2**32 - 1.")
        if seed is None and self.simulation.rng is None:
            seed = int(self.np_random.integers(2**32))
        self.simulation.reset(seed)
        self._running = True
        return self._observe(), {}

    def step(self, action: np.ndarray) -> tuple[dict[str, np.ndarray], SupportsFloat, bool, bool, dict[str, Any]]:
        """Repeats the action; returns observation, summed reward, terminated, truncated and info with the costs.

        Raises:
            InputError: if the action has another shape than (2,) or is not finite.
            gymnasium.error.ResetNeeded: if the episode has ended or not begun.
        """
        if not self._running:
            raise gymnasium.error.ResetNeeded("the episode is over or has not begun: call reset() first")
        values = np.asarray(action, dtype=np.float64)
        if values.shape != (2,) or not np.isfinite(values).all():
            raise InputError(f"action={action!r} must be 2 finite numbers.")
        control = self._middle + self._half * np.clip(values, -1.0, 1.0)
        info: dict[str, Any] = {"cost": 0.0, "frames": 0, "goal_met": False}
        info.update(dict.fromkeys(self.cost_names, 0.0))
        reward = 0.0
        for _ in range(self.action_repeat):
            result = self.simulation.step(control)
            reward += result.reward
            info["cost"] += result.cost
            info["frames"] += 1
            info["goal_met"] = info["goal_met"] or result.goal_met
            for name, value in result.costs.items():
                info[name] += value
            if result.terminated or result.truncated:
                self._running = False
                break
        return self._observe(), reward, result.terminated, result.truncated, info

    def _observe(self) -> dict[str, np.ndarray]:
        observation = {}
        if self.observation_kind != "vector":
            observation["image"] = self.first_person()
        if self.observation_kind != "image":
            observation["vector"] = self.simulation.observe().astype(np.float32)
        return observation

    def first_person(self) -> np.ndarray:
        """The robot's views now: (image_size, image_size, 3 * views) uint8, front first."""
        return self._eyes.render(self.simulation.world)

    def render(self) -> np.ndarray | None:
        """A third-person view (480, 480, 3) uint8, or None without ``render_mode='rgb_array'``."""
        if self.render_mode is None:
            return None
        return self._onlooker.render(self.simulation.world)

    def privileged(self) -> dict[str, Any]:
        """What the scripted behaviours see and the robot does not.

        Returns:
            ``position`` (2,), ``heading`` (radians, direction of travel), ``velocity`` (2,) in the world frame,
            ``yaw_rate`` (radians a second), ``target`` (2,): where to go, ``obstacles`` (N, 3): x, y and the distance
            that the robot's origin should keep, all in metres, ``walls``: whether they are in the way as well,
            ``robot``: its name, and ``seconds`` per step.
        """
        world = self.simulation.world
        robot = self.simulation.robot
        matrix = world.robot_matrix.reshape(3, 3)
        forward = matrix[:2, :2] @ np.array(robot.forward)
        sensors = world.data.sensordata
        return {
            "robot": robot.name,
            "position": world.robot_position[:2].copy(),
            "heading": math.atan2(forward[1], forward[0]),
            "velocity": (matrix @ sensors[3:6])[:2],
            "yaw_rate": float(sensors[8]),
            "target": self.simulation.task.target(world),
            "obstacles": self.simulation.task.obstacles(world),
            "walls": self.simulation.task.walls,
            "seconds": robot.timestep * 10 * self.action_repeat,
        }

    def get_state(self) -> dict[str, Any]:
        """Everything that decides the future of the episode; give it to ``set_state`` of an equal environment."""
        if self.simulation.rng is None:
            raise gymnasium.error.ResetNeeded("there is no state before the first reset()")
        return {"simulation": self.simulation.get_state(), "running": self._running}

    def set_state(self, state: dict[str, Any]) -> dict[str, np.ndarray]:
        """Continues from a state; returns its observation."""
        self.simulation.set_state(state["simulation"])
        self._running = state["running"]
        return self._observe()

    def close(self) -> None:
        """Frees the renderers."""
        self._eyes.close()
        self._onlooker.close()
