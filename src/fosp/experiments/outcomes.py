"""What has been run of a grid, read from the run directories: nothing is filled in that is not there."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from fosp.agents import AGENTS
from fosp.experiments.grids import Grid, Row
from fosp.experiments.plan import Runs, runs, seeds_of
from fosp.experiments.stages import Evaluated, Reference, Stage
from fosp.report.runs import Evaluation, Run, load_run
from fosp.training.evaluation import EVALUATION_SEED


@dataclass(frozen=True)
class Cell:
    """A row at one mark: the evaluations of those seeds that have come so far."""

    found: tuple[Evaluation, ...]
    wanted: int
    """Seeds that there will be."""

    @property
    def returns(self) -> list[tuple[float, ...]]:
        """Returns of the evaluation episodes of each seed."""
        return [item.returns for item in self.found]

    @property
    def costs(self) -> list[tuple[float, ...]]:
        """Costs of the evaluation episodes of each seed."""
        return [item.costs for item in self.found]


@dataclass(frozen=True)
class Curve:
    """Evaluations over training, at the points that all seeds have: returns and costs by point, seed and episode."""

    x: tuple[int, ...]
    returns: list[list[tuple[float, ...]]]
    costs: list[list[tuple[float, ...]]]


@dataclass(frozen=True)
class Attempt:
    """The runs of a row for one seed: what they were to be, what there is, and whether it is finished."""

    planned: Runs
    offline: Run | None
    online: Run | None
    offline_done: float
    online_done: float


@dataclass(frozen=True)
class Outcome:
    """One row, with its runs for every seed."""

    row: Row
    attempts: tuple[Attempt, ...]

    def covers(self, mark: float) -> bool:
        """Whether the row has a measurement at a share of the online budget, 0 for the start."""
        if self.row.phases == "reported":
            return False
        return self.row.phases != "online" if mark == 0 else mark <= self.last_mark

    def cell(self, mark: float) -> Cell | None:
        """What there is at a share of the online budget; None where the row has no measurement."""
        if not self.covers(mark):
            return None
        found = [self._at(attempt, mark) for attempt in self.attempts]
        return Cell(tuple(item for item in found if item), len(self.attempts))

    @property
    def last_mark(self) -> float:
        """Where the row's training ends."""
        return self.row.frames if self.row.phases in ("offline to online", "online") else 0

    @property
    def trains(self) -> bool:
        """Whether the row is an agent of ours, not a yardstick."""
        return self.row.phases not in ("reference", "reported")

    def _at(self, attempt: Attempt, mark: float) -> Evaluation | None:
        if mark == 0 and not self.row.target:
            return _last(attempt.offline, attempt.planned.offline) if attempt.offline_done == 1 else None
        if attempt.online is None:
            return None
        if mark == self.row.frames:
            return _last(attempt.online, attempt.planned.online) if attempt.online_done == 1 else None
        frames = mark * attempt.online.config.training.online_frames / self.row.frames
        return next((item for item in _own(attempt.online) if item.frames >= frames), None)

    def curve(self, phase: str) -> Curve | None:
        """Evaluations of "offline" (over updates) or "online" (over frames) training, if there are at least two."""
        series = []
        for attempt in self.attempts:
            run = attempt.offline if phase == "offline" else attempt.online
            if run is not None and self.trains:
                # Evaluated twice at one point: the longer evaluation, at the end of the run, stands.
                own = sorted(_own(run), key=lambda item: len(item.returns))
                series.append({item.update if phase == "offline" else item.frames: item for item in own})
        shared = sorted(set.intersection(*map(set, series))) if series else []
        if len(shared) < 2:
            return None
        return Curve(
            tuple(shared),
            [[points[x].returns for points in series] for x in shared],
            [[points[x].costs for points in series] for x in shared],
        )

    @property
    def runs(self) -> list[Run]:
        """All runs that there are."""
        return [run for attempt in self.attempts for run in (attempt.offline, attempt.online) if run]


def gather(grid: Grid, scale: str, seeds: Sequence[int], root: Path) -> list[Outcome]:
    """Every row of `grid` with what there is of it in `root`; raises `InputError` where a run is of other settings."""
    loaded: dict[str, tuple[Run | None, float]] = {}

    def look(stage: Stage | None) -> tuple[Run | None, float]:
        if stage is None:
            return None, 0.0
        if stage.name not in loaded:
            path = root / stage.name
            there = (path / "config.yaml").exists()
            loaded[stage.name] = (load_run(path), stage.share_done(root)) if there else (None, 0.0)
        return loaded[stage.name]

    outcomes = []
    for row in grid.rows:
        attempts = []
        for seed in seeds_of(scale, seeds) if row.phases != "reference" else (0,):
            planned = runs(row, scale, seed)
            (offline, offline_done), (online, online_done) = look(planned.offline), look(planned.online)
            attempts.append(Attempt(planned, offline, online, offline_done, online_done))
        outcomes.append(Outcome(row, tuple(attempts)))
    return outcomes


def _own(run: Run) -> list[Evaluation]:
    """Evaluations of the run's own agent (mean action) or behaviour as the experiment makes them, as they followed: in
    its own environment, on the layouts that all rows share. What `fosp evaluate` has added elsewhere is left out."""
    mode = "mean" if run.config.agent in AGENTS else "sample"
    wanted = (run.config.agent, mode, run.config.env.id, EVALUATION_SEED)
    found = [item for item in run.evaluations if (item.agent, item.mode, item.env, item.seeds[0]) == wanted]
    return sorted(found, key=lambda item: (item.update, item.frames))


def _last(run: Run | None, stage: Stage | None) -> Evaluation:
    """Of a finished stage's run, the evaluation of its last state with as many episodes as the stage has."""
    assert run is not None
    assert isinstance(stage, Evaluated | Reference)
    own = _own(run)
    return next(item for item in own if item.update == own[-1].update and len(item.returns) == stage.episodes)
