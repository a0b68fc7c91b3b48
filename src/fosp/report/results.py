"""Groups evaluations of several runs into table rows and curves."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from fosp.report.runs import Evaluation, Run
from fosp.report.statistics import Estimate, bootstrap_mean

AGENT_NAMES = {
    "fosp": "FOSP",
    "bc": "Behaviour cloning",
    "dreamer": "DreamerV3",
    "safe_dreamer": "SafeDreamer",
    "recovery_rl": "Recovery RL",
    "ppo_lagrangian": "PPO-Lagrangian",
    "cpo": "CPO",
    "random": "Random actions",
}
PHASE_NAMES = {"offline": "after offline training", "online": "after online training", "tuned": "after fine-tuning"}
# Reading order of the table: yardsticks first, the algorithm last.
_ORDER = ("behaviour:random", "random", "behaviour:", "bc", "fosp")


@dataclass(frozen=True)
class Result:
    """Episodes of one agent, pooled over runs that differ in nothing but the seed."""

    agent: str
    phase: str
    mode: str
    label: str
    returns: tuple[float, ...]
    costs: tuple[float, ...]
    regrets: tuple[float, ...]
    runs: int

    @property
    def reward(self) -> Estimate:
        """Mean undiscounted return."""
        return bootstrap_mean(self.returns)

    @property
    def cost(self) -> Estimate:
        """Mean undiscounted cost."""
        return bootstrap_mean(self.costs)

    @property
    def cost_regret(self) -> Estimate | None:
        """Cost per training step, over runs; None where nothing was trained online."""
        return bootstrap_mean(self.regrets) if self.regrets else None

    @property
    def safe_share(self) -> float:
        """Share of episodes without any cost."""
        return float(np.mean(np.asarray(self.costs) == 0))


def final_results(runs: Sequence[Run]) -> list[Result]:
    """The last evaluation of every agent, phase and mode, yardsticks first."""
    last: dict[tuple[str, ...], dict[Path, Evaluation]] = {}
    for run in runs:
        for item in sorted(run.evaluations, key=lambda item: (item.update, item.frames)):
            last.setdefault(_key(run, item), {})[run.path] = item
    labels = [_label(key[0], key[1], key[2]) for key in last]
    results = []
    for key, by_run in last.items():
        items = list(dict.fromkeys(by_run.values()))  # the same yardstick stored with two runs counts once
        label = _label(key[0], key[1], key[2])
        if key[1] and (share := min(_share_done(run, by_run[run.path]) for run in runs if run.path in by_run)) < 1:
            label += f", stopped at {share:.0%}"
        if labels.count(label) > 1:
            label += f" ({', '.join(sorted(path.name for path in by_run))})"
        results.append(
            Result(
                key[0],
                key[1],
                key[2],
                label,
                tuple(value for item in items for value in item.returns),
                tuple(value for item in items for value in item.costs),
                tuple(item.cost_regret for item in items if item.cost_regret is not None),
                len(items),
            )
        )
    return sorted(results, key=_rank)


@dataclass(frozen=True)
class Curve:
    """Evaluations of one agent over its training, pooled over seeds: x (n,), estimates (n,)."""

    label: str
    agent: str
    x: tuple[float, ...]
    reward: tuple[Estimate, ...]
    cost: tuple[Estimate, ...]


def evaluation_curves(runs: Sequence[Run], phase: str, mode: str = "mean") -> list[Curve]:
    """Evaluations of `phase` over updates (offline) or frames (online), for agents evaluated more than once."""
    groups: dict[tuple[str, ...], dict[float, dict[Path, Evaluation]]] = {}
    for run in runs:
        for item in run.evaluations:
            if item.phase == phase and item.mode == mode:
                x = item.frames if phase == "online" else item.update
                by_run = groups.setdefault(_key(run, item), {}).setdefault(x, {})
                # Evaluated twice at one point, mostly on the same seeds: the longer evaluation stands.
                if run.path not in by_run or len(item.returns) >= len(by_run[run.path].returns):
                    by_run[run.path] = item
    labels = [AGENT_NAMES.get(key[0], key[0]) for key in groups]
    curves = []
    for key, points in groups.items():
        if len(points) < 2:
            continue
        label = AGENT_NAMES.get(key[0], key[0])
        names = sorted({run.path.name for run in runs for item in run.evaluations if _key(run, item) == key})
        xs = sorted(points)
        curves.append(
            Curve(
                f"{label} ({', '.join(names)})" if labels.count(label) > 1 else label,
                key[0],
                tuple(xs),
                tuple(bootstrap_mean([v for item in points[x].values() for v in item.returns]) for x in xs),
                tuple(bootstrap_mean([v for item in points[x].values() for v in item.costs]) for x in xs),
            )
        )
    return curves


def metric_names(runs: Iterable[Run], phase: str) -> list[str]:
    """Names of all metrics of `phase`, in the order in which they first appear."""
    names: dict[str, None] = {}
    for run in runs:
        for row in run.metrics:
            if row.get("phase") == phase:
                names.update(dict.fromkeys(name for name in row if "/" in name))
    return list(names)


def _key(run: Run, item: Evaluation) -> tuple[str, ...]:
    trained = item.agent == run.config.agent
    settings = repr(dataclasses.replace(run.config, seed=0)) if trained else ""
    tuned = item.phase == "online" and run.dataset is not None  # offline data are what it started from
    phase = "tuned" if tuned else item.phase
    return (item.agent, phase if trained else "", item.mode, item.env, settings)


def _share_done(run: Run, item: Evaluation) -> float:
    """How much of its training an evaluated agent had behind it."""
    training = run.config.training
    if item.phase == "online":
        return item.frames / max(training.online_frames, 1)
    return item.update / max(training.updates_without_behaviour + training.offline_updates, 1)


def _label(agent: str, phase: str, mode: str) -> str:
    if agent.startswith("behaviour:"):
        return f"Dataset behaviour: {agent.removeprefix('behaviour:')}"
    label = AGENT_NAMES.get(agent, agent)
    if agent == "fosp" and phase in PHASE_NAMES:
        label += f", {PHASE_NAMES[phase]}"
    return label + (", sampled actions" if mode == "sample" and agent != "random" else "")


def _rank(result: Result) -> tuple[int, str, str, str]:
    place = next((i for i, name in enumerate(_ORDER) if result.agent.startswith(name)), len(_ORDER))
    return place, result.phase, result.mode, result.label
