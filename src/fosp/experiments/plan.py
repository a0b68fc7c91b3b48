"""From a declared grid to its stages: pure, so that it can be looked at before anything runs."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from fosp.agents import AGENTS
from fosp.config import Config, change, env_config, preset
from fosp.envs.behaviours import BEHAVIOURS
from fosp.errors import InputError
from fosp.experiments.grids import (
    GRIDS,
    MODEL_SETTINGS,
    ONLINE_ONLY,
    SCALES,
    STANDARD,
    TELEOPERATED,
    TRAJECTORIES,
    Grid,
    Row,
    short,
)
from fosp.experiments.stages import Collect, Finetune, Mix, Online, Pretrain, Reference, Stage, Train, WorldModel
from fosp.training.evaluation import behaviour_label
from fosp.training.online import without_offline_actor


class Runs(NamedTuple):
    """The runs of one row and seed; None where the row has no such phase."""

    offline: Pretrain | Reference | None
    online: Online | None


def find(names: Sequence[str]) -> list[Grid]:
    """The grids of these names; raises `InputError` for an unknown one, or where there is none."""
    if not names:
        raise InputError(f"no experiment is named: choose of {', '.join(GRIDS)}.")
    unknown = [name for name in names if name not in GRIDS]
    if unknown:
        raise InputError(f"there is no experiment '{unknown[0]}': choose of {', '.join(GRIDS)}.")
    return [GRIDS[name] for name in names]


def seeds_of(scale: str, seeds: Sequence[int] = ()) -> tuple[int, ...]:
    """The seeds asked for, else those of the scale; raises `InputError` for an unknown scale."""
    if scale not in SCALES:
        raise InputError(f"there is no scale '{scale}': choose of {', '.join(SCALES)}.")
    return tuple(seeds) or tuple(range(SCALES[scale].seeds))


def budget(scale: str, online: bool = True) -> Config:
    """The settings of a scale, those of single rows aside; without those that are for online training only, if so."""
    return change(preset(scale), {**SCALES[scale].changes, **(SCALES[scale].online if online else {})})


def expand(grids: Sequence[Grid], scale: str, seeds: Sequence[int] = (), only: Sequence[str] = ()) -> list[Stage]:
    """Every stage of these grids once, each after those that it needs.

    Args:
        grids: what to run.
        scale: a key of `SCALES`.
        seeds: seeds of the runs (default: the scale's).
        only: words, one of which must occur in the name of one of a row's runs (default: every row).

    Raises:
        InputError: a grid names an agent or behaviour that does not exist, or no run's name has one of the words.
    """
    stages: dict[str, Stage] = {}
    for grid in grids:
        for row in grid.rows:
            _check_installed(grid, row)
            for seed in seeds_of(scale, seeds):
                made = runs(row, scale, seed)
                if _wanted(made, only):
                    for stage in _with_needs(row, scale, seed, made):
                        stages[stage.name] = _larger(stages.get(stage.name, stage), stage)
    if not stages:
        raise InputError(f"no run of {', '.join(grid.name for grid in grids)} has {' or '.join(only)} in its name.")
    return list(stages.values())


def narrow(grid: Grid, scale: str, seeds: Sequence[int], only: Sequence[str]) -> Grid:
    """The grid with those rows that `expand` takes for the same words; raises `InputError` where there are none."""
    rows = tuple(r for r in grid.rows if any(_wanted(runs(r, scale, seed), only) for seed in seeds_of(scale, seeds)))
    if not rows:
        raise InputError(f"no run of {grid.name} has {' or '.join(only)} in its name.")
    return dataclasses.replace(grid, rows=rows)


def _wanted(made: Runs, only: Sequence[str]) -> bool:
    return not only or any(word in stage.name for word in only for stage in made if stage)


def runs(row: Row, scale: str, seed: int) -> Runs:
    """The runs of one row and seed."""
    episodes = SCALES[scale].episodes
    if row.phases == "reported":
        return Runs(None, None)
    if row.phases == "reference":
        labelled = dataclasses.replace(row, agent=behaviour_label(row.agent))
        reference = Reference(
            name=f"runs/{row.agent}-{short(row.env)}",
            config=_config(labelled, scale, 0, row.env),
            episodes=episodes,
            behaviour=row.agent,
        )
        return Runs(reference, None)
    if row.phases == "online":
        config = without_offline_actor(_online(row, scale, seed, row.env))
        return Runs(None, Train(name=f"runs/{_name(row)}-direct-seed{seed}", config=config, episodes=episodes))
    before = dataclasses.replace(row, changes={k: v for k, v in row.changes.items() if k not in ONLINE_ONLY})
    offline = Pretrain(
        name=f"runs/{_name(before)}-offline-seed{seed}",
        after=(_dataset(row, scale).name, *(stage.name for stage in _model(row, scale, seed))),
        config=_offline(before, scale, seed),
        episodes=episodes,
    )
    if row.phases == "offline":
        return Runs(offline, None)
    elsewhere = f"-to-{short(row.target)}" if row.target else ""
    longer = f"-frames={row.frames:g}" if row.frames > 1 else ""
    online = Finetune(
        name=f"runs/{_name(row)}{elsewhere}-online{longer}-seed{seed}",
        after=(offline.name,),
        config=_online(row, scale, seed, row.target or row.env),
        episodes=episodes,
    )
    return Runs(offline, online)


def _check_installed(grid: Grid, row: Row) -> None:
    known: Mapping[str, Any] = BEHAVIOURS if row.phases == "reference" else AGENTS
    if row.phases != "reported" and row.agent not in known:
        raise InputError(f"experiment {grid.name} names '{row.agent}', which is not installed: {', '.join(known)} are.")


def _with_needs(row: Row, scale: str, seed: int, made: Runs) -> Iterator[Stage]:
    """The runs of a row after the stages that make their dataset and their world model."""
    if isinstance(made.offline, Pretrain):
        env = dataclasses.replace(made.offline.config.env, observation="both")
        models = list(_model(row, scale, seed))
        for dataset in (_dataset(row, scale), *(_dataset(_seen_by_model(row), scale) for _ in models)):
            for name, (behaviour, episodes) in zip(dataset.after, dataset.counts.items(), strict=True):
                yield Collect(name=name, env=env, behaviour=behaviour, episodes=episodes)
            yield dataset
        yield from models
    yield from (stage for stage in made if stage)


def _model(row: Row, scale: str, seed: int) -> Iterator[WorldModel]:
    """The world model that a row's agents share with others of its dataset and seed, where the scale has one.

    It is learned as any agent learns it, before there is a behaviour; `bc` has the least besides.
    """
    if updates := SCALES[scale].model_updates:
        its = {name: value for name, value in row.changes.items() if name.startswith(MODEL_SETTINGS)}
        before = dataclasses.replace(_seen_by_model(row), agent="bc", changes=its)
        alone = {
            "behaviour": preset(scale).behaviour,
            "training.model_updates": updates,
            "training.offline_updates": 0,
            "training.evaluate_every": 0,
        }
        yield WorldModel(
            name=f"models/{_name(before).removeprefix('bc-')}-seed{seed}",
            after=(_dataset(before, scale).name,),
            config=change(_config(before, scale, seed, row.env), {**alone, **row.model_changes}),
        )


def _seen_by_model(row: Row) -> Row:
    """The row with the data that its shared world model learns from."""
    return dataclasses.replace(row, data=row.model_data or row.data)


def _dataset(row: Row, scale: str) -> Mix:
    """The dataset of a row, at the scale's size, from the recordings of each behaviour."""
    counts = {name: max(1, round(count * SCALES[scale].data)) for name, count in row.data.items() if count}
    folder = f"datasets/{short(row.env)}"
    label = "-".join(f"{name}{count}" for name, count in counts.items())
    return Mix(name=f"{folder}/{label}", after=tuple(f"{folder}/{name}" for name in counts), counts=counts)


def _name(row: Row) -> str:
    """Agent, task, observation, and whatever is not as usual."""
    parts = [row.agent, short(row.env), row.observation]
    usual, data = (TRAJECTORIES, TELEOPERATED) if row.env == "SafeReach-v0" else ({}, STANDARD)
    parts += [f"{name.rpartition('.')[2]}={value}" for name, value in row.changes.items() if usual.get(name) != value]
    parts += [f"model_{name.rpartition('.')[2]}={value}" for name, value in row.model_changes.items()]
    if row.data != data:
        parts += [f"{name}{count}" for name, count in row.data.items() if count]
    return "-".join(parts)


def _config(row: Row, scale: str, seed: int, env: str, online: bool = False) -> Config:
    usual = {
        "agent": row.agent,
        "seed": seed,
        "env": dataclasses.replace(env_config(env), observation=row.observation),
    }
    return change(change(budget(scale, online), usual), row.changes)


def _offline(row: Row, scale: str, seed: int) -> Config:
    config = _config(row, scale, seed, row.env)
    every = config.training.offline_updates // SCALES[scale].evaluations
    return change(config, {"training.evaluate_every": max(1, every)})


def _online(row: Row, scale: str, seed: int, env: str) -> Config:
    config = change(_config(row, scale, seed, env, online=True), row.online)
    budget = config.training.online_frames
    marks = tuple(round(mark * budget) for mark in row.marks if mark < row.frames)
    frames = round(row.frames * budget)
    evaluations = {"training.evaluate_every": 0, "training.evaluate_at": marks}
    return change(config, {"training.online_frames": frames} | evaluations)


def _larger(one: Stage, other: Stage) -> Stage:
    """Of two recordings of one behaviour the longer; all other stages of one name are the same."""
    if isinstance(one, Collect) and isinstance(other, Collect):
        return max(one, other, key=lambda stage: stage.episodes)
    if one != other:
        raise ValueError(f"two different stages are named {one.name}")
    return one
