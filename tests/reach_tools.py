"""What the SafeReach tests share: steering by poses, and a backend that plays recorded readings."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from fosp.envs import make_env
from fosp.envs.reach.backend import Events
from fosp.envs.reach.simulation import SimulatedArm

STEP = np.array([0.01, 0.01, 0.01, 0.03, 0.03, 0.03])  # metres and radians that an action of 1 asks for


def reach_env(task="SafeReach", observation="vector", **arguments):
    return make_env(f"{task}-v0", observation=observation, **arguments)


def towards(env, *waypoints, steps=80, gain=1.0):
    """Steps of an episode that steers straight to one waypoint (x, y, z in metres) after another, then stays."""
    ahead, results = [np.array(point) for point in waypoints], []
    for _ in range(steps):
        pose = env.unwrapped.situation()["pose"]
        while len(ahead) > 1 and np.linalg.norm(ahead[0] - pose[:3]) < 0.006:
            ahead.pop(0)
        wanted = np.concatenate([ahead[0] - pose[:3], -pose[3:]]) / STEP
        results.append(env.step(gain * wanted / max(1.0, np.abs(wanted).max())))
    return results


def column(results, name):
    """One entry of the infos of all steps."""
    return np.array([info[name] for *_, info in results])


@dataclass
class Reading:
    position: np.ndarray
    rotation: np.ndarray
    picture: np.ndarray
    events: Events


class Recorder(SimulatedArm):
    """The simulation, noting everything that it lets the environment see."""

    def __init__(self, *arguments: Any, **settings: Any) -> None:
        super().__init__(*arguments, **settings)
        self.readings: list[Reading] = []

    def reset(self, layout, rng):
        super().reset(layout, rng)
        self._note()

    def command(self, position, rotation):
        super().command(position, rotation)
        self._note()

    def _note(self):
        self.readings.append(Reading(*self.tcp(), self.picture(), self.events()))


@dataclass
class Replayed:
    """A backend that has no physics and gives recorded readings, one after each command."""

    readings: list[Reading]
    control_hz: float = 10.0
    real_time: bool = False
    at: int = 0
    commands: list[np.ndarray] = field(default_factory=list)
    stopped: bool = False

    def reset(self, layout, rng):
        self.at = 0

    def tcp(self):
        return self.readings[self.at].position, self.readings[self.at].rotation

    def picture(self):
        return self.readings[self.at].picture

    def command(self, position, rotation):
        self.at += 1
        self.commands.append(position)

    def events(self):
        return self.readings[self.at].events

    def stop(self):
        self.stopped = True

    def facts(self):
        return {"camera": "recorded"}

    def close(self):
        self.readings.clear()
