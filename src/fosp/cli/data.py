"""Data: collect, and dataset info, mix, import, export."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Literal

import tyro

from fosp.errors import InputError

Datasets = Annotated[tuple[Path, ...], tyro.conf.Positional]


def collect(
    *,
    env: str | None = None,
    policy: tuple[str, ...] = ("safe", "unsafe", "random"),
    episodes: int = 60,
    out: Path,
    observation: Literal["image", "vector", "both"] = "both",
    action_repeat: int | None = None,
    workers: int = os.cpu_count() or 1,
    seed: int = 0,
    mode: Literal["mean", "sample"] = "sample",
    device: str = "auto",
) -> None:
    """Record episodes into a dataset; stopped at any moment, the same command goes on after the last whole episode.

    Args:
        env: Environment id, see fosp envs (default: SafetyPointGoal1-v0, or the run directory's).
        policy: Scripted behaviours that take turns, also in proportions (safe=2 random=1), or one run directory.
        episodes: Episodes that the dataset is to have in the end.
        out: Dataset directory; a Minari dataset.
        observation: What is recorded; a run directory records what its agent sees.
        action_repeat: Frames for which one action is held (default: the environment's own; a run directory keeps its).
        workers: Processes of scripted behaviours; the data do not depend on their number.
        seed: Seed of the first episode; the next ones count up.
        mode: Whether the agent of a run directory takes its mean action or draws one.
        device: auto, cpu or cuda, for the agent of a run directory.
    """
    from fosp.cli.policies import is_behaviour, turns
    from fosp.cli.recording import record_agent
    from fosp.config import EnvConfig
    from fosp.data import collect as play
    from fosp.data import episodes_recorded
    from fosp.training.progress import make_progress

    progress = make_progress()
    progress.start(episodes, "collect", episodes_recorded(out))
    try:
        if all(is_behaviour(word) for word in policy):
            play(
                env or EnvConfig().id,
                turns(policy),
                episodes,
                out,
                seed=seed,
                workers=workers,
                observation=observation,
                action_repeat=action_repeat,
                on_episode=lambda done, summary: progress.update(return_=summary.total_reward, cost=summary.total_cost),
            )
        elif len(policy) == 1:
            record_agent(Path(policy[0]), env, action_repeat, episodes, out, seed, mode, device, progress)
        else:
            raise InputError("--policy takes either scripted behaviours or one run directory, not both.")
    finally:
        progress.close()
    info((out,))


def info(datasets: Datasets, /) -> None:
    """What datasets hold: episodes, steps, shapes, size, return and cost of each behaviour."""
    if not datasets:
        raise InputError("fosp dataset info needs at least one dataset directory.")
    from fosp.cli.tables import print_datasets
    from fosp.data import Dataset

    print_datasets([Dataset(path).info() for path in datasets])


def mix(datasets: Datasets, /, *, counts: tuple[str, ...], out: Path) -> None:
    """Write a dataset with so many episodes of each behaviour, taken in order and spread evenly.

    Args:
        datasets: Where the episodes come from.
        counts: As in: --counts safe=200 unsafe=100 random=100
        out: Dataset directory to write.
    """
    from fosp.cli.policies import parse_counts
    from fosp.data import mix as mix_datasets

    mix_datasets(datasets, parse_counts(counts), out)
    info((out,))


def import_(
    folder: Annotated[Path, tyro.conf.Positional],
    /,
    *,
    out: Path,
    env: str,
    action_repeat: int = 1,
    behaviour: str = "imported",
) -> None:
    """Write a dataset from a folder of .npz files, one an episode.

    Each file holds image (n+1, H, W, C) uint8 and/or vector (n+1, D); action (n, A) in [-1, 1]; reward (n,);
    cost (n,); terminated; and, if known, behaviour, seed, frames, cost_<kind> (n,).

    Args:
        folder: Where the files are.
        out: Dataset directory to write.
        env: Environment id in which a policy trained on the data is to act.
        action_repeat: Frames for which each action was held.
        behaviour: Name of the policy where a file tells none.
    """
    from fosp.data import import_npz
    from fosp.training.progress import make_progress

    progress = make_progress()
    progress.start(len(list(folder.glob("*.npz"))), "import")
    try:
        import_npz(
            folder,
            out,
            env_id=env,
            action_repeat=action_repeat,
            behaviour=behaviour,
            on_episode=lambda done, total: progress.update(),
        )
    finally:
        progress.close()
    info((out,))


def export(dataset: Annotated[Path, tyro.conf.Positional], /, *, out: Path) -> None:
    """Write every episode of a dataset as an .npz file; fosp dataset import --help names the arrays.

    Args:
        dataset: Dataset directory.
        out: Folder to write into.
    """
    from fosp.data import Dataset, export_npz
    from fosp.training.progress import make_progress

    source, progress = Dataset(dataset), make_progress()
    progress.start(len(source), "export")
    try:
        export_npz(source, out, on_episode=lambda done, total: progress.update())
    finally:
        progress.close()
    print(out)
