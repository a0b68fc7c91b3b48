"""The paper's experiments: list, run, status, report."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import tyro
from rich.console import Console
from rich.table import Table

Names = Annotated[tuple[str, ...], tyro.conf.Positional]
ScaleName = Literal["test", "laptop", "paper"]


def list_(*, scale: ScaleName = "laptop") -> None:
    """Every experiment: what it shows, and its runs and gradient updates.

    Args:
        scale: Whose seeds and budgets are counted.
    """
    from fosp.experiments.grids import GRIDS
    from fosp.experiments.plan import expand
    from fosp.experiments.stages import Evaluated, Online

    table = Table("Experiment", "What", "In the paper", box=None, pad_edge=False, header_style="bold")
    for title in ("Offline", "Online", "Updates"):
        table.add_column(title, justify="right")
    for grid in GRIDS.values():
        runs = [stage for stage in expand([grid], scale) if isinstance(stage, Evaluated)]
        online = sum(isinstance(run, Online) for run in runs)
        updates = sum(run.updates for run in runs)
        table.add_row(grid.name, grid.title, grid.shows, str(len(runs) - online), str(online), f"{updates:,}")
    Console(width=max(Console().width, 110), highlight=False).print(table)


def run(
    names: Names,
    /,
    *,
    scale: ScaleName = "laptop",
    out: Path = Path("experiments"),
    seeds: tuple[int, ...] = (),
    only: tuple[str, ...] = (),
    address: str | None = None,
    cpus: float = 1.0,
    gpus: float | None = None,
) -> int:
    """Run experiments on Ray: what is finished is not repeated, what was interrupted goes on from its checkpoint.

    Exits with 1 where a stage failed; what did not need it has been done nevertheless.

    Args:
        names: One or several, which then share the runs that they have in common.
        scale: Budgets: test (seconds a run), laptop (hours for an experiment), paper.
        out: Directory of the experiments; on a cluster, one that every machine sees under this path.
        seeds: Seeds (default: those of the scale).
        only: Words; only rows with one of them in the name of a run, as --only PointGoal1-vector.
        address: Address of a Ray cluster that this machine is of, as HOST:6379 (default: this machine alone).
        cpus: CPUs of one stage, which is also its number of threads.
        gpus: GPUs that one training takes, as 0.25 for four on one (default: a whole one if there is any).
    """
    from fosp.experiments.cluster import do_all
    from fosp.experiments.plan import expand, find
    from fosp.training.progress import make_progress

    root, progress = out.resolve() / scale, make_progress()
    stages = expand(find(names), scale, seeds, only)
    try:
        failures = do_all(stages, root, progress, address=address, cpus=cpus, gpus=gpus)
    finally:
        progress.close()
    for name, reason in failures.items():
        print(f"failed: {name}: {reason}")
    if failures:
        print(f"{len(failures)} of {len(stages)} stages are not done; their logs are in {root / 'logs'}.")
        return 1
    print(f"Done: {len(stages)} stages in {root}. Next: fosp experiment report {names[0]} --scale {scale}")
    return 0


def status(
    names: Names,
    /,
    *,
    scale: ScaleName = "laptop",
    out: Path = Path("experiments"),
    seeds: tuple[int, ...] = (),
    only: tuple[str, ...] = (),
) -> None:
    """How far every dataset and run of experiments is.

    Args:
        names: One or several experiments.
        scale: Scale at which they run.
        out: Directory of the experiments.
        seeds: Seeds (default: those of the scale).
        only: Words; only rows with one of them in the name of a run.
    """
    from fosp.experiments.plan import expand, find

    root = out.resolve() / scale
    stages = expand(find(names), scale, seeds, only)
    shares = [stage.share_done(root) for stage in stages]
    for stage, share in zip(stages, shares, strict=True):
        print(f"{'done' if share == 1 else f'{100 * share:.0f}%':>5}  {stage.name}")
    print(f"{sum(share == 1 for share in shares)} of {len(stages)} done")


def report(
    name: Annotated[str, tyro.conf.Positional],
    /,
    *,
    scale: ScaleName = "laptop",
    out: Path = Path("experiments"),
    seeds: tuple[int, ...] = (),
    only: tuple[str, ...] = (),
    page: Path | None = None,
) -> None:
    """Write a page with the experiment's tables and learning curves, the paper's figures beside ours.

    Args:
        name: Experiment.
        scale: Scale at which it ran.
        out: Directory of the experiments.
        seeds: Seeds (default: those of the scale).
        only: Words; only rows with one of them in the name of a run.
        page: Markdown file to write; pictures go into a folder of its name (default: reports/NAME.md in the directory).
    """
    from fosp.experiments.page import write_page
    from fosp.experiments.plan import find

    root = out.resolve() / scale
    (grid,) = find([name])
    print(write_page(grid, scale, seeds, root, page or root / "reports" / f"{name}.md", only))
