"""Sections of the page made of figures and tables: each says in one line why it has nothing to show."""

from __future__ import annotations

import html
from collections.abc import Sequence

import numpy as np

from fosp.config import PRESETS, flatten
from fosp.report import charts
from fosp.report.markup import absent, figure, interval, table
from fosp.report.results import AGENT_NAMES, evaluation_curves, final_results
from fosp.report.runs import DatasetSummary, Run
from fosp.report.statistics import bootstrap_mean


def header(runs: Sequence[Run]) -> str:
    """Title and the facts of the runs: task, settings, budget, machine."""
    config = runs[0].config
    envs = sorted({run.config.env.id for run in runs})
    facts = {
        "Environment": ", ".join(envs),
        "Observation": f"{config.env.observation}, action repeat {config.env.action_repeat}",
        "Episodes": f"{config.env.time_limit} frames",
    }
    machines = {tuple(run.machine.items()): None for run in runs if run.machine}
    for machine in machines:
        known = dict(machine)
        facts |= {"Machine": f"{known['processor']}, {known['memory']}", "Accelerator": known["accelerator"]}
        facts["Versions"] = ", ".join(
            f"{k} {v}" for k, v in known.items() if k in ("python", "torch", "mujoco", "gymnasium")
        )
    rows = "".join(f"<div><dt>{k}</dt><dd>{html.escape(v)}</dd></div>" for k, v in facts.items())
    return (
        f"<h1>{html.escape(', '.join(envs))}</h1>"
        '<p class="lead">A safe policy learned from recorded data through a world model, then fine-tuned online.</p>'
        f'<dl class="facts">{rows}</dl>'
        + table(("Run", "Agent", "Preset", "Seed", "Updates", "Frames", "Time"), [_run_row(run) for run in runs])
    )


def _run_row(run: Run) -> tuple[str, tuple[str, ...]]:
    last = run.metrics[-1] if run.metrics else {}
    seconds = last.get("seconds", 0.0)
    return "", (
        html.escape(run.path.name),
        html.escape(AGENT_NAMES.get(run.config.agent, run.config.agent)),
        html.escape(run.config.preset),
        str(run.config.seed),
        f"{last.get('update', 0):,}",
        f"{last.get('frames', 0):,}",
        f"{seconds / 3600:.1f} h" if seconds >= 3600 else f"{seconds / 60:.1f} min",
    )


def results(runs: Sequence[Run]) -> str:
    """Final table and its chart."""
    rows = final_results(runs)
    if not rows:
        return absent("No evaluations yet: fosp evaluate adds them.")
    cells = [
        (
            "ours" if row.agent == "fosp" else "",
            (
                html.escape(row.label),
                interval(row.reward),
                interval(row.cost),
                f"{100 * row.safe_share:.0f}%",
                interval(row.cost_regret) if row.cost_regret else "-",
                f"{len(row.returns)}" + (f" ({row.runs} runs)" if row.runs > 1 else ""),
            ),
        )
        for row in rows
    ]
    drawn = [row for row in rows if row.mode == "mean" or not row.phase] or rows
    caption = "<b>Reward and cost</b> of mean actions. Dots are means over episodes, bars their 95% intervals."
    return (
        "<p>Means over evaluation episodes of the undiscounted sums of reward and cost, with the 95% percentile "
        "bootstrap interval in brackets. Cost regret is the cost per frame of online training. "
        "The aim is high reward at a cost of zero.</p>"
        + table(("Agent", "Reward", "Cost", "Cost-free episodes", "Cost regret", "Episodes"), cells)
        + figure(charts.results_chart(drawn), caption)
    )


def curves(runs: Sequence[Run]) -> str:
    """Evaluations over training."""
    offline, online = evaluation_curves(runs, "offline"), evaluation_curves(runs, "online")
    if not offline and not online:
        return absent("No agent was evaluated more than once while it trained, so there is no curve to draw.")
    counts = sorted({item.n for curve in (*offline, *online) for item in curve.reward})
    n = f"{counts[0]} to {counts[-1]}" if len(counts) > 1 else f"{counts[0]}"
    caption = (
        "<b>Evaluation episodes over training.</b> Mean-action policy on fixed seeds; lines are means, bands 95% "
        f"bootstrap intervals over n = {n} episodes a point."
    )
    return figure(charts.curves_chart(offline, online), caption)


def dataset(summary: DatasetSummary | None) -> str:
    """Return and cost by behaviour."""
    if summary is None:
        return absent("No dataset summary was saved with these runs; fosp report --dataset adds it.")
    rows = []
    for name in sorted(set(summary.behaviours)):
        mine = np.array(summary.behaviours) == name
        returns, costs = np.array(summary.returns)[mine], np.array(summary.costs)[mine]
        share = f"{100 * np.mean(costs == 0):.0f}%"
        cells = (html.escape(name), str(mine.sum()), *(interval(bootstrap_mean(v)) for v in (returns, costs)), share)
        rows.append(("", cells))
    caption = (
        f"<b>{html.escape(summary.name)}.</b> Each dot is one of the {len(summary.returns)} episodes "
        f"({summary.steps:,} agent steps): its undiscounted return against its undiscounted cost, "
        "by the behaviour that collected it."
    )
    head = ("Behaviour", "Episodes", "Return", "Cost", "Cost-free episodes")
    return figure(charts.scatter_chart(summary), caption) + table(head, rows)


def settings(runs: Sequence[Run]) -> str:
    """Every setting of every run; those that differ from the preset stand out."""
    parts = []
    for run in runs:
        base = dict(flatten(PRESETS[run.config.preset])) if run.config.preset in PRESETS else {}
        rows = [
            ("" if base.get(name) == value else "changed", (name, html.escape(str(value)), str(base.get(name, ""))))
            for name, value in flatten(run.config)
        ]
        head = ("Setting", "Value", f"Preset {html.escape(run.config.preset)}")
        parts.append(
            f"<details><summary>{html.escape(run.path.name)}</summary>{table(head, rows, 'settings')}</details>"
        )
    return "".join(parts)
