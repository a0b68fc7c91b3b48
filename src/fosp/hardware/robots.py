"""Robots by the file that describes them: `franka:arm.yaml`, `lerobot:arm.yaml`, wherever an environment has an id.

The first holds `fosp.hardware.franka.FrankaSettings`. The second names a function of the user's, importable from the
directory of the file, that makes the environment, as in ``make: my_arm:make_environment`` and
``arguments: {port: /dev/ttyACM0}``; it is also told the wanted ``observation``.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import Any

import gymnasium

from fosp.envs.foreign import ForeignEnv
from fosp.envs.reach.env import ReachEnv
from fosp.errors import InputError
from fosp.hardware.franka import FrankaBackend, FrankaSettings
from fosp.settings import build_settings, check_settings, read_yaml


@dataclass(frozen=True, kw_only=True)
class MadeByUser:
    """What a robot file says of a robot that the user's own code opens."""

    make: str
    """`module:function`."""
    arguments: dict = field(default_factory=dict)
    """Of the function."""

    def __post_init__(self) -> None:
        check_settings(self)


KINDS: dict[str, type] = {"franka": FrankaSettings, "lerobot": MadeByUser}


def open_robot(env_id: str, observation: str, action_repeat: int = 1) -> gymnasium.Env[dict[str, Any], Any]:
    """The robot's environment; raises `InputError` naming what is wrong in its file, or what does not answer."""
    kind, _, name = env_id.partition(":")
    path = Path(name)
    data = read_yaml(path, f"an id such as {kind}:arm.yaml names the file that describes the robot")
    try:
        settings = build_settings(KINDS[kind], data, str(path))
    except InputError as error:
        raise InputError(str(error) if str(path) in str(error) else f"{path}: {error}") from None
    if isinstance(settings, FrankaSettings):
        return ReachEnv(settings.task, observation, action_repeat, backend=FrankaBackend(settings))
    return ForeignEnv(_made_by_user(settings, path, observation), env_id, observation, action_repeat)


def _made_by_user(settings: MadeByUser, path: Path, observation: str) -> gymnasium.Env[Any, Any]:
    module, _, name = settings.make.partition(":")
    if str(path.parent.resolve()) not in sys.path:
        sys.path.insert(0, str(path.parent.resolve()))
    try:
        make = getattr(import_module(module), name)
    except (ImportError, ValueError, AttributeError) as error:
        raise InputError(f"{path}: make is '{settings.make}', which gives no function ({error}).") from None
    env = make(observation=observation, **settings.arguments)
    if not isinstance(env, gymnasium.Env):
        raise InputError(f"{path}: {settings.make} returned {env!r}, not a Gymnasium environment.")
    return env
