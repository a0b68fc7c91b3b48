"""Results on the terminal."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console
from rich.table import Table

from fosp.data import DatasetInfo
from fosp.report.markup import number
from fosp.report.results import Result
from fosp.report.statistics import Estimate
from fosp.training.diagnosis import Finding


def print_results(results: Sequence[Result]) -> None:
    """Reward, cost and cost regret of every agent, with 95% intervals over evaluation episodes."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("Agent")
    for title in ("Reward", "95% interval", "Cost", "95% interval", "Cost regret", "Episodes"):
        table.add_column(title, justify="right")
    for result in results:
        table.add_row(
            result.label,
            *_columns(result.reward),
            *_columns(result.cost),
            number(result.cost_regret.mean) if result.cost_regret else "-",
            str(len(result.returns)),
        )
    Console(width=max(Console().width, 110), highlight=False).print(table)


def print_findings(findings: Sequence[Finding]) -> None:
    """Estimates beside what happened."""
    table = Table("Estimate of", box=None, pad_edge=False, header_style="bold")
    for title in ("Estimated mean", "True mean", "Correlation", "AUC", "Steps"):
        table.add_column(title, justify="right")
    for f in findings:
        figures = ("-" if x != x else f"{x:.3f}" for x in (f.estimate, f.truth, f.correlation, f.auc))
        table.add_row(f.name, *figures, str(f.steps))
    Console(width=max(Console().width, 110), highlight=False).print(table)


def print_datasets(infos: Sequence[DatasetInfo]) -> None:
    """What each dataset holds, and the mean return and cost of each behaviour in it."""
    for info in infos:
        shapes = ", ".join(f"{key} {'x'.join(map(str, shape))}" for key, shape in sorted(info.observation_spec.items()))
        exact = "exact" if info.lossless else "images went through JPEG"
        print(f"{info.path}: {info.env_id}, {shapes}, action {info.action_size}")
        print(f"{info.episodes} episodes, {info.steps} steps, {info.frames} frames, {info.bytes / 1e6:.1f} MB, {exact}")
        table = Table("Behaviour", box=None, pad_edge=False, header_style="bold")
        for title in ("Episodes", "Mean return", "Mean cost"):
            table.add_column(title, justify="right")
        for name, behaviour in info.behaviours.items():
            table.add_row(name, str(behaviour.count), number(behaviour.mean_return), number(behaviour.mean_cost))
        Console(highlight=False).print(table)


def _columns(estimate: Estimate) -> tuple[str, str]:
    if estimate.low is None or estimate.high is None:
        return number(estimate.mean), "-"
    return number(estimate.mean), f"{number(estimate.low)} .. {number(estimate.high)}"
