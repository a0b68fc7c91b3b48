"""Any robot of LeRobot's as a Gymnasium environment.

LeRobot is not imported: a robot is what has its `connect`, `get_observation`, `send_action` and `disconnect`. What it
cannot give, reward and cost, is the task's.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple, Protocol

import gymnasium
import numpy as np
from gymnasium import spaces

from fosp.envs.spaces import check_observation_kind
from fosp.errors import InputError
from fosp.hardware.camera import SIDE, square
from fosp.hardware.operator import ArmStoppedError

Raw = dict[str, Any]
"""What a robot observes, or is sent, by name."""


class Robot(Protocol):
    """As LeRobot has it."""

    @property
    def is_connected(self) -> bool: ...

    def connect(self) -> None: ...

    def get_observation(self) -> Raw: ...

    def send_action(self, action: Raw) -> Raw: ...

    def disconnect(self) -> None: ...


class Judgement(NamedTuple):
    """What a step was worth."""

    reward: float
    cost: float
    terminated: bool = False


class Task(Protocol):
    """What the robot is there for."""

    def reset(self, robot: Robot, rng: np.random.Generator) -> None:
        """Bring robot and scene to a start."""

    def judge(self, observation: Raw, sent: Raw) -> Judgement:
        """Look at what was observed after an action that was sent."""


class LeRobotEnv(gymnasium.Env[dict[str, Any], np.ndarray]):
    """A robot at a fixed rate, with pictures and/or a vector, and a cost in ``info``."""

    real_time = True

    def __init__(
        self,
        robot: Robot,
        task: Task,
        *,
        actions: Mapping[str, tuple[float, float]],
        images: Sequence[str] = (),
        vector: Sequence[str] = (),
        observation: str = "both",
        fps: float = 10.0,
        steps: int = 200,
        command: Callable[[np.ndarray, Raw], Raw] | None = None,
        picture: Callable[[np.ndarray], np.ndarray] = square,
        stop: Callable[[Robot], None] | None = None,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        """Makes the environment; the robot is connected at the first reset.

        Args:
            robot: connected or not.
            task: gives reward and cost, and brings everything to a start.
            actions: by name, in this order, what -1 and 1 stand for.
            images: names of the cameras, stacked in this order.
            vector: names of the numbers of the vector, in this order.
            observation: ``image``, ``vector`` or ``both``.
            fps: steps a second.
            steps: in an episode.
            command: from action (A,) in [-1, 1] and last observation to what the robot is sent (default: linear between
                the ends in `actions`).
            picture: from a camera's frame (H, W, 3) uint8 to (64, 64, 3).
            stop: holds the robot whenever something goes wrong (default: the last position sent is kept).
            clock, sleep: of time, in seconds.

        Raises:
            InputError: what `observation` asks for has no names.
        """
        check_observation_kind(observation)
        for kind, names in (("image", images), ("vector", vector)):
            if observation in (kind, "both") and not names:
                raise InputError(f"observation='{observation}' needs names of {kind}s, and there are none.")
        if fps <= 0 or steps < 1 or not actions:
            raise InputError(f"fps={fps}, steps={steps}, {len(actions)} actions: give some of each.")
        self.robot, self.task, self.control_hz, self.steps = robot, task, fps, steps
        self._ends = {name: (float(low), float(high)) for name, (low, high) in actions.items()}
        self._images = tuple(images) if observation != "vector" else ()
        self._vector = tuple(vector) if observation != "image" else ()
        self._command, self._picture, self._hold = command or self._linear, picture, stop
        self._clock, self._sleep = clock, sleep
        parts: dict[str, spaces.Space[Any]] = {}
        if self._images:
            parts["image"] = spaces.Box(0, 255, (SIDE, SIDE, 3 * len(self._images)), np.uint8)
        if self._vector:
            parts["vector"] = spaces.Box(-np.inf, np.inf, (len(self._vector),), np.float32)
        self.observation_space = spaces.Dict(parts)
        self.action_space = spaces.Box(-1.0, 1.0, (len(self._ends),), np.float32)
        self._raw: Raw | None = None
        self._deadline, self._step = 0.0, 0

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
        super().reset(seed=seed)
        if not self.robot.is_connected:
            self.robot.connect()
        self.task.reset(self.robot, self.np_random)
        self._raw, self._step, self._deadline = self.robot.get_observation(), 0, self._clock()
        return self._observe(self._raw), {}

    def step(self, action: np.ndarray) -> tuple[dict[str, np.ndarray], float, bool, bool, dict[str, Any]]:
        """Sends the action and waits for the end of the step; ``info`` has ``cost``, ``frames``, ``sent``, ``overrun``.

        Raises:
            InputError: the action has another shape, or is not finite.
            ArmStoppedError: a measured value is not finite.
            gymnasium.error.ResetNeeded: no episode has begun.
        """
        if self._raw is None:
            raise gymnasium.error.ResetNeeded("no episode has begun: call reset() first")
        values = np.asarray(action, np.float64)
        if values.shape != self.action_space.shape or not np.isfinite(values).all():
            raise InputError(f"action={action!r} must be {len(self._ends)} finite numbers.")
        try:
            sent = self.robot.send_action(self._command(values.clip(-1.0, 1.0), self._raw))
            overrun = self._wait()
            self._raw = self.robot.get_observation()
            observation = self._observe(self._raw)
            judged = self.task.judge(self._raw, sent)
        except BaseException:
            self.stop()
            raise
        self._step += 1
        info = {"cost": float(judged.cost), "frames": 1, "sent": sent, "overrun": overrun}
        truncated = self._step >= self.steps and not judged.terminated
        return observation, float(judged.reward), judged.terminated, truncated, info

    def stop(self) -> None:
        """Hold the robot, as far as `stop` of the constructor says how."""
        if self._hold is not None:
            self._hold(self.robot)

    def close(self) -> None:
        if self.robot.is_connected:
            self.robot.disconnect()

    def _linear(self, action: np.ndarray, _: Raw) -> Raw:
        ends = self._ends.items()
        return {name: low + (a + 1) / 2 * (high - low) for a, (name, (low, high)) in zip(action, ends, strict=True)}

    def _wait(self) -> float:
        """Wait for the end of the step; returns by how many seconds it came late, and gives the next its whole time."""
        self._deadline += 1 / self.control_hz
        late = self._clock() - self._deadline
        if late < 0:
            self._sleep(-late)
            return 0.0
        self._deadline += late
        return late

    def _observe(self, raw: Raw) -> dict[str, np.ndarray]:
        missing = [name for name in (*self._images, *self._vector) if name not in raw]
        if missing:
            raise InputError(f"the robot observes no '{missing[0]}', only {', '.join(raw)}.")
        result = {}
        if self._images:
            result["image"] = np.concatenate([self._picture(np.asarray(raw[name])) for name in self._images], -1)
        if self._vector:
            result["vector"] = np.array([raw[name] for name in self._vector], np.float32)
            if not np.isfinite(result["vector"]).all():
                name = self._vector[np.flatnonzero(~np.isfinite(result["vector"]))[0]]
                raise ArmStoppedError(f"The robot is held: '{name}' reads {raw[name]}: look at that sensor.")
        return result
