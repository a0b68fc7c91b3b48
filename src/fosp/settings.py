"""Dataclasses of settings: from YAML, with one clear error for what is unknown, missing, of the wrong type or range."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Literal, get_args, get_origin, get_type_hints

import yaml

from fosp.errors import InputError


def read_yaml(path: Path, absent: str) -> dict[str, Any]:
    """The mapping in a YAML file; raises `InputError`, with what it means that the file is absent."""
    try:
        data = yaml.safe_load(path.read_text())
    except FileNotFoundError:
        raise InputError(f"{path} is missing: {absent}.") from None
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path} cannot be read: {error}.") from None
    except yaml.YAMLError as error:
        raise InputError(f"{path} is not valid YAML: {error}.") from None
    if not isinstance(data, dict):
        raise InputError(f"{path} holds no settings; it must be a mapping of names to values.")
    return data


def build_settings(kind: type, data: Mapping[str, Any], where: str) -> Any:
    """A dataclass of settings from a mapping; raises `InputError` naming an unknown, missing or wrong one.

    Args:
        kind: the dataclass.
        data: values by name.
        where: the file they come from.
    """
    hints = _hints(kind)
    for name in data:
        if name not in hints:
            raise InputError(f"{where} has an unknown setting '{name}'; remove it or correct its name.")
    values = {}
    for name, value in data.items():
        nested = dataclasses.is_dataclass(hints[name])
        if nested and not isinstance(value, Mapping):
            raise InputError(f"{where}: '{name}' must be a mapping of settings.")
        if isinstance(value, list):  # YAML knows no tuples
            value = tuple(value)
        values[name] = build_settings(hints[name], value, f"{where}: {name}") if nested else value
    for item in dataclasses.fields(kind):
        if item.default is item.default_factory is dataclasses.MISSING and item.name not in values:
            raise InputError(f"{where} lacks '{item.name}'.")
    try:
        return kind(**values)
    except InputError as error:
        raise InputError(f"{where}: {error}") from None


@functools.cache
def _hints(kind: Any) -> dict[str, Any]:
    return get_type_hints(kind)


def check_settings(config: Any, where: str = "") -> None:
    """Raise `InputError` where a value has the wrong type or lies outside its range."""
    hints = _hints(config.__class__)
    for item in dataclasses.fields(config):
        name, value, hint = where + item.name, getattr(config, item.name), hints[item.name]
        if dataclasses.is_dataclass(hint):
            check_settings(value, f"{name}.")
        elif get_origin(hint) is Literal:
            if value not in get_args(hint):
                choices = ", ".join(map(str, get_args(hint)))
                raise InputError(f"Setting {name} is '{value}'; choose one of {choices}.")
        elif hint is float and (isinstance(value, bool) or not isinstance(value, int | float)):
            raise InputError(f"Setting {name} must be a number, not '{value}'.")
        elif get_origin(hint) is tuple:
            if not isinstance(value, tuple) or any(type(item) is not int or item < 0 for item in value):
                raise InputError(f"Setting {name} must be a list of whole numbers from 0 on, not '{value}'.")
        elif hint in (int, str, bool) and type(value) is not hint:
            raise InputError(f"Setting {name} must be of type {hint.__name__}, not '{value}'.")
        if hint in (int, float):
            allowed = _RANGES.get(item.name, _NOT_NEGATIVE)
            if not _HOLDS[allowed](value):
                raise InputError(f"Setting {name} is {value}, outside its range {allowed}.")


_UNIT, _BELOW_ONE, _INSIDE = "[0, 1]", "[0, 1)", "(0, 1)"
_NOT_NEGATIVE, _POSITIVE, _AT_LEAST_ONE = ">= 0", "> 0", ">= 1"
_HOLDS: dict[str, Callable[[float], bool]] = {
    _UNIT: lambda value: 0 <= value <= 1,
    _BELOW_ONE: lambda value: 0 <= value < 1,
    _INSIDE: lambda value: 0 < value < 1,
    _NOT_NEGATIVE: lambda value: value >= 0,
    _POSITIVE: lambda value: value > 0,
    _AT_LEAST_ONE: lambda value: value >= 1,
}
_RANGES = {
    "gamma": _BELOW_ONE,
    "lambda_": _UNIT,
    "lookahead_lambda": _UNIT,
    "reward_expectile": _UNIT,
    "cost_expectile": _UNIT,
    "reach_gamma": _UNIT,
    "reach_initial": _INSIDE,
    "unimix": _UNIT,
    "slow_critic_rate": _UNIT,
    "plan_momentum": _UNIT,
    "threshold": _UNIT,
    "risk_gamma": _UNIT,
    "advantage_lambda": _UNIT,
    "cooldown": _UNIT,
    "online_weight": _AT_LEAST_ONE,
} | dict.fromkeys(
    (
        "action_repeat",
        "time_limit",
        "deterministic",
        "latents",
        "classes",
        "units",
        "cnn_depth",
        "horizon",
        "candidates",
        "lookahead_samples",
        "start_every",
        "batch_size",
        "sequence_length",
        "environments",
        "replay_steps",
        "plan_horizon",
        "plan_samples",
        "temperature",
        "plan_elites",
        "plan_iterations",
        "episodes",
        "epochs",
        "minibatch",
        "trust_region",
        "damping",
        "conjugate_steps",
        "line_search",
        "log_every",
        "checkpoint_every",
        "prefill_episodes",
        "train_ratio",
        "penalty",
    ),
    _POSITIVE,
)
