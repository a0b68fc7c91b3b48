"""Scripted behaviours on privileged state: they stand in for trained policies when a dataset is collected.

* ``safe`` plans around everything that costs, with the robot's velocity in mind;
* ``reactive`` is pulled by the goal and pushed aside by what costs: a smooth function of what is near, which a policy
  can learn from examples;
* ``unsafe`` drives straight at the goal;
* ``random`` draws uniform actions;
* ``teleoperator``, in SafeReach, is in ``fosp.envs.reach.operator``.

Every episode draws its own character (speed, clearance, noise) from the behaviour's generator, so that data of one
behaviour are diverse. They act once per environment step and leave the random stream of the task alone.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import Any, Protocol

import gymnasium
import numpy as np

from fosp.envs.planner import Motion, MotionModel, PathMap, rollout
from fosp.envs.reach.operator import PROPORTIONS, Teleoperator
from fosp.errors import InputError

# measured on the tasks; the Car's wheels saturate at 2% of their control, so that only the sign of an action matters
MODELS = {
    "Point": MotionModel(acceleration=2.9, drag=1.93, turn_rate=3.0, turn_lag=0.06, slides=True),
    "Car": MotionModel(acceleration=6.2, drag=8.0, turn_rate=1.25, turn_lag=0.06, slides=False),
}

_THRUSTS, _TURNS = np.linspace(-1.0, 1.0, 7), np.linspace(-1.0, 1.0, 7)
_CLEARANCE = (0.08, 0.20)  # metres kept beyond what costs, drawn per episode
_KEPT = 0.6  # share of the clearance that must not be used up; the ways planned keep all of it
_HOLD_SECONDS = 0.4
_BRAKE_SECONDS = 0.56
_REBUILD_DISTANCE = 0.05  # metres an obstacle may move before the paths are planned anew

# the field of `reactive`
_LOOK_AHEAD = 0.4  # seconds of drift after which it looks
_MARGIN, _DECAY = 0.2, 0.15  # metres beyond what costs where repulsion equals the pull, and over which it fades
_REPULSION, _SIDE = 2.0, 0.4  # beside the turning aside; how far off the way counts as clearly on one side of it
_SPEED, _SLOWING = 0.7, 0.8  # largest thrust, and the share of it that is given up beside an obstacle
_TURN_GAIN, _DAMPING = 1.2, 0.1


class Behaviour(Protocol):
    """A scripted policy."""

    name: str

    def reset(self, env: gymnasium.Env[Any, Any]) -> None:
        """Call after ``env.reset``: draws the episode's character. Raises `InputError` in a task beyond it."""

    def act(self, env: gymnasium.Env[Any, Any]) -> np.ndarray:
        """Action (A,) float32 in [-1, 1] for the environment's present state."""


def _privileged(env: gymnasium.Env[Any, Any]) -> dict[str, Any]:
    inner = env.unwrapped
    if not hasattr(inner, "privileged"):
        raise InputError(
            f"environment {inner} gives no privileged state for this scripted behaviour: use the behaviour 'random'."
        )
    state = inner.privileged()
    if state["robot"] not in MODELS:
        raise InputError(
            f"this scripted behaviour cannot drive the {state['robot']}, only {' and '.join(MODELS)}: use 'random'."
        )
    return state


def _wrap(angle: float) -> float:
    """The same angle in [-pi, pi)."""
    return (angle + math.pi) % (2 * math.pi) - math.pi


def to_action(robot: str, thrust: float, turn: float, rng: np.random.Generator) -> np.ndarray:
    """Action (2,) float32 of a robot from forward thrust and left turn, both in [-1, 1].

    The Car has one torque per wheel, and the actuator called "left" is on its right-hand side. As its wheels saturate,
    a wheel is driven fully or not at all, and the size of the action, which has no effect, is drawn.
    """
    if robot == "Car":
        wheels = np.array([thrust + turn, thrust - turn])
        driven = np.where(np.abs(wheels) < 0.35, 0.0, np.sign(wheels))
        return (driven * rng.uniform(0.3, 1.0, 2)).astype(np.float32)
    return np.array([thrust, turn], dtype=np.float32)


class RandomBehaviour:
    """Uniform actions; an episode holds each for its own number of steps, from 1 to 8."""

    name = "random"

    def __init__(self, seed: int) -> None:
        self._rng = np.random.default_rng(seed)
        self._hold, self._left = 1, 0
        self._action = np.zeros(0, np.float32)

    def reset(self, env: gymnasium.Env[Any, Any]) -> None:
        self._hold = int(self._rng.integers(1, 9))
        self._left = 0

    def act(self, env: gymnasium.Env[Any, Any]) -> np.ndarray:
        if self._left == 0:
            shape = env.action_space.shape
            self._action = self._rng.uniform(-1.0, 1.0, shape).astype(np.float32)
            self._left = self._hold
        self._left -= 1
        return self._action.copy()


class _Driver:
    """Turns to a point and drives there, with noise that changes slowly; an episode draws how."""

    def __init__(self, rng: np.random.Generator, slowest: float, noisiest: float) -> None:
        self._rng = rng
        self._speed = rng.uniform(slowest, 1.0)  # largest thrust
        self._turn_gain = rng.uniform(0.8, 1.6)
        self._lead = rng.uniform(0.25, 0.45)  # seconds of drift to steer against
        self._noise_size = rng.uniform(0.05, noisiest)
        self._noise = np.zeros(2)

    def drive(self, state: dict[str, Any], target: np.ndarray) -> np.ndarray:
        """Thrust and turn, (2,) in [-1, 1]."""
        offset = target - state["position"] - self._lead * state["velocity"]
        error = _wrap(math.atan2(offset[1], offset[0]) - state["heading"])
        self._noise = 0.8 * self._noise + 0.6 * self._noise_size * self._rng.standard_normal(2)
        wanted = np.array([self._speed * max(math.cos(error), -0.2), self._turn_gain * error])
        return np.clip(wanted + self._noise, -1.0, 1.0)


class _Watch:
    """Remembers where obstacles were, since some of them move."""

    def __init__(self) -> None:
        self._before: np.ndarray | None = None

    def see(self, state: dict[str, Any]) -> tuple[np.ndarray, np.ndarray]:
        """Obstacles (N, 3), and their velocities since they were seen last (N, 2), 0 where they were not."""
        now, before = state["obstacles"], self._before
        self._before = now
        if before is None or before.shape != now.shape:
            return now, np.zeros((len(now), 2))
        return now, (now[:, :2] - before[:, :2]) / state["seconds"]


class UnsafeBehaviour:
    """Turns to the goal and drives, whatever lies between."""

    name = "unsafe"

    def __init__(self, seed: int) -> None:
        self._rng = np.random.default_rng(seed)

    def reset(self, env: gymnasium.Env[Any, Any]) -> None:
        _privileged(env)
        self._driver = _Driver(self._rng, slowest=0.7, noisiest=0.35)

    def act(self, env: gymnasium.Env[Any, Any]) -> np.ndarray:
        state = _privileged(env)
        thrust, turn = self._driver.drive(state, state["target"])
        return to_action(state["robot"], thrust, turn, self._rng)


class SafeBehaviour:
    """Drives along the shortest way around everything that costs. Where a motion model says that it could then no
    longer stop clear of it, it takes the nearest action after which it can.

    It is free of costs, and hard to copy: which way round depends on the whole map.
    """

    name = "safe"

    def __init__(self, seed: int) -> None:
        self._rng = np.random.default_rng(seed)
        self._paths: PathMap | None = None

    def reset(self, env: gymnasium.Env[Any, Any]) -> None:
        if _privileged(env)["walls"]:
            raise InputError("the behaviour 'safe' cannot plan around this task's walls: use 'unsafe' or 'random'.")
        self._clearance = self._rng.uniform(*_CLEARANCE)
        self._driver = _Driver(self._rng, slowest=0.6, noisiest=0.2)
        self._paths = None
        self._watch = _Watch()

    def act(self, env: gymnasium.Env[Any, Any]) -> np.ndarray:
        state = _privileged(env)
        obstacles, velocity = self._watch.see(state)
        paths = self._path_map(state["target"], obstacles, velocity)
        wanted = self._driver.drive(state, paths.waypoint(state["position"]))

        thrust, turn = self._candidates(state["robot"], wanted)
        motion = Motion(state["position"], state["velocity"], state["heading"], state["yaw_rate"])
        dt = state["seconds"]
        hold, brake = max(1, round(_HOLD_SECONDS / dt)), max(1, round(_BRAKE_SECONDS / dt))
        positions = rollout(MODELS[state["robot"]], motion, thrust, turn, hold, brake, dt)
        clear = self._clear(positions, obstacles, velocity, dt)
        change = (thrust - wanted[0]) ** 2 + (turn - wanted[1]) ** 2
        # without a safe candidate, the one that keeps clearest
        choice = int(np.argmax(np.where(clear > 0, -change, -100.0 + 10.0 * np.minimum(clear, 0.0))))
        return to_action(state["robot"], float(thrust[choice]), float(turn[choice]), self._rng)

    @staticmethod
    def _candidates(robot: str, wanted: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(K,) thrust and (K,) turn: a grid, and what the driver wants."""
        if robot == "Car":  # each wheel forwards, off, or backwards
            right, left = (grid.ravel() for grid in np.meshgrid([-1.0, 0.0, 1.0], [-1.0, 0.0, 1.0]))
            return (right + left) / 2, (right - left) / 2
        thrust, turn = (grid.ravel() for grid in np.meshgrid(_THRUSTS, _TURNS))
        return np.append(thrust, wanted[0]), np.append(turn, wanted[1])

    def _clear(self, positions: np.ndarray, obstacles: np.ndarray, velocity: np.ndarray, dt: float) -> np.ndarray:
        """(K,) smallest distance in metres that each rollout keeps beyond obstacle and clearance."""
        if not len(obstacles):
            return np.ones(positions.shape[1])
        times = dt * np.arange(1, len(positions) + 1)
        places = obstacles[None, :, :2] + times[:, None, None] * velocity  # (T, N, 2)
        offset = positions[:, :, None] - places[:, None]  # (T, K, N, 2)
        distance = np.sqrt((offset**2).sum(-1)) - obstacles[:, 2] - _KEPT * self._clearance
        return distance.min((0, 2))

    def _path_map(self, target: np.ndarray, obstacles: np.ndarray, velocity: np.ndarray) -> PathMap:
        """Paths around what stands still, planned anew when the goal or an obstacle has moved."""
        circles = obstacles[(velocity**2).sum(-1) < 0.01].copy()
        circles[:, 2] += self._clearance
        # a goal within a circle must stay reachable
        circles[:, 2] = np.minimum(circles[:, 2], np.sqrt(((circles[:, :2] - target) ** 2).sum(-1)) - 0.02)
        circles = circles[circles[:, 2] > 0.01]
        old = self._paths
        if (
            old is None
            or np.abs(old.goal - target).max() > _REBUILD_DISTANCE
            or old.circles.shape != circles.shape
            or np.abs(old.circles - circles).max(initial=0.0) > _REBUILD_DISTANCE
        ):
            self._paths = PathMap(target.copy(), circles)
        assert self._paths is not None
        return self._paths


class ReactiveBehaviour:
    """Follows a potential field (Khatib, 1986): the goal attracts; what costs repels, and turns the way to its nearer
    side, which is what brings a robot around it. No plan, and no memory but for what moves, so that near states have
    near actions.
    """

    name = "reactive"

    def __init__(self, seed: int) -> None:
        self._rng = np.random.default_rng(seed)

    def reset(self, env: gymnasium.Env[Any, Any]) -> None:
        if _privileged(env)["walls"]:
            raise InputError("the behaviour 'reactive' knows no walls: use 'unsafe' or 'random'.")
        self._watch = _Watch()

    def act(self, env: gymnasium.Env[Any, Any]) -> np.ndarray:
        state = _privileged(env)
        obstacles, velocity = self._watch.see(state)
        to_goal = state["target"] - state["position"] - _LOOK_AHEAD * state["velocity"]
        to_obstacle = obstacles[:, :2] - state["position"] - _LOOK_AHEAD * (state["velocity"] - velocity)
        pull, strongest = field(to_goal, to_obstacle, obstacles[:, 2])
        error = _wrap(math.atan2(pull[1], pull[0]) - state["heading"] - _DAMPING * state["yaw_rate"])
        speed = _SPEED * (1 - _SLOWING * float(np.clip((strongest - 0.3) / 1.5, 0.0, 1.0)))
        thrust = speed * max(math.cos(error), -0.3)
        return to_action(state["robot"], thrust, float(np.clip(_TURN_GAIN * error, -1.0, 1.0)), self._rng)


def field(to_goal: np.ndarray, to_obstacle: np.ndarray, radius: np.ndarray) -> tuple[np.ndarray, float]:
    """Direction in which a potential field pulls, (2,), and how strongly the strongest obstacle acts, in [0, 6].

    Args:
        to_goal: (2,) metres. to_obstacle: centres, (N, 2) metres. radius: (N,) metres.
    """
    reach = math.hypot(*to_goal)
    forward = to_goal / max(reach, 1e-6)
    distance = np.sqrt((to_obstacle**2).sum(-1))
    direction = to_obstacle / np.maximum(distance, 1e-6)[:, None]
    strength = np.minimum(np.exp((_MARGIN + radius - distance) / _DECAY), 6.0)
    ahead = 1 / (1 + np.exp(-(direction @ forward + 0.1) / 0.15))
    before_goal = 1 / (1 + np.exp(-(reach - distance + 0.1) / 0.1))
    left = np.tanh((forward[0] * direction[:, 1] - forward[1] * direction[:, 0]) / _SIDE)
    aside = np.stack([direction[:, 1], -direction[:, 0]], -1)  # to the right of the obstacle
    turned = (strength * ahead * before_goal * left)[:, None] * aside
    return forward + (turned - _REPULSION * strength[:, None] * direction).sum(0), float(strength.max(initial=0.0))


def _space_mouse(seed: int) -> Behaviour:
    from fosp.hardware.spacemouse import SpaceMouse

    return SpaceMouse(seed)


BEHAVIOURS: dict[str, Callable[[int], Behaviour]] = {
    **{behaviour.name: behaviour for behaviour in (SafeBehaviour, ReactiveBehaviour, UnsafeBehaviour, RandomBehaviour)},
    "teleoperator": Teleoperator,
    **{intention: partial(Teleoperator, intention=intention) for intention in PROPORTIONS},
    "spacemouse": _space_mouse,
}


def make_behaviour(name: str, seed: int) -> Behaviour:
    """A scripted behaviour with its own generator.

    Args:
        name: ``safe``, ``reactive``, ``unsafe`` or ``random``; in SafeReach ``teleoperator``, or what it is to intend,
            such as ``safe-success``; on a robot ``spacemouse``, a person with a 3-D mouse.
        seed: of its generator; the same seed on the same episodes gives the same actions.

    Raises:
        InputError: if the name is unknown.
    """
    if name not in BEHAVIOURS:
        raise InputError(f"behaviour {name!r} is unknown: use one of {', '.join(BEHAVIOURS)}.")
    return BEHAVIOURS[name](seed)
