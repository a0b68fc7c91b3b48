"""From words on the command line to a call: every setting of `Config` is a flag under its own name."""

from __future__ import annotations

import dataclasses
import functools
import inspect
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, Any

import tyro

from fosp.config import Config, env_config, load_config, preset
from fosp.errors import InputError

Settings = Annotated[tyro.conf.FlagConversionOff[Config], tyro.conf.arg(name="")]
"""Type of a parameter `config` whose fields are flags: --seed, --env.id, --behaviour.insample False, ..."""
From = Annotated[Path, tyro.conf.arg(name="from")]
"""Type of a parameter `from_` that is the flag --from; `from` is a word of Python's."""

_SHORT = {"--env": "--env.id", "--observation": "--env.observation", "--action_repeat": "--env.action_repeat"}
"""The words that `fosp collect` has for these, so that one habit serves all verbs."""


def call(function: Callable[..., Any], name: str, words: Sequence[str]) -> Any:
    """Call a verb's function with what `words` say.

    A parameter `config` starts from the run given by --from or resumed by --run, else from --preset; single flags then
    override it. Raises `InputError` where those cannot be read; usage errors exit with code 2.
    """
    words, verb = list(words), function
    if "config" in inspect.signature(function).parameters:
        words = [_spell_out(word) for word in words]
        config = starting_config(words)
        if (option(words, "--agent") or config.agent) == "safe_dreamer":
            for own in ("penalty", "multiplier_limit"):
                if option(words, f"--behaviour.{own}"):
                    raise InputError(f"safe_dreamer does not read --behaviour.{own}: set --safe_dreamer.{own}.")
        verb = functools.partial(function, config=config)
    return tyro.cli(verb, prog=f"fosp {name}", args=words, use_underscores=True, config=(tyro.conf.FlagCreatePairsOff,))


def _spell_out(word: str) -> str:
    flag, equals, value = word.partition("=")
    return _SHORT.get(flag, flag) + equals + value


def starting_config(words: Sequence[str]) -> Config:
    """Settings before single flags are applied: those of a run, else of a preset and of the environment."""
    run, chosen = option(words, "--run") if "--resume" in words else option(words, "--from"), option(words, "--preset")
    if run is None:
        config, env_id, dataset = preset(chosen or "laptop"), option(words, "--env.id"), option(words, "--dataset")
        if env_id is not None:
            return dataclasses.replace(config, env=env_config(env_id))
        if dataset is not None and Path(dataset).exists():
            _check_recorded_in(config.env.id, Path(dataset))
        return config
    config = load_config(Path(run) / "config.yaml")
    if chosen not in (None, config.preset):
        raise InputError(f"--preset {chosen} contradicts {run}, whose settings are taken over: leave --preset out.")
    return config


def _check_recorded_in(env_id: str, path: Path) -> None:
    """Raise `InputError` where a dataset was recorded elsewhere than in the default environment, and none is named. The
    dataset's is not taken unasked: it may be a robot, which an evaluation would set in motion."""
    from fosp.data import Dataset

    recorded = Dataset(path).metadata.get("env_id")
    if recorded is None:
        raise InputError(f"{path} does not say where it was recorded: add --env with the environment to evaluate in.")
    if recorded.removeprefix("fosp/") != env_id:
        raise InputError(
            f"{path} was recorded in {recorded}, but no environment is named, and evaluations would be in {env_id}: "
            f"add --env {recorded}, or another that is like it."
        )


def option(words: Sequence[str], name: str) -> str | None:
    """Value of ``--name value`` or ``--name=value``, None where it is not given."""
    for i, word in enumerate(words):
        if word == name and i + 1 < len(words):
            return words[i + 1]
        if word.startswith(f"{name}="):
            return word.partition("=")[2]
    return None
