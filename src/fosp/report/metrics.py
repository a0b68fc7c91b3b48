"""The section of training curves: every logged metric, grouped by what it tells."""

from __future__ import annotations

import html
from collections.abc import Sequence

import numpy as np

from fosp.report import charts
from fosp.report.markup import absent, number, table
from fosp.report.results import metric_names
from fosp.report.runs import Run

HIDDEN = {"evaluation"}  # drawn with intervals as learning curves
# Metric group -> heading and how to read it. Groups not named here follow at the end, folded away.
GROUPS = {
    "train": ("Episodes while training", "Return and cost of the episodes that the agent collected; cost per frame."),
    "calibration": (
        "Calibration",
        "Estimates along evaluation episodes against what then happened: mean estimate, mean error (estimate minus "
        "outcome), correlation. An error near 0 and a high correlation are good.",
    ),
    "weights": (
        "Weights of the actor's loss",
        "Distribution of the weights w on the log-probability of actions. A small effective share means that few steps "
        "carry the loss; feasibility is the mean of u = 1 - p.",
    ),
    "expansion": (
        "Hand-over between the two actors",
        "Share of steps taken by the new actor, and the scores Q~ between which the choice is made.",
    ),
    "world_model": ("World model", "Divergence of posterior and prior in nats, and the entropy of both."),
    "value": ("Values", "Mean values of the batch's states and mean imagined returns, of reward and of cost."),
    "reachability": (
        "Reachability",
        "Mean target of p(s) on real and imagined states, and the share of violations among them.",
    ),
    "multiplier": ("Multiplier", "lambda_p and mu of the augmented Lagrangian."),
    "actor": ("Actor", "Entropy, penalty and log-probability in the actor's loss."),
    "loss": ("Losses", "As minimised. Losses of critics and actor follow moving targets: compare shapes, not levels."),
    "gradient": ("Gradients", "Norms before clipping."),
}


def training(runs: Sequence[Run]) -> str:
    """Every logged metric as small multiples, by phase and group."""
    parts: list[str] = []
    for phase, heading, clock in (("offline", "Offline", "updates"), ("online", "Online", "frames")):
        groups = _groups(metric_names(runs, phase))
        if not groups:
            continue
        involved = [run for run in runs if any(row.get("phase") == phase for row in run.metrics)]
        blocks = [_metric_group(involved, phase, clock, group, names) for group, names in groups.items()]
        legend = f"Runs: {', '.join(run.path.name for run in involved)}. " if len(involved) > 1 else ""
        note = f'<p class="muted">{html.escape(legend)}Thin: as logged. Thick: running median.</p>'
        parts.append(f"<details open><summary>{heading} training</summary>{note}{''.join(blocks)}</details>")
    return "".join(parts) or absent("No metrics were logged in these runs.")


def _groups(names: Sequence[str]) -> dict[str, list[str]]:
    order = [*GROUPS, *sorted({name.partition("/")[0] for name in names} - set(GROUPS) - HIDDEN)]
    grouped = {group: [name for name in names if name.startswith(f"{group}/")] for group in order}
    return {group: members for group, members in grouped.items() if members}


def merged(x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Means of `y` (n,) over equal `x` (n,), as when several updates follow one episode; both (m,) with x rising."""
    places, inverse = np.unique(x, return_inverse=True)
    return places, np.bincount(inverse, y) / np.bincount(inverse)


def _metric_group(runs: Sequence[Run], phase: str, clock: str, group: str, names: Sequence[str]) -> str:
    panels = []
    for name in names:
        lines = [(run.path.name, *merged(*series)) for run in runs if len((series := run.series(phase, name))[0])]
        panels.append((name.partition("/")[2].replace("_", " "), lines))
    heading, text = GROUPS.get(group, (group.capitalize(), ""))
    parts = [f'<h3>{heading}</h3><p class="muted">{text}</p>']
    curves = [(title, lines) for title, lines in panels if any(len(x) > 1 for _, x, _ in lines)]
    if curves:
        parts.append(f'<div class="scroll">{charts.metrics_chart(f"{phase}-{group}", curves, clock)}</div>')
    once = [(title, lines) for title, lines in panels if all(len(x) == 1 for _, x, _ in lines)]
    if once:
        head = ("Measured once", *(html.escape(run.path.name) for run in runs))
        values = [(title, {name: number(float(y[0])) for name, _, y in lines}) for title, lines in once]
        rows = [("", (title, *(found.get(run.path.name, "-") for run in runs))) for title, found in values]
        parts.append(table(head, rows))
    return "".join(parts)
