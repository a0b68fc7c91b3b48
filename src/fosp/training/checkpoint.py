"""Checkpoints: weights and optimiser moments as safetensors, everything else as JSON; atomic, without pickle.

A checkpoint is the directory ``checkpoint/`` of a run, holding ``model.safetensors`` and ``state.json``. It is written
beside the old one and takes its place in one rename, so that a full disk or a kill leaves the previous one whole.
"""

from __future__ import annotations

import base64
import json
import os
import shutil
import textwrap
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from fosp.agents.base import Agent, ModelBasedAgent
from fosp.config import Config, flatten, load_config
from fosp.data.storage import read_jsonl, replacing
from fosp.errors import InputError, Notice

CHECKPOINT_VERSION = 1
_SIZED = ("world_model.", "behaviour.", "dreamer.", "recovery_rl.", "safe_dreamer.variant")
"""How the names of settings begin that give tensors their shapes."""
_DIRECTORY, _METRICS, _EVALUATIONS = "checkpoint", "metrics.jsonl", "evaluations.jsonl"


def save_checkpoint(run: Path, agent: Agent, loop: dict[str, Any], sampler: np.random.Generator | None = None) -> None:
    """Write agent, optimisers, random state and the loop's own counters under ``run``.

    Args:
        run: run directory.
        agent: whose state is saved.
        loop: JSON-serialisable counters of the training loop.
        sampler: the generator of replay windows.

    Raises:
        InputError: a weight is not finite, or the disk is full or not writable; the previous checkpoint is untouched.
    """
    if spoilt := [name for name, value in agent.named_parameters() if not torch.isfinite(value).all()]:
        raise InputError(
            f"Training in {run} has diverged: {spoilt[0]} is not finite. The checkpoint of before is intact; look at "
            "its metrics, and begin another run with smaller learning rates."
        )
    target, fresh, old = run / _DIRECTORY, run / f"{_DIRECTORY}.new", run / f"{_DIRECTORY}.old"
    tensors = {f"agent/{name}": value for name, value in agent.state_dict().items()}
    for group, optimiser in agent.optimisers.items():
        for index, moments in optimiser.adam.state_dict()["state"].items():
            tensors |= {f"optimiser/{group}/{index}/{name}": value for name, value in moments.items()}
    state = {
        "version": CHECKPOINT_VERSION,
        "agent": agent.config.agent,
        "spaces": {name: list(shape) for name, shape in agent.spaces.items()},
        "actions": agent.actions,
        "loop": loop,
        "generator": base64.b64encode(agent.generator.get_state().numpy().tobytes()).decode(),
        "sampler": sampler.bit_generator.state if sampler is not None else None,
        "logged": (run / _METRICS).stat().st_size if (run / _METRICS).exists() else 0,
    }
    try:
        shutil.rmtree(fresh, ignore_errors=True)
        fresh.mkdir(parents=True)
        save_file(
            {name: value.detach().cpu().contiguous() for name, value in tensors.items()}, fresh / "model.safetensors"
        )
        (fresh / "state.json").write_text(json.dumps(state))
        for name in ("model.safetensors", "state.json"):
            with open(fresh / name, "rb") as file:
                os.fsync(file.fileno())
        if target.exists():  # else a save died between the two renames, and `old` is the checkpoint
            shutil.rmtree(old, ignore_errors=True)
            target.rename(old)
        fresh.rename(target)
        shutil.rmtree(old, ignore_errors=True)
    except (OSError, SafetensorError) as error:
        shutil.rmtree(fresh, ignore_errors=True)
        if old.exists() and not target.exists():
            old.rename(target)
        raise InputError(
            f"The checkpoint could not be written to {run} ({error}); free some space and resume: "
            "the previous checkpoint is intact."
        ) from error


def has_checkpoint(run: Path) -> bool:
    """Whether `run` holds a checkpoint."""
    return _locate(run) is not None


def checkpoint_info(run: Path) -> dict[str, Any]:
    """The JSON part of a checkpoint; raises `InputError` where there is none or it cannot be read."""
    directory = _locate(run)
    if directory is None:
        raise InputError(f"{run} holds no checkpoint; pretrain first, or give another run directory.")
    try:
        state = json.loads((directory / "state.json").read_text())
    except (OSError, ValueError) as error:
        raise InputError(f"{directory / 'state.json'} cannot be read ({error}); the checkpoint is damaged.") from None
    if state.get("version") != CHECKPOINT_VERSION:
        raise InputError(
            f"{directory} has version {state.get('version')}, this fosp reads version {CHECKPOINT_VERSION}."
        )
    return state


def verb_of(run: Path) -> str:
    """The verb of the command line that made the checkpoint in `run`."""
    loop = checkpoint_info(run)["loop"]
    if loop["phase"] == "offline":
        return "pretrain"
    return "finetune" if loop.get("datasets") else "train"


def share_done(run: Path) -> float:
    """How much of its budget `run` has behind it, from 0 to 1; 1 only when its last evaluation is there, too."""
    if not has_checkpoint(run):
        return 0.0
    loop, training = checkpoint_info(run)["loop"], load_config(run / "config.yaml").training
    if loop["phase"] == "offline":
        budget = training.updates_without_behaviour + training.offline_updates
        done, evaluated = loop["update"], loop["evaluated"] == loop["update"]
    else:
        counters = loop["counters"]
        done, budget = counters["frames"], training.online_frames
        evaluated = counters.get("evaluated_frames", -1) == done or not training.evaluation_episodes
    return 1.0 if done >= budget and evaluated else min(done / max(budget, 1), 0.99)


def notice_unfinished(run: Path) -> None:
    """Give a `Notice` where the training of `run` was stopped before its end."""
    if (share := share_done(run)) < 1:
        warnings.warn(
            f"{run} has {share:.0%} of its training behind it; unless it is in training now, "
            f"fosp {verb_of(run)} --run {run} --resume does the rest.",
            Notice,
            stacklevel=2,
        )


def rewind_logs(run: Path) -> None:
    """Cut the logs of `run` back to its checkpoint: what came after will be done, and logged, again.

    Metrics go back to the length they had. Of the evaluations only those of later updates go, since others than the
    loop may have evaluated the checkpoint meanwhile.
    """
    state: dict[str, Any] = checkpoint_info(run) if has_checkpoint(run) else {"logged": 0, "loop": {"update": 0}}
    metrics, evaluations = run / _METRICS, run / _EVALUATIONS
    if metrics.exists():
        size = metrics.stat().st_size
        os.truncate(metrics, min(size, state.get("logged", size)))
    if evaluations.exists():
        rows = read_jsonl(evaluations)
        kept = [row for row in rows if row.get("update", 0) <= state["loop"]["update"]]
        if kept != rows or not evaluations.read_text().endswith("\n"):
            with replacing(evaluations) as file:
                file.write("".join(f"{json.dumps(row)}\n" for row in kept).encode())


def load_checkpoint(
    run: Path, agent: Agent, sampler: np.random.Generator | None = None, *, optimisers: bool = True
) -> dict[str, Any]:
    """Restore `agent` (and `sampler`) from ``run``; returns the loop's counters.

    Raises:
        InputError: the checkpoint is missing or damaged, or of another agent, observation or action space.
    """
    state = checkpoint_info(run)
    where = f"The checkpoint in {run}"
    if state["agent"] != agent.config.agent:
        raise InputError(
            f"{where} is of agent '{state['agent']}', not '{agent.config.agent}'; give a run of that agent."
        )
    spaces = {name: tuple(shape) for name, shape in state["spaces"].items()}
    if spaces != agent.spaces or state["actions"] != agent.actions:
        raise InputError(
            f"{where} is for observations {spaces} and {state['actions']} actions, but here they are {agent.spaces} "
            f"and {agent.actions}; use the environment and observation it was trained with."
        )
    path = (_locate(run) or run) / "model.safetensors"
    try:
        tensors = load_file(path)
        if bool(tensors["agent/online"]) if "agent/online" in tensors else False:
            agent.start_online()
        agent.load_state_dict({n.removeprefix("agent/"): t for n, t in tensors.items() if n.startswith("agent/")})
        if optimisers:
            for group in agent.optimisers:
                _restore_optimiser(agent, group, tensors)
    except (OSError, SafetensorError, KeyError, RuntimeError) as error:
        if isinstance(error, RuntimeError) and (other := _other_settings(run, agent.config)):
            raise InputError(f"{where} has sizes of other settings than these ({other}): leave them.") from None
        what = textwrap.shorten(str(error), 160)
        raise InputError(f"{path} does not fit its settings or is damaged: {what}") from None
    saved = np.frombuffer(base64.b64decode(state["generator"]), np.uint8)
    if len(saved) == len(agent.generator.get_state()):
        agent.generator.set_state(torch.from_numpy(saved.copy()))
    elif sampler is not None:
        warnings.warn(
            f"{where} was written on another kind of device: its random numbers do not go on on {agent.device}.",
            Notice,
            stacklevel=2,
        )
    if sampler is not None and state["sampler"] is not None:
        sampler.bit_generator.state = state["sampler"]
    return state["loop"]


def _other_settings(run: Path, config: Config) -> str:
    """Settings that give tensors their shapes and differ from those that `run` was made with."""
    made, now = dict(flatten(load_config(run / "config.yaml"))), dict(flatten(config))
    return "; ".join(f"{n} {now[n]}, not {made[n]}" for n in made if n.startswith(_SIZED) and made[n] != now[n])


def load_world_model(run: Path, agent: ModelBasedAgent) -> None:
    """Give `agent` the world model of the checkpoint in ``run``, of whatever agent it is, and its optimiser's moments.

    Without the moments, the first updates of fine-tuning would be Adam's full steps in every direction, and an actor
    that was trained on the model's states would no longer know them.

    Raises:
        InputError: the checkpoint is missing or damaged, or its world model has other sizes.
    """
    checkpoint_info(run)
    path, prefix = (_locate(run) or run) / "model.safetensors", "agent/world_model."
    try:
        tensors = load_file(path)
        agent.world_model.load_state_dict(
            {n.removeprefix(prefix): t for n, t in tensors.items() if n.startswith(prefix)}
        )
        _restore_optimiser(agent, "world_model", tensors)
    except (OSError, SafetensorError, RuntimeError) as error:
        reason = " ".join(str(error).split())[:300]
        raise InputError(
            f"The world model in {path} cannot be taken over ({reason}): it must have the observations, actions and "
            "world_model settings of this run."
        ) from None


def _restore_optimiser(agent: Agent, group: str, tensors: dict[str, torch.Tensor]) -> None:
    prefix = f"optimiser/{group}/"
    moments: dict[int, dict[str, torch.Tensor]] = {}
    for name, value in tensors.items():
        if name.startswith(prefix):
            index, field = name.removeprefix(prefix).split("/")
            moments.setdefault(int(index), {})[field] = value
    adam = agent.optimisers[group].adam
    for number, parameter in enumerate(adam.param_groups[0]["params"]):
        saved = moments.get(number, {})
        for moment, value in saved.items():
            if value.shape == parameter.shape:  # in the parameter's own memory layout, as fused Adam on a GPU asks for
                saved[moment] = torch.empty_like(parameter).copy_(value)
    adam.load_state_dict({**adam.state_dict(), "state": moments})


def _locate(run: Path) -> Path | None:
    """The newest whole checkpoint: between the two renames of a save, the old one still counts."""
    for name in (_DIRECTORY, f"{_DIRECTORY}.old"):
        if (run / name / "state.json").exists():
            return run / name
    return None
