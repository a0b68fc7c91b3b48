"""Making environments by id."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import gymnasium

from fosp.envs.foreign import ForeignEnv
from fosp.envs.genuine import PREFIX, GenuineEnv
from fosp.envs.navigation.registry import TASKS
from fosp.envs.navigation.robots import ROBOTS
from fosp.envs.reach import tasks as reach
from fosp.envs.spaces import check_observation_kind
from fosp.errors import InputError

NAMESPACE = "fosp"
ROBOTS_BY_FILE = ("franka", "lerobot")
"""What may stand before the colon in ids of robots."""


@dataclass(frozen=True)
class EnvInfo:
    """One line of ``list_envs``.

    Attributes:
        id: what ``make_env`` takes.
        description: one line for people.
        vector_size: length of the vector observation.
        action_size: length of the action.
        costs: names of the cost entries beside ``cost``.
        frames: frames per episode.
        views: cameras, three channels of the image each.
    """

    id: str
    description: str
    vector_size: int
    action_size: int
    costs: tuple[str, ...]
    frames: int
    views: int


def _navigation_id(robot: str, task: str) -> str:
    return f"Safety{robot}{task}-v0"


def _reach_id(task: str) -> str:
    return f"{task}-v0"


def register_gymnasium() -> None:
    """Makes every task known to Gymnasium as ``fosp/<id>``; what is known already stays as it is."""
    for task, (_, robots) in TASKS.items():
        for robot in robots:
            _register(_navigation_id(robot, task), "navigation.env:NavigationEnv", {"task": task, "robot": robot})
    for task in reach.TASKS:
        _register(_reach_id(task), "reach.env:ReachEnv", {"task": task})


def _register(own_id: str, entry_point: str, arguments: dict[str, str]) -> None:
    env_id = f"{NAMESPACE}/{own_id}"
    if env_id not in gymnasium.registry:
        gymnasium.register(
            env_id,
            entry_point=f"fosp.envs.{entry_point}",
            kwargs=arguments,
            order_enforce=False,  # the environment enforces the order itself
            disable_env_checker=True,
        )


def list_envs() -> list[EnvInfo]:
    """Every environment of this package."""
    found = []
    for task, (task_class, robots) in TASKS.items():
        for name in robots:
            robot = ROBOTS[name]
            instance = task_class()
            found.append(
                EnvInfo(
                    id=_navigation_id(name, task),
                    description=f"{name}: {task_class.description}",
                    vector_size=robot.sensors + 16 * len(task_class.objects),
                    action_size=2,
                    costs=instance.cost_names(),
                    frames=task_class.step_limit,
                    views=2,
                )
            )
    return found + [
        EnvInfo(_reach_id(name), task.description, 6, 6, ("cost_obstacle",), reach.EPISODE_STEPS, views=1)
        for name, task in reach.TASKS.items()
    ]


def make_env(
    env_id: str,
    observation: str = "image",
    action_repeat: int | None = None,
    render_mode: str | None = None,
    **kwargs: Any,
) -> gymnasium.Env[dict[str, Any], Any]:
    """An environment of this package, or any registered Gymnasium environment whose info carries ``cost``.

    Args:
        env_id: ``SafetyPointGoal1-v0``, ``SafeReach-v0`` and so on (see ``list_envs``), with or without ``fosp/``
            before it, or the id of any Gymnasium environment, or ``safety_gymnasium:<id>`` for the original where it is
            installed, or a robot by the file that describes it, ``franka:arm.yaml`` or ``lerobot:arm.yaml`` (see
            ``fosp.hardware.robots``).
        observation: ``image``, ``vector`` or ``both``.
        action_repeat: frames per step (default: 1 in SafeReach, where nothing else is possible, and 4 elsewhere).
        render_mode: None or ``rgb_array``.
        **kwargs: further arguments of the environment, such as ``samples``, or ``profile`` of the navigation tasks.

    Returns:
        An environment whose observations are dictionaries with ``image`` (uint8, (H, W, 3 * views)) and/or ``vector``
        (float32, (D,)), whose actions lie in [-1, 1], and whose ``info`` has ``cost``, ``cost_<kind>`` and ``frames``.

    Raises:
        InputError: if the id is unknown or an argument cannot be used.
    """
    check_observation_kind(observation)
    repeat: dict[str, Any] = {} if action_repeat is None else {"action_repeat": action_repeat}
    if env_id.startswith(PREFIX):
        return GenuineEnv(env_id.removeprefix(PREFIX), observation, render_mode=render_mode, **repeat, **kwargs)
    if env_id.partition(":")[0] in ROBOTS_BY_FILE:
        from fosp.hardware.robots import open_robot  # as vendors' packages do: only where there is one

        if render_mode is not None:
            raise InputError("a robot has no view from outside: leave render_mode out.")
        return open_robot(env_id, observation, action_repeat or 1)
    register_gymnasium()
    own = env_id if env_id.startswith(f"{NAMESPACE}/") else f"{NAMESPACE}/{env_id}"
    if own in gymnasium.registry:
        if render_mode not in (None, "rgb_array"):
            raise InputError(f"render_mode={render_mode!r} is unknown: use 'rgb_array' or None.")
        return gymnasium.make(own, observation=observation, render_mode=render_mode, **repeat, **kwargs)
    try:
        # Some constructors know nothing of a render_mode.
        seen: dict[str, Any] = {} if render_mode is None else {"render_mode": render_mode}
        env = gymnasium.make(env_id, **seen, **kwargs)
    except (gymnasium.error.Error, ModuleNotFoundError) as error:
        raise InputError(
            f"environment {env_id!r} is unknown: use an id of `fosp envs` or one that Gymnasium knows ({error})."
        ) from error
    except TypeError as error:
        if render_mode is None or "render_mode" not in str(error):
            raise
        raise InputError(
            f"environment {env_id!r} takes no render_mode, so it cannot be seen from outside: give its constructor one."
        ) from error
    return ForeignEnv(env, env_id, observation, **repeat)


def make_env_unseen(env_id: str, action_repeat: int) -> gymnasium.Env[dict[str, Any], Any]:
    """An environment for a policy that does not look at its observations: with vectors, where it has them, since
    pictures take time to draw."""
    try:
        return make_env(env_id, "vector", action_repeat)
    except InputError:
        return make_env(env_id, "image", action_repeat)
