"""Charts of the report, each a pure function from numbers to inline SVG."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from fosp.report.results import Curve, Result
from fosp.report.runs import DatasetSummary
from fosp.report.statistics import Estimate, running_median
from fosp.report.style import ACCENT, INK, MUTED, NEUTRAL, WARN, figure, finish, to_svg

WIDTH = 1000
FEW = 25  # points below which a curve is drawn as it is
# Figure 10 of the paper: gray random, yellow unsafe, blue safe. SafeReach's classes follow it; failures are crosses.
BEHAVIOUR_COLOURS = {
    **{"random": NEUTRAL, "unsafe": WARN, "safe": ACCENT},
    **{"safe-success": ACCENT, "safe-failure": ACCENT, "unsafe-success": WARN, "unsafe-failure": WARN},
}
Line = tuple[str, np.ndarray, np.ndarray]  # run's name, x (n,), y (n,)


def agent_colour(agent: str) -> str:
    """Accent for the algorithm, the behaviour's colour for a behaviour, gray for the rest."""
    return ACCENT if agent == "fosp" else BEHAVIOUR_COLOURS.get(agent.removeprefix("behaviour:"), NEUTRAL)


def results_chart(results: Sequence[Result]) -> str:
    """Reward and cost of every agent as dots with intervals; rows from top to bottom as in the table."""
    with figure(WIDTH, 78 + 30 * len(results)) as chart:
        left, right = chart.subplots(1, 2, sharey=True)
        rows = np.arange(len(results))
        for axes, title, unit, pick in (
            (left, "Reward", "return of an episode", lambda result: result.reward),
            (right, "Cost", "cost of an episode", lambda result: result.cost),
        ):
            for row, result in zip(rows, results, strict=True):
                _dot(axes, pick(result), float(row), agent_colour(result.agent))
            axes.set_title(title)
            axes.set_xlabel(unit)
            axes.grid(visible=False, axis="y")
            axes.tick_params(axis="y", length=0)
            axes.spines["left"].set_visible(False)
        right.set_xlim(left=min(0.0, right.get_xlim()[0]))
        left.set_yticks(rows, [result.label for result in results])
        left.set_ylim(len(results) - 0.5, -0.5)
        for label in left.get_yticklabels():
            label.set_color(INK)
            label.set_fontsize(13)
        return to_svg(chart, "results", "Reward and cost of every agent with 95% intervals")


def _dot(axes: Axes, estimate: Estimate, row: float, colour: str) -> None:
    if estimate.low is not None and estimate.high is not None:
        axes.plot([estimate.low, estimate.high], [row, row], color=colour, linewidth=3, alpha=0.45)
    axes.plot([estimate.mean], [row], "o", color=colour, markersize=7)


def curves_chart(offline: Sequence[Curve], online: Sequence[Curve]) -> str:
    """Evaluation reward (top) and cost (bottom), offline over updates (left) and online over frames (right)."""
    phases = [
        (curves, x) for curves, x in ((offline, "gradient updates, offline"), (online, "frames, online")) if curves
    ]
    with figure(WIDTH if len(phases) == 2 else WIDTH * 0.7, 480) as chart:
        grid = chart.subplots(2, len(phases), sharex="col", sharey="row", squeeze=False)
        for column, (curves, clock) in enumerate(phases):
            for curve in curves:
                _band(grid[0, column], curve.x, curve.reward, curve.agent, curve.label)
                _band(grid[1, column], curve.x, curve.cost, curve.agent, curve.label)
            finish(grid[0, column], "Reward", "", "return of an episode" if column == 0 else "")
            finish(grid[1, column], "Cost", clock, "cost of an episode" if column == 0 else "")
            grid[1, column].set_ylim(bottom=0)
            grid[1, column].xaxis.set_major_locator(MaxNLocator(6))
            if len(curves) > 1:
                grid[0, column].legend()
        return to_svg(chart, "curves", "Reward and cost of evaluation episodes over training")


def _band(axes: Axes, x: Sequence[float], estimates: Sequence[Estimate], agent: str, label: str) -> None:
    colour = agent_colour(agent)
    low = [item.mean if item.low is None else item.low for item in estimates]
    high = [item.mean if item.high is None else item.high for item in estimates]
    axes.fill_between(x, low, high, color=colour, alpha=0.18, linewidth=0)
    axes.plot(x, [item.mean for item in estimates], "-o", color=colour, markersize=4, label=label)


def scatter_chart(summary: DatasetSummary) -> str:
    """Return against cost of every episode of the dataset, coloured by behaviour (Figure 10 of the paper)."""
    known = list(BEHAVIOUR_COLOURS)
    names = sorted(set(summary.behaviours), key=lambda name: (known.index(name) if name in known else 9, name))
    behaviours = np.array(summary.behaviours)
    with figure(WIDTH * 0.7, 400) as chart:
        axes = chart.subplots()
        for name in names:
            mine, failed = behaviours == name, name.endswith("-failure")
            axes.scatter(
                np.array(summary.costs)[mine],
                np.array(summary.returns)[mine],
                s=34,
                color=BEHAVIOUR_COLOURS.get(name, INK),
                alpha=0.6,
                marker="x" if failed else "o",
                linewidths=1.8 if failed else 0,
                label=f"{name} ({mine.sum()})",
            )
        axes.set_xlabel("cost of the episode")
        axes.set_ylabel("return of the episode")
        chart.legend(loc="outside right upper", handletextpad=0.2)
        return to_svg(chart, "scatter", "Return against cost of every episode of the dataset, by behaviour")


def metrics_chart(name: str, panels: Sequence[tuple[str, Sequence[Line]]], clock: str) -> str:
    """Small multiples, four to a row: each metric over `clock`; thin as logged, thick its running median."""
    columns = 4
    rows = -(-len(panels) // columns)
    height = 165 * rows + 20
    with figure(WIDTH, height, arranged=False) as chart:
        grid = chart.subplots(rows, columns, sharex=True, squeeze=False).ravel()
        # 110 pixels of curve, 55 for a title above and tick labels below; 195 wide, 55 for tick labels at the left.
        chart.subplots_adjust(50 / WIDTH, 42 / height, 1 - 5 / WIDTH, 1 - 24 / height, wspace=55 / 195, hspace=55 / 110)
        for axes, (title, lines) in zip(grid, panels, strict=False):
            for index, (_, x, y) in enumerate(lines):
                colour = (ACCENT, NEUTRAL, WARN, INK)[index % 4]
                if len(x) < FEW:
                    axes.plot(x, y, "-o", color=colour, markersize=3.5, linewidth=1.2)
                else:
                    axes.plot(x, y, color=colour, linewidth=0.8, alpha=0.35)
                    axes.plot(x, running_median(y, max(3, len(y) // 20 * 2 + 1)), color=colour, linewidth=1.6)
            axes.set_title(title)
            axes.grid(visible=False, axis="x")
            axes.xaxis.set_major_locator(MaxNLocator(3))
            axes.yaxis.set_major_locator(MaxNLocator(4))
            axes.ticklabel_format(axis="y", scilimits=(-3, 4), useOffset=False)
        for axes in grid[len(panels) :]:
            axes.set_visible(False)
        for column, axes in enumerate(grid[: min(columns, len(panels))]):
            lowest = grid[column + columns * ((len(panels) - 1 - column) // columns)]
            lowest.tick_params(labelbottom=True)
            lowest.set_xlabel(clock if axes is grid[0] else "")
        return to_svg(chart, name, f"{len(panels)} metrics over {clock}")


def film_chart(violation: np.ndarray | None, cost: np.ndarray, reward: np.ndarray) -> tuple[str, tuple[float, float]]:
    """Predicted violation probability (where there is one), cost and return along one episode, each (T,).

    Also returns where the first and last step lie, as shares of the picture's width, for the video's playhead.
    """
    steps = np.arange(len(cost))
    with figure(WIDTH, 330 if violation is not None else 220) as chart:
        heights = [2, 1.2, 1.2] if violation is not None else [1.2, 1.2]
        grid = chart.subplots(len(heights), 1, sharex=True, height_ratios=heights)
        middle, bottom = grid[-2:]
        for axes in grid:
            for start, end in spans(cost > 0):
                axes.axvspan(start - 0.5, end - 0.5, color=WARN, alpha=0.16, linewidth=0)
        if violation is not None:
            grid[0].fill_between(steps, violation, color=ACCENT, alpha=0.18, linewidth=0)
            grid[0].plot(steps, violation, color=ACCENT)
            grid[0].set_ylim(0, 1)
            finish(grid[0], "Predicted probability of violating the constraint, p(s)", "", "")
        middle.bar(steps, cost, color=WARN, width=1)
        middle.set_ylim(0, max(1.0, float(cost.max(initial=0)) * 1.1))
        middle.yaxis.set_major_locator(MaxNLocator(3, integer=True))
        finish(middle, "Cost of the step", "", "")
        bottom.plot(steps, np.cumsum(reward), color=MUTED)
        bottom.set_xlim(-0.5, len(steps) - 0.5)
        finish(bottom, "Return so far", "agent step", "")
        svg = to_svg(chart, "film", "Violation probability, cost and return along one evaluation episode")
        return svg, _edges(chart, bottom, len(steps))


def _edges(chart: Figure, axes: Axes, steps: int) -> tuple[float, float]:
    pixels = axes.transData.transform([(0, 0), (steps - 1, 0)])[:, 0]
    return tuple(float(value) / chart.bbox.width for value in pixels)  # type: ignore[return-value]


def spans(flags: np.ndarray) -> list[tuple[int, int]]:
    """Runs of True in `flags` (n,) as half-open ranges."""
    edges = np.flatnonzero(np.diff(np.concatenate([[0], flags.astype(int), [0]])))
    return [(int(start), int(end)) for start, end in edges.reshape(-1, 2)]
