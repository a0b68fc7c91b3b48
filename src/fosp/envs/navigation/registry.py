"""Which tasks exist, and for which robots."""

from __future__ import annotations

from fosp.envs.navigation.robots import ROBOTS, Robot
from fosp.envs.navigation.task import Task
from fosp.envs.navigation.tasks.building_goal import BuildingGoal0, BuildingGoal1, BuildingGoal2
from fosp.envs.navigation.tasks.button import Button0, Button1, Button2
from fosp.envs.navigation.tasks.fading import (
    FadingEasy0,
    FadingEasy1,
    FadingEasy2,
    FadingHard0,
    FadingHard1,
    FadingHard2,
)
from fosp.envs.navigation.tasks.goal import Goal0, Goal1, Goal2
from fosp.envs.navigation.tasks.push import Push0, Push1, Push2
from fosp.envs.navigation.tasks.race import Race0, Race1, Race2
from fosp.errors import InputError

TASKS: dict[str, tuple[type[Task], tuple[str, ...]]] = {}


def register_task(task: type[Task], robots: tuple[str, ...] = ("Point", "Car")) -> None:
    """Makes a task known under its class name for these robots.

    Raises:
        InputError: if a robot is unknown.
    """
    unknown = [robot for robot in robots if robot not in ROBOTS]
    if unknown:
        raise InputError(f"robot {unknown[0]!r} is unknown: use one of {', '.join(ROBOTS)}.")
    TASKS[task.__name__] = (task, robots)


def get_task(task: str, robot: str) -> tuple[type[Task], Robot]:
    """The task and robot of these names; raises InputError where they do not exist together."""
    if task not in TASKS:
        raise InputError(f"task={task!r} is unknown: use one of {', '.join(TASKS)}.")
    task_class, robots = TASKS[task]
    if robot not in robots:
        raise InputError(f"robot={robot!r} does not exist for task {task!r}: use one of {', '.join(robots)}.")
    return task_class, ROBOTS[robot]


_POINT_AND_CAR: tuple[type[Task], ...] = (
    *(Goal0, Goal1, Goal2, Button0, Button1, Button2, Push0, Push1, Push2),
    *(FadingEasy0, FadingEasy1, FadingEasy2, FadingHard0, FadingHard1, FadingHard2),
    *(BuildingGoal0, BuildingGoal1, BuildingGoal2),
)
for _task in _POINT_AND_CAR:
    register_task(_task)
for _race in (Race0, Race1, Race2):
    register_task(_race, ("Point", "Car", "Racecar"))
