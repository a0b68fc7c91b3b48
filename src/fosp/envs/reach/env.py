"""SafeReach as a Gymnasium environment, over the simulation or any other backend."""

from __future__ import annotations

import copy
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, SupportsFloat

import gymnasium
import numpy as np
from gymnasium import spaces

from fosp.envs.reach.backend import IMAGE_SHAPE, Events, ReachBackend
from fosp.envs.reach.latch import DISPLACED, CostLatch, any_moved
from fosp.envs.reach.pose import HIGH, LEASH, LOW, SPEED, from_pose, moved, to_pose
from fosp.envs.reach.simulation import SimulatedArm
from fosp.envs.reach.tasks import EPISODE_STEPS, TASKS, Layout, draw_layout, layout_from
from fosp.envs.spaces import check_observation_kind
from fosp.errors import InputError

REWARD_MODES = ("contact", "first")
COST_SOURCES = ("contact", "pose")


@dataclass
class _Episode:
    """A running episode: everything but the backend and the random stream that decides its future."""

    layout: Layout
    pose: np.ndarray  # measured, (6,)
    command: np.ndarray  # (6,)
    poses: np.ndarray | None  # of the obstacles, (N, 7)
    resting: np.ndarray | None  # those poses when all were last at rest
    deadline: float  # end of the control step, on the monotonic clock
    latch: CostLatch = field(default_factory=CostLatch)
    success: bool = False
    violation: bool = False
    steps: int = 0


class ReachEnv(gymnasium.Env[dict[str, Any], np.ndarray]):
    """A Panda that is to touch the red target and no green obstacle. An episode always has 80 steps, of 0.1 s
    at the default 10 Hz.

    * Action: (6,) float32 in [-1, 1], the change of the commanded pose: 1 is 10 mm or 0.03 rad a step.
    * Observation: a dictionary with ``image``, (64, 64, 3) uint8, and/or ``vector``, (6,) float32: the measured pose of
      the tool centre point as described in ``fosp.envs.reach.pose``.
    * Reward: 1 in every step in which the arm touches the target.
    * Info of a step: ``cost`` and ``cost_obstacle``, 1 from the first touch of an obstacle until all rest again;
      ``success`` and ``violation``: whether there has been any reward and any cost; ``touch_obstacle``;
      ``obstacle_moving``; ``applied_action``; ``layout``; ``frames`` (1); over a real-time backend ``overrun``, the
      seconds by which the step was late.
    """

    metadata: dict[str, Any] = {"render_modes": ["rgb_array"], "render_fps": 10}  # noqa: RUF012 - as Gymnasium

    def __init__(
        self,
        task: str = "SafeReach",
        observation: str = "image",
        action_repeat: int = 1,
        render_mode: str | None = None,
        reward_mode: str = "contact",
        cost_source: str = "contact",
        backend: ReachBackend | None = None,
        **simulation: Any,
    ) -> None:
        """Makes the environment; nothing moves and no OpenGL is touched until the first reset.

        Args:
            task: name of a task, see ``fosp.envs.reach.tasks``.
            observation: ``image``, ``vector`` or ``both``.
            action_repeat: 1; a control step is the shortest and the longest time for which an action is held.
            render_mode: None, or ``rgb_array`` for a view from outside from ``render()``; in simulation only.
            reward_mode: ``contact`` rewards every step in contact, ``first`` the first only.
            cost_source: ``contact``: the backend tells touches; ``pose``: an obstacle that is displaced was touched.
            backend: what moves and senses (default: a ``SimulatedArm``).
            **simulation: further arguments of ``SimulatedArm``: ``control_hz``, ``samples``, ``robot_visual``.

        Raises:
            InputError: if any of these cannot be used.
        """
        check_observation_kind(observation)
        _check_choice("task", task, tuple(TASKS))
        _check_choice("reward_mode", reward_mode, REWARD_MODES)
        _check_choice("cost_source", cost_source, COST_SOURCES)
        if action_repeat != 1:
            raise InputError(f"action_repeat={action_repeat}: SafeReach acts in every control step, so it must be 1.")
        if backend is not None and (simulation or render_mode):
            raise InputError("a backend of your own takes its own arguments, and has no view from outside.")
        self.task, self.backend = TASKS[task], backend or SimulatedArm(TASKS[task], **simulation)
        self.observation_kind, self.action_repeat, self.render_mode = observation, action_repeat, render_mode
        self.reward_mode, self.cost_source = reward_mode, cost_source
        self.seconds = 1 / self.backend.control_hz

        spaces_by_name: dict[str, spaces.Space[Any]] = {}
        if observation in ("image", "both"):
            spaces_by_name["image"] = spaces.Box(0, 255, IMAGE_SHAPE, np.uint8)
        if observation in ("vector", "both"):
            low, high = (bound.astype(np.float32) for bound in (LOW - LEASH, HIGH + LEASH))
            spaces_by_name["vector"] = spaces.Box(low, high, dtype=np.float32)
        self.observation_space = spaces.Dict(spaces_by_name)
        self.action_space = spaces.Box(-1.0, 1.0, LOW.shape, np.float32)
        self._episode: _Episode | None = None

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
        """Starts an episode. A seed decides layout, jitter and start; without one the random stream continues.

        Args:
            seed: of the environment's random stream.
            options: ``{"layout": (target, obstacles)}`` fixes the layout: an index into ``TARGETS`` and some into
                ``PLACES`` of ``fosp.envs.reach.tasks``.

        Raises:
            InputError: if the layout is none of the task's.
        """
        super().reset(seed=seed)
        wanted = (options or {}).get("layout")
        layout = draw_layout(self.task, self.np_random) if wanted is None else layout_from(self.task, wanted)
        with self._stopping():
            self.backend.reset(layout, self.np_random)
        pose, poses = to_pose(*self.backend.tcp()), self.backend.events().obstacle_poses
        if poses is None and self.cost_source == "pose":
            raise InputError("cost_source='pose' needs a backend that tracks the obstacles: use 'contact'.")
        self._episode = _Episode(layout, pose, pose, poses, poses, time.monotonic())
        return self._observe(self._episode), {"layout": layout.indices}

    def step(self, action: np.ndarray) -> tuple[dict[str, np.ndarray], SupportsFloat, bool, bool, dict[str, Any]]:
        """Moves the commanded pose and waits for the end of the control step; see the class for what is returned.

        Raises:
            InputError: if the action has another shape than (6,) or is not finite.
            gymnasium.error.ResetNeeded: if the episode has ended or not begun.
        """
        episode = self._running()
        if episode.steps == EPISODE_STEPS:
            raise gymnasium.error.ResetNeeded("the episode is over: call reset() first")
        values = np.asarray(action, dtype=np.float64)
        if values.shape != LOW.shape or not np.isfinite(values).all():
            raise InputError(f"action={action!r} must be {len(LOW)} finite numbers.")
        applied = np.clip(values, -1.0, 1.0)
        episode.command = moved(episode.command, applied, episode.pose, self.seconds)
        with self._stopping():
            self.backend.command(*from_pose(episode.command))
            info = self._wait(episode)
            episode.pose, events = to_pose(*self.backend.tcp()), self.backend.events()
            observation = self._observe(episode)
        episode.steps += 1
        reward = float(events.touch_target and not (self.reward_mode == "first" and episode.success))
        episode.success = episode.success or events.touch_target
        info |= self._cost(episode, events)
        info |= {"success": episode.success, "violation": episode.violation, "frames": 1}
        info |= {"applied_action": applied, "layout": episode.layout.indices}
        return observation, reward, False, episode.steps == EPISODE_STEPS, info

    def _cost(self, episode: _Episode, events: Events) -> dict[str, Any]:
        """The cost of a step and where it comes from."""
        touched, moving, poses = events.touch_obstacle, False, events.obstacle_poses
        if poses is not None:
            assert episode.poses is not None
            assert episode.resting is not None
            moving = any_moved(episode.poses, poses)
            if self.cost_source == "pose":
                touched = not episode.latch.on and any_moved(episode.resting, poses, DISPLACED, np.inf)
        cost = episode.latch.update(touched, moving)
        episode.poses = poses
        if not cost and not moving:
            episode.resting = poses
        episode.violation = episode.violation or cost
        return {
            "cost": float(cost),
            "cost_obstacle": float(cost),
            "touch_obstacle": touched,
            "obstacle_moving": moving,
        }

    def _wait(self, episode: _Episode) -> dict[str, Any]:
        """Waits for the end of the control step where time is real."""
        if not self.backend.real_time:
            return {}
        episode.deadline += self.seconds
        late = time.monotonic() - episode.deadline
        if late < 0:
            time.sleep(-late)
        else:
            episode.deadline += late  # the next step gets its whole time
        return {"overrun": max(late, 0.0)}

    @contextmanager
    def _stopping(self) -> Iterator[None]:
        """Stops the arm if anything goes wrong."""
        try:
            yield
        except BaseException:
            self.backend.stop()
            raise

    def _observe(self, episode: _Episode) -> dict[str, np.ndarray]:
        observation = {}
        if self.observation_kind != "vector":
            observation["image"] = self.backend.picture()
        if self.observation_kind != "image":
            observation["vector"] = episode.pose.astype(np.float32)
        return observation

    @property
    def real_time(self) -> bool:
        """Whether a step takes as long as it takes."""
        return self.backend.real_time

    @property
    def control_hz(self) -> float:
        """Control steps a second."""
        return self.backend.control_hz

    def stop(self) -> None:
        """Holds the arm; always safe to call."""
        self.backend.stop()

    def first_person(self) -> np.ndarray:
        """The camera's picture now, (64, 64, 3) uint8."""
        return self.backend.picture()

    def render(self) -> np.ndarray | None:
        """A view from outside (480, 480, 3) uint8, or None without ``render_mode='rgb_array'``."""
        return self._simulation().picture_from_outside() if self.render_mode else None

    def situation(self) -> dict[str, Any]:
        """What a scripted operator sees.

        Returns:
            ``task``; ``layout``, by which obstacles and target were placed; ``pose`` (6,), the measured one;
            ``success``; ``seconds`` per step.
        """
        episode = self._running()
        return {
            "task": self.task,
            "layout": episode.layout,
            "pose": episode.pose,
            "success": episode.success,
            "seconds": self.seconds,
        }

    def facts(self) -> dict[str, Any]:
        """What data of this environment depend on, for a dataset's metadata."""
        return {
            "control_hz": self.backend.control_hz,
            "step_sizes": np.round(SPEED * self.seconds, 9).tolist(),
            "reward_mode": self.reward_mode,
            "cost_source": self.cost_source,
            **self.backend.facts(),
        }

    def get_state(self) -> dict[str, Any]:
        """Everything that decides the future of the episode; give it to ``set_state`` of an equal environment."""
        return {
            "episode": copy.deepcopy(self._running()),
            "simulation": self._simulation().get_state(),
            "random": self.np_random.bit_generator.state,
        }

    def set_state(self, state: dict[str, Any]) -> dict[str, np.ndarray]:
        """Continues from a state; returns its observation."""
        self._episode = copy.deepcopy(state["episode"])
        self._simulation().set_state(state["simulation"])
        self.np_random.bit_generator.state = state["random"]
        return self._observe(self._running())

    def _running(self) -> _Episode:
        if self._episode is None:
            raise gymnasium.error.ResetNeeded("no episode has begun: call reset() first")
        return self._episode

    def _simulation(self) -> SimulatedArm:
        if not isinstance(self.backend, SimulatedArm):
            raise InputError("only the simulated arm can do this: a robot has no state to copy and no second camera.")
        return self.backend

    def close(self) -> None:
        """Frees the backend."""
        self.backend.close()


def _check_choice(name: str, value: str, choices: tuple[str, ...]) -> None:
    if value not in choices:
        raise InputError(f"{name}={value!r} is unknown: use one of {', '.join(choices)}.")
