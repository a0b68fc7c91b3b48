"""An experiment as SVG files: learning curves, and its rows side by side."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import EngFormatter, MaxNLocator, StrMethodFormatter

from fosp.experiments.estimates import seed_estimates
from fosp.experiments.outcomes import Outcome
from fosp.report.statistics import Estimate

# Okabe and Ito's colours, which people tell apart however they see them, and two more; gray is for yardsticks.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000", "#8C510A", "#5E3C99")
GRAY = "#777777"
DASHES = ((0, (6, 3)), (0, (3, 2)), (0, (1, 1.5)))
_RC: Any = {
    "font.size": 10,
    "axes.titlelocation": "left",
    "axes.titlesize": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "axes.edgecolor": GRAY,
    "grid.color": "#e4e4e4",
    "legend.frameon": False,
    "svg.hashsalt": "fosp",  # the same figures give the same file
}


def draw_curves(outcomes: Sequence[Outcome], path: Path) -> bool:
    """Reward (top) and cost (bottom) over offline (left) and online (right) training, a colour a row.

    Costs are linear up to 1 and logarithmic above, since those of offline training are often many times the others.
    Returns whether there was anything to draw; if not, no file is written.
    """
    phases = [phase for phase in ("offline", "online") if any(outcome.curve(phase) for outcome in outcomes)]
    if not phases:
        return False
    with mpl.rc_context(_RC):
        figure = Figure(figsize=(1 + 4.2 * len(phases), 6), layout="constrained")
        grid = figure.subplots(2, len(phases), sharex="col", sharey="row", squeeze=False)
        for column, phase in enumerate(phases):
            _phase(grid[:, column], outcomes, phase)
        for axes, title in zip(grid[:, 0], ("Reward", "Cost"), strict=True):
            axes.set_title(title)
        handles = {
            label: handle for axes in grid[0] for handle, label in zip(*axes.get_legend_handles_labels(), strict=True)
        }
        figure.legend(handles.values(), handles.keys(), loc="outside lower center", ncols=2)
        _save(figure, path)
    return True


def draw_rows(outcomes: Sequence[Outcome], path: Path) -> bool:
    """Reward (left) and cost (right) of every row, before and after online training (the form of Figure 6).

    Returns whether two rows or more have a figure; if not, no file is written.
    """
    trained = [outcome for outcome in outcomes if outcome.trains]
    series = {
        label: [(place, cell) for place, cell in enumerate(cells) if cell and cell.found]
        for label, cells in {
            "offline": [outcome.cell(0) for outcome in trained],
            "fine-tuned": [outcome.cell(outcome.last_mark) if outcome.last_mark else None for outcome in trained],
        }.items()
    }
    if max(len(points) for points in series.values()) < 2:
        return False
    with mpl.rc_context(_RC):
        figure = Figure(figsize=(9.4, 4.2), layout="constrained")
        reward, cost = figure.subplots(1, 2)
        for colour, (label, points) in zip(COLOURS, series.items(), strict=False):
            if points:
                x = [place for place, _ in points]
                _line(reward, x, seed_estimates([cell.returns for _, cell in points]), colour, label, whiskers=True)
                _line(cost, x, seed_estimates([cell.costs for _, cell in points]), colour, label, whiskers=True)
        for axes, title in ((reward, "Reward"), (cost, "Cost")):
            axes.set_title(title)
            axes.set_xticks(range(len(trained)), [outcome.row.label for outcome in trained], rotation=20, ha="right")
        _scale_costs(cost)
        figure.legend(*reward.get_legend_handles_labels(), loc="outside lower center", ncols=2)
        _save(figure, path)
    return True


def _scale_costs(axes: Axes) -> None:
    axes.set_yscale("symlog", linthresh=1)
    axes.set_ylim(bottom=0)
    axes.yaxis.set_major_formatter(StrMethodFormatter("{x:g}"))


def _save(figure: Figure, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, metadata={"Date": None} if path.suffix == ".svg" else None)


def _phase(column: np.ndarray, outcomes: Sequence[Outcome], phase: str) -> None:
    reward, cost = column
    for number, outcome in enumerate(outcome for outcome in outcomes if outcome.trains):
        curve = outcome.curve(phase)
        if curve:
            colour = COLOURS[number % len(COLOURS)]
            _line(reward, curve.x, seed_estimates(curve.returns), colour, outcome.row.label)
            _line(cost, curve.x, seed_estimates(curve.costs), colour, outcome.row.label)
    references = [outcome for outcome in outcomes if outcome.row.phases == "reference"]
    for dash, outcome in zip(DASHES, references, strict=False):
        cell = outcome.cell(0)
        if cell and cell.found:
            for axes, values in ((reward, cell.returns), (cost, cell.costs)):
                level = seed_estimates([values])[0].mean
                axes.axhline(level, color=GRAY, linewidth=1, linestyle=dash, label=outcome.row.label)
    _scale_costs(cost)
    cost.set_xlabel("updates offline" if phase == "offline" else "frames online")
    cost.xaxis.set_major_formatter(EngFormatter(sep=""))
    cost.xaxis.set_major_locator(MaxNLocator(5))


def _line(
    axes: Axes, x: Sequence[int], estimates: Sequence[Estimate], colour: str, label: str, whiskers: bool = False
) -> None:
    """Means over `x`, with their intervals as a band or as whiskers."""
    mean = [item.mean for item in estimates]
    low = [item.mean if item.low is None else item.low for item in estimates]
    high = [item.mean if item.high is None else item.high for item in estimates]
    if whiskers:
        axes.vlines(x, low, high, color=colour, linewidth=1)
    else:
        axes.fill_between(x, low, high, color=colour, alpha=0.13, linewidth=0)
    axes.plot(x, mean, "-o", color=colour, markersize=3, linewidth=1.5, label=label)
