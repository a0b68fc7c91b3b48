"""Reads run directories: settings, metrics, evaluations and what the machine and the dataset were."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from fosp.config import Config, load_config
from fosp.data import Dataset
from fosp.data.storage import read_jsonl
from fosp.errors import InputError


@dataclass(frozen=True)
class Evaluation:
    """One line of ``evaluations.jsonl``."""

    phase: str
    update: int
    frames: int
    agent: str
    mode: str
    env: str
    observation: str
    seeds: tuple[int, ...]
    returns: tuple[float, ...]
    costs: tuple[float, ...]
    lengths: tuple[int, ...]
    cost_regret: float | None


@dataclass(frozen=True)
class DatasetSummary:
    """Return and cost of every episode of a dataset, with the behaviour that collected it."""

    name: str
    behaviours: tuple[str, ...]
    returns: tuple[float, ...]
    costs: tuple[float, ...]
    steps: int
    paths: tuple[str, ...] = ()
    """Where the datasets lie; () in summaries that were saved without it."""

    def save(self, path: Path) -> None:
        """Write as JSON."""
        path.write_text(json.dumps(dataclasses.asdict(self)))


@dataclass(frozen=True)
class Run:
    """One run directory, read; lists are empty and optional parts None where a file is absent."""

    path: Path
    config: Config
    metrics: list[dict[str, Any]] = field(default_factory=list)
    evaluations: list[Evaluation] = field(default_factory=list)
    machine: dict[str, str] | None = None
    dataset: DatasetSummary | None = None

    def series(self, phase: str, name: str) -> tuple[np.ndarray, np.ndarray]:
        """Metric `name` of `phase`: x (n,) updates offline, frames online; y (n,)."""
        rows = [row for row in self.metrics if row.get("phase") == phase and row.get(name) is not None]
        clock = "frames" if phase == "online" else "update"
        return np.array([row[clock] for row in rows], float), np.array([row[name] for row in rows], float)


def load_run(path: Path) -> Run:
    """Read a run directory; raises `InputError` naming the file and line that cannot be read."""
    config = load_config(path / "config.yaml")
    machine, dataset = path / "machine.json", path / "dataset.json"
    return Run(
        path,
        config,
        read_jsonl(path / "metrics.jsonl"),
        load_evaluations(path),
        _read_json(machine) if machine.exists() else None,
        load_summary(dataset) if dataset.exists() else None,
    )


def commits(machine: Path) -> list[str]:
    """By which commits a run has been made so far, of its ``machine.json``; none where that does not exist."""
    return _read_json(machine).get("commit", "").split(", ") if machine.exists() else []


def load_evaluations(path: Path) -> list[Evaluation]:
    """Every evaluation in a run directory; raises `InputError` naming the line that cannot be read."""
    file = path / "evaluations.jsonl"
    return [_evaluation(row, file) for row in read_jsonl(file)]


def summarise_datasets(paths: Sequence[Path]) -> DatasetSummary:
    """Return and cost of every episode of datasets; raises `InputError` where one cannot be read."""
    episodes = [episode for path in paths for episode in Dataset(path).summaries()]
    return DatasetSummary(
        " + ".join(path.name for path in paths),
        tuple(episode.behaviour for episode in episodes),
        tuple(episode.total_reward for episode in episodes),
        tuple(episode.total_cost for episode in episodes),
        sum(episode.length for episode in episodes),
        tuple(str(path.resolve()) for path in paths),
    )


def load_summary(path: Path) -> DatasetSummary:
    """Read what `DatasetSummary.save` wrote."""
    try:
        data = _read_json(path)
        return DatasetSummary(
            data["name"],
            tuple(data["behaviours"]),
            tuple(data["returns"]),
            tuple(data["costs"]),
            data["steps"],
            tuple(data.get("paths", ())),
        )
    except (KeyError, TypeError) as error:
        raise InputError(f"{path} is no dataset summary ({error}); delete it or train again.") from None


def _evaluation(row: dict[str, Any], path: Path) -> Evaluation:
    try:
        values = {item.name: row[item.name] for item in dataclasses.fields(Evaluation) if item.name != "cost_regret"}
    except KeyError as error:
        raise InputError(f"{path} has an evaluation without {error}; remove the line.") from None
    values = {name: tuple(value) if isinstance(value, list) else value for name, value in values.items()}
    result = Evaluation(**values, cost_regret=row.get("cost_regret"))
    if not result.returns or len(result.returns) != len(result.costs):
        raise InputError(f"{path} has an evaluation whose returns and costs do not pair up; remove the line.")
    return result


def _read_json(path: Path) -> dict[str, Any]:
    try:
        data = json.loads(path.read_text())
    except json.JSONDecodeError as error:
        raise InputError(f"{path} is not valid JSON ({error}); delete it or train again.") from None
    if not isinstance(data, dict):
        raise InputError(f"{path} must hold a JSON object; delete it or train again.")
    return data
