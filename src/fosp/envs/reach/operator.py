"""A scripted teleoperator for SafeReach: plans a way with one of four intentions, and steers as a person would."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

import gymnasium
import numpy as np

from fosp.envs.reach.pose import SPEED
from fosp.envs.reach.routes import route
from fosp.envs.reach.tasks import PLACES, TARGETS, draw_layout, layouts
from fosp.errors import InputError

PROPORTIONS = {"safe-success": 12, "safe-failure": 3, "unsafe-success": 4, "unsafe-failure": 1}
"""The classes of episodes and their numbers in 20; the paper's dataset has ten times as many."""

_FINGER = 0.0115  # metres: half the closed fingers' width
_MARGINS = (0.006, 0.012)  # metres kept beside that, drawn per episode
_HEIGHTS = (0.036, 0.052)  # metres: of the tool centre point, drawn per episode
_OVERLAP = 0.0036  # metres from the target's top: finger tips, 8.6 mm lower, then meet it 5 mm below its top
_SQUEEZE = 0.003  # the margin where that one leaves no way
_SHORT = (0.055, 0.090)  # metres before the target where one who gives up stops
_STAY = 0.4  # share of unsafe failures that stop at the obstacle; the others go back
_NEAR, _ARRIVED, _SLOW = 0.008, 0.004, 0.03  # metres: waypoint passed, goal reached, and from where it goes slower
_ACCELERATION = 0.22  # largest change of the action per step
_DEAD_BAND = 0.04  # smallest action that the puck passes on
_PAUSE = 0.015  # chance per step
_REVERSION, _NOISE = 0.35, np.array([0.09, 0.09, 0.06, 0.05, 0.05, 0.07])  # Ornstein-Uhlenbeck, per step
_WOBBLE = 0.002  # metres: waypoints are hit no better
_GAIN = 0.5  # share of an error in height or tilt corrected per step


def outcome(rewarded: bool, violated: bool) -> str:
    """The class of an episode in which there was, or was not, any reward and any cost."""
    return f"{'unsafe' if violated else 'safe'}-{'success' if rewarded else 'failure'}"


def balanced_seeds(env: gymnasium.Env[Any, Any], intention: str, seed: int, rank: int) -> Iterator[int]:
    """Reset seeds that give the layout due to episode number ``rank`` of a class, without end.

    Every class goes through all layouts in an order of its own before any comes again. The seeds are 2**31 and above,
    far from those of evaluations.
    """
    task, stream = _reach(env).task, list(PROPORTIONS).index(intention)
    possible = layouts(task.obstacles)
    rounds, turn = divmod(rank, len(possible))
    due = possible[np.random.default_rng([seed, stream, rounds]).permutation(len(possible))[turn]]
    for attempt in itertools.count():
        drawn = int(np.random.SeedSequence([seed, stream, rank, attempt]).generate_state(1)[0]) | 2**31
        if draw_layout(task, np.random.default_rng(drawn)) == due:
            yield drawn


class Teleoperator:
    """Acts in SafeReach as a person with a 3-D mouse who means to make an episode of one class.

    What comes out may be of another class: the label of an episode is what happened in it.
    """

    def __init__(self, seed: int, intention: str | None = None) -> None:
        """``intention`` is one of ``PROPORTIONS``; without one each episode draws its own, in these proportions."""
        self.name = intention or "teleoperator"
        self._intention = intention
        self._rng = np.random.default_rng(seed)

    def reset(self, env: gymnasium.Env[Any, Any]) -> None:
        """Looks at the scene, draws the episode's character, and plans."""
        rng, state = self._rng, _reach(env).situation()
        self._margin = rng.uniform(*_MARGINS)
        plan = self._plan(state)
        self._ahead = plan + _WOBBLE * rng.uniform(-1, 1, plan.shape)  # waypoints still to be passed
        self._speed = rng.uniform(0.55, 0.95)
        ceiling = min(_HEIGHTS[1], 2 * state["task"].target.half_height + _OVERLAP)
        self._posture = np.array([rng.uniform(_HEIGHTS[0], ceiling), *rng.uniform(-1, 1, 3) * (0.03, 0.03, 0.06)])
        self._waiting = int(rng.integers(6))
        self._last, self._noise = np.zeros(2), np.zeros(6)

    def act(self, env: gymnasium.Env[Any, Any]) -> np.ndarray:
        """Action (6,) float32: follows the plan, and rests at its end or after touching the target."""
        rng, state = self._rng, _reach(env).situation()
        self._noise += -_REVERSION * self._noise + _NOISE * rng.standard_normal(6)
        if rng.random() < _PAUSE:
            self._waiting = int(rng.integers(2, 5))
        pose, steps = state["pose"], SPEED * state["seconds"]
        wanted = self._steer(pose[:2], steps[0])
        if state["success"] or wanted is None or self._waiting:
            self._waiting = max(self._waiting - 1, 0)
            self._last = np.zeros(2)
            return np.zeros(6, np.float32)
        change = wanted - self._last
        self._last = self._last + change * min(1.0, _ACCELERATION / max(float(np.linalg.norm(change)), 1e-9))
        upright = np.clip(_GAIN * (self._posture - pose[2:]) / steps[2:], -1, 1)
        action = np.clip(np.concatenate([self._last, upright]) + self._noise, -1, 1)
        action[np.abs(action) < _DEAD_BAND] = 0.0
        return action.astype(np.float32)

    def _steer(self, place: np.ndarray, step: float) -> np.ndarray | None:
        """Wanted action (2,) in the plane from where the finger tips are, None at the end of the way."""
        while len(self._ahead) > 1 and np.linalg.norm(self._ahead[0] - place) < _NEAR:
            self._ahead = self._ahead[1:]
        offset = self._ahead[0] - place
        distance = float(np.linalg.norm(offset))
        if distance < _ARRIVED:
            return None
        speed = self._speed * min(1.0, max(distance / _SLOW, 0.3))
        return offset / distance * min(speed, distance / step)

    def _plan(self, state: dict[str, Any]) -> np.ndarray:
        """Waypoints (K, 2) for the intention."""
        rng, layout = self._rng, state["layout"]
        intention = self._intention or rng.choice(list(PROPORTIONS), p=_normalised(PROPORTIONS))
        start, target, obstacles = state["pose"][:2], TARGETS[layout.target], PLACES[list(layout.obstacles)]
        self._keep = state["task"].obstacle.half_width + _FINGER
        if intention == "safe-success":
            return self._way(start, target, obstacles)
        if intention == "safe-failure":
            return self._fail_safely(start, layout.target, obstacles)
        chosen = int(rng.integers(len(obstacles)))
        others = np.delete(obstacles, chosen, axis=0)
        into = self._way(start, obstacles[chosen], others)
        if intention == "unsafe-success":
            return np.concatenate([into, self._way(obstacles[chosen], target, others)])
        if rng.random() < _STAY:
            return into
        return np.concatenate([into, start[None] + rng.uniform(-0.02, 0.02, (1, 2))])

    def _fail_safely(self, start: np.ndarray, target: int, obstacles: np.ndarray) -> np.ndarray:
        """Stops short, goes to another place than the target's, or dithers near the start."""
        rng, kind = self._rng, int(self._rng.integers(3))
        if kind == 0:
            return _shortened(start, self._way(start, TARGETS[target], obstacles), rng.uniform(*_SHORT))
        if kind == 1:
            wrong = TARGETS[rng.choice(np.delete(np.arange(len(TARGETS)), target))]
            return self._way(start, wrong, np.concatenate([obstacles, TARGETS[[target]]]))
        return start + rng.uniform(-1, 1, (12, 2)) * (0.015, 0.025)

    def _way(self, start: np.ndarray, goal: np.ndarray, obstacles: np.ndarray) -> np.ndarray:
        """The shortest way with the episode's margin; where there is none it squeezes through, or goes straight."""
        for margin in (self._margin, _SQUEEZE):
            way = route(start, goal, obstacles, self._keep + margin)
            if way is not None:
                return way
        return goal[None]


def _reach(env: gymnasium.Env[Any, Any]) -> Any:
    """The environment itself; InputError unless it is SafeReach."""
    if not hasattr(env.unwrapped, "situation"):
        raise InputError(f"the teleoperator acts in SafeReach only, not in {env.unwrapped}.")
    return env.unwrapped


def _normalised(counts: dict[str, int]) -> np.ndarray:
    numbers = np.array(list(counts.values()))
    return numbers / numbers.sum()


def _shortened(start: np.ndarray, way: np.ndarray, cut: float) -> np.ndarray:
    """A way without its last ``cut`` metres."""
    points = np.concatenate([start[None], way])
    while len(points) > 2 and (length := float(np.linalg.norm(points[-1] - points[-2]))) < cut:
        points, cut = points[:-1], cut - length
    end = points[-1] - points[-2]
    return np.concatenate([points[1:-1], (points[-1] - end * min(1.0, cut / np.linalg.norm(end)))[None]])
