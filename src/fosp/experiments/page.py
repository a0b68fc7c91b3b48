"""The report of an experiment: one Markdown page with pictures beside it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from fosp.experiments.estimates import improvement, seed_estimates, task_estimate
from fosp.experiments.grids import SCALES, Grid, Signal
from fosp.experiments.outcomes import Cell, Outcome, gather
from fosp.experiments.paper import ONLINE_FRAMES
from fosp.experiments.pictures import draw_curves, draw_rows
from fosp.experiments.plan import budget, narrow, seeds_of
from fosp.report.markup import number
from fosp.report.statistics import Estimate, wilson

MISSING = "missing"
RATES: tuple[Signal, ...] = ("Success", "Violation")
OF_COST: tuple[Signal, ...] = ("Violation", "Cost")
Groups = dict[str, list[Outcome]]


def write_page(grid: Grid, scale: str, seeds: Sequence[int], root: Path, out: Path, only: Sequence[str] = ()) -> Path:
    """Write what there is of `grid` in `root` as the page `out`, and its pictures to a folder of the same name.

    With `only`, rows with one of these words in the name of a run; raises `InputError` where there are none.
    """
    grid = narrow(grid, scale, seeds, only)
    outcomes = gather(grid, scale, seeds, root)
    groups: Groups = {}
    for outcome in outcomes:
        groups.setdefault(outcome.row.group, []).append(outcome)
    parts = [
        f"# {grid.title}",
        f"In the paper: {grid.shows}. {grid.text}",
        _facts(grid, scale, seeds, only, outcomes),
        _how_to_read(grid, scale),
    ]
    for group, members in groups.items():
        if not any(outcome.row.phases != "reference" for outcome in members):
            continue  # nothing to be compared with the yardsticks
        parts.append(f"## {group}")
        name = re.sub(r"[^a-z0-9]+", "-", group.lower()).strip("-")
        curves, rows = (out.with_suffix("") / f"{name}{what}.svg" for what in ("", "-compared"))
        if grid.side_by_side and draw_rows(members, rows):
            parts.append(_image(f"{group}: reward and cost before and after fine-tuning", rows, out))
        if draw_curves(members, curves):
            parts.append(_image(f"{group}: reward and cost over training", curves, out))
        parts += [_table(signal, members, grid, scale) for signal in grid.signals]
    parts += _together(groups, grid.ours)
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text("\n\n".join(parts) + "\n", encoding="utf-8")
    return out


def _image(says: str, picture: Path, page: Path) -> str:
    return f"![{says}]({picture.relative_to(page.parent).as_posix()})"


def _facts(grid: Grid, scale: str, seeds: Sequence[int], only: Sequence[str], outcomes: Sequence[Outcome]) -> str:
    """Budget, seeds, machine, code, date, and the command."""
    done = {
        stage.name: share
        for outcome in outcomes
        for attempt in outcome.attempts
        for stage, share in zip(attempt.planned, (attempt.offline_done, attempt.online_done), strict=True)
        if stage
    }
    made = list({run.path: run for outcome in outcomes for run in outcome.runs}.values())
    seconds = sum(run.metrics[-1]["seconds"] for run in made if run.metrics)
    machines = [run.machine for run in made if run.machine]
    dates = sorted({machine["date"] for machine in machines if "date" in machine})
    training, model = budget(scale).training, SCALES[scale].model_updates
    asked = f" --seeds {' '.join(map(str, seeds))}" if seeds else ""
    asked += f" --only {' '.join(only)}" if only else ""
    rows = {
        "Scale": f"`{scale}`: {training.offline_updates:,} updates offline, {training.online_frames:,} frames online, "
        f"batches of {training.batch_size} x {training.sequence_length}"
        + (f"; all agents on one world model of {model:,} updates for each dataset and seed" if model else ""),
        "Seeds": _list(map(str, seeds_of(scale, seeds))),
        "Finished": f"{sum(share == 1 for share in done.values())} of {len(done)} runs, {seconds / 3600:.1f} hours",
        "Machine": _list(f"{m['processor']}, {m['memory']}, accelerator: {m['accelerator']}" for m in machines),
        "Code": _list(f"fosp {m.get('fosp')} (commit {m.get('commit')}), torch {m['torch']}" for m in machines),
        "Date": " to ".join(dates[:: max(1, len(dates) - 1)]),
        "Command": f"`fosp experiment run {grid.name} --scale {scale}{asked}`",
    }
    return "\n".join(["| | |", "|---|---|", *(f"| {name} | {value} |" for name, value in rows.items())])


def _list(items: Iterable[str]) -> str:
    return "; ".join(dict.fromkeys(items))


def _how_to_read(grid: Grid, scale: str) -> str:
    rates = " Shares: of all tests of all seeds, with Wilson's 95% interval." if set(RATES) & set(grid.signals) else ""
    return (
        f"Reward and cost: means of the undiscounted sums over {SCALES[scale].episodes} evaluation episodes "
        f"({budget(scale).training.evaluation_episodes} before the end of a training) on seeds that no training has "
        "seen, with mean actions; of these, the interquartile mean over seeds (of fewer than four, their mean) and the "
        "95% interval of the stratified bootstrap, by rliable. Of a single seed, the interval is over its episodes and "
        "says nothing of other seeds. "
        "Seeds differ in initial weights and in all that is sampled; data, layouts and tests are the same for all. "
        f'Cost regret: cost per frame of online training. "{MISSING}": not run yet. The paper\'s figures are means of '
        "five seeds at its own budget, 125,000 updates of 64 x 16 offline and online the frames in brackets."
    ) + rates


def _table(signal: Signal, outcomes: Sequence[Outcome], grid: Grid, scale: str) -> str:
    """One line an outcome, one column a mark; that of the cost ends with the regret."""
    shown = [mark for mark in grid.marks if any(o.covers(mark) or mark in o.row.reported for o in outcomes)]
    head = [signal, *(grid.headings.get(mark) or _heading(mark, scale) for mark in shown)]
    lines = [[outcome.row.label, *(_entry(outcome, mark, signal) for mark in shown)] for outcome in outcomes]
    if signal == "Cost":
        head.append("cost regret")
        lines = [[*line, _regret(outcome)] for line, outcome in zip(lines, outcomes, strict=True)]
    return _markdown(head, lines)


def _markdown(head: Sequence[str], lines: Iterable[Sequence[str]]) -> str:
    rows = [head, ["---"] * len(head), *lines]
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def _heading(mark: float, scale: str) -> str:
    if mark == 0:
        return "before online training"
    frames, paper = (round(mark * whole) for whole in (budget(scale).training.online_frames, ONLINE_FRAMES))
    return f"{frames:,} frames" + (f" (paper: {paper:,})" if frames != paper else "")


def _entry(outcome: Outcome, mark: float, signal: Signal) -> str:
    """Ours above the paper's, as far as there are any."""
    cell, rate = outcome.cell(mark), signal in RATES
    reported = (outcome.row.rates if rate else outcome.row.reported).get(mark)
    parts = [] if cell is None else [_measured(cell, signal)]
    if reported:
        figure = number(reported[signal in OF_COST])
        parts.append(f"<small>paper {figure}{' %' if rate else ''}</small>")
    return "<br>".join(parts)


def _measured(cell: Cell, signal: Signal) -> str:
    if not cell.found:
        return MISSING
    part = f" ({len(cell.found)} of {cell.wanted} seeds)" if len(cell.found) < cell.wanted else ""
    sums = cell.costs if signal in OF_COST else cell.returns
    if signal in RATES:
        happened = [value > 0 for episodes in sums for value in episodes]
        return _per_cent(wilson(sum(happened), len(happened))) + part
    return _interval(seed_estimates([sums])[0]) + part


def _regret(outcome: Outcome) -> str:
    cell = outcome.cell(outcome.last_mark) if outcome.last_mark else None
    if cell is None:
        return ""
    regrets = [[item.cost_regret] for item in cell.found if item.cost_regret is not None]
    return _interval(seed_estimates([regrets])[0]) if regrets else MISSING


def _per_cent(share: Estimate) -> str:
    assert share.low is not None
    assert share.high is not None
    return f"{100 * share.mean:.0f} % [{100 * share.low:.0f}, {100 * share.high:.0f}]"


def _interval(estimate: Estimate) -> str:
    if estimate.low is None or estimate.high is None:
        return number(estimate.mean)
    return f"{number(estimate.mean)} [{number(estimate.low)}, {number(estimate.high)}]"


def _together(groups: Groups, ours: str) -> list[str]:
    """Every method over all groups that it and ours have finished, if there are several seeds."""
    bases = {group: outcome for group, members in groups.items() for outcome in members if outcome.row.label == ours}
    labels = dict.fromkeys(o.row.label for group in bases for o in groups[group] if o.trains and o.row.label != ours)
    lines = []
    for label in labels:
        pairs = [
            (bases[group], outcome)
            for group in bases
            for outcome in groups[group]
            if outcome.row.label == label and _complete(outcome) and _complete(bases[group])
        ]
        for seen in dict.fromkeys(outcome.row.observation for _, outcome in pairs):  # no task counts twice
            alike = [pair for pair in pairs if pair[1].row.observation == seen]
            mine, theirs = (_scores([pair[side] for pair in alike]) for side in (0, 1))
            higher, lower = improvement(mine[0], theirs[0]), improvement(-mine[1], -theirs[1])
            lines.append([label, _interval(higher), _interval(lower), ", ".join(one.row.group for one, _ in alike)])
    parts = []
    if lines:
        head = [f"{ours} against", "probability that its reward is higher", "that its cost is lower", "over"]
        parts += ["## Probability of improvement", _markdown(head, lines)]
    relative = _relative(groups, bases)
    if relative:
        text = f"Interquartile means over tasks and seeds, reward as a share of what the paper reports for {ours}."
        parts += ["## All tasks together", text, _markdown(["", "share of the paper's reward", "cost"], relative)]
    return parts


def _relative(groups: Groups, bases: dict[str, Outcome]) -> list[list[str]]:
    """Methods that have finished every task for which the paper has a figure, if there are several such tasks."""
    bases = {group: base for group, base in bases.items() if base.last_mark in base.row.reported}
    goals = [base.row.reported[base.last_mark][0] for base in bases.values()]
    if len(goals) < 2:
        return []
    lines = []
    for label in dict.fromkeys(outcome.row.label for group in bases for outcome in groups[group]):
        mine = [outcome for group in bases for outcome in groups[group] if outcome.row.label == label]
        if len(mine) == len(goals) and all(map(_complete, mine)):
            returns, costs = _scores(mine)
            lines.append([label, _interval(task_estimate(returns / goals)), _interval(task_estimate(costs))])
    return lines


def _complete(outcome: Outcome) -> bool:
    """Whether an agent has been trained to the end with at least two seeds."""
    cell = outcome.cell(outcome.last_mark) if outcome.trains else None
    return cell is not None and len(cell.found) == cell.wanted > 1


def _scores(outcomes: Sequence[Outcome]) -> tuple[np.ndarray, np.ndarray]:
    """Mean return and mean cost at the end of training, each (seeds, tasks)."""
    cells = [cell for outcome in outcomes if (cell := outcome.cell(outcome.last_mark))]
    returns = np.array([[np.mean(values) for values in cell.returns] for cell in cells]).T
    costs = np.array([[np.mean(values) for values in cell.costs] for cell in cells]).T
    return returns, costs
