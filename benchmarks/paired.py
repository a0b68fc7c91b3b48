"""Runs against others on the same layouts, pair by pair: how much more reward and cost, with 95% intervals.

    fosp evaluate --from runs/offline --episodes 100 --seed 1100000       # and so each of them
    python benchmarks/paired.py --runs runs/online0 runs/online1 --against runs/offline0 runs/offline1
    python benchmarks/paired.py --own --runs runs/online --against runs/otherwise    # what they did while they learned

Each pair is compared by its last evaluations on the same layouts; intervals are those of the mean over pairs, by a
bootstrap over layouts within each pair. Layouts differ far more than agents do: paired, a hundred tests tell apart what
twenty do not.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fosp.config import load_config
from fosp.data import Dataset
from fosp.report.runs import Evaluation, load_evaluations

RESAMPLES = 4_000


def own_episodes(run: Path) -> Evaluation:
    """The episodes of a fine-tuning, as if they were tests."""
    config, episodes = load_config(run / "config.yaml"), Dataset(run / "episodes").summaries()
    return Evaluation(
        phase="online",
        update=0,
        frames=sum(episode.frames for episode in episodes),
        agent=config.agent,
        mode="sample",
        env=config.env.id,
        observation=config.env.observation,
        seeds=tuple(episode.seed for episode in episodes if episode.seed is not None),
        returns=tuple(episode.total_reward for episode in episodes),
        costs=tuple(episode.total_cost for episode in episodes),
        lengths=tuple(episode.length for episode in episodes),
        cost_regret=None,
    )


def latest_on_the_same(ours: list[Evaluation], theirs: list[Evaluation]) -> tuple[Evaluation, Evaluation]:
    """The last two evaluations on equal layouts with as many episodes as both have; raises `SystemExit` without any."""
    pairs = [(a, b) for a in ours for b in theirs if (a.seeds, a.mode, a.env) == (b.seeds, b.mode, b.env)]
    if not pairs:
        raise SystemExit("No evaluation of one pair has the layouts of the other: fosp evaluate both with one --seed.")
    most = max(len(a.seeds) for a, _ in pairs)
    return [pair for pair in pairs if len(pair[0].seeds) == most][-1]


def interval(differences: list[NDArray[np.float64]]) -> tuple[float, float, float]:
    """Mean over pairs, and its 95% interval by resampling the layouts of each."""
    generator = np.random.default_rng(0)
    means = [np.mean([d[generator.integers(0, len(d), len(d))].mean() for d in differences]) for _ in range(RESAMPLES)]
    low, high = np.percentile(means, [2.5, 97.5])
    return float(np.mean([d.mean() for d in differences])), float(low), float(high)


def main() -> None:
    """Compare and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=Path, nargs="+", required=True)
    parser.add_argument("--against", type=Path, nargs="+", required=True, help="as many runs, in the same order")
    parser.add_argument(
        "--own", action="store_true", help="the runs' own episodes, against those of the others or tests on their seeds"
    )
    args = parser.parse_args()
    if len(args.runs) != len(args.against):
        parser.error("--runs and --against must name as many runs.")
    more: dict[str, list[NDArray[np.float64]]] = {"reward": [], "cost": []}
    for run, other in zip(args.runs, args.against, strict=True):
        candidates = load_evaluations(other)
        if args.own and (other / "episodes").exists():
            candidates.append(own_episodes(other))
        ours, theirs = latest_on_the_same([own_episodes(run)] if args.own else load_evaluations(run), candidates)
        for name, a, b in (("reward", ours.returns, theirs.returns), ("cost", ours.costs, theirs.costs)):
            more[name].append(np.subtract(a, b))
        for path, one in ((run, ours), (other, theirs)):
            free = sum(cost == 0 for cost in one.costs)
            print(f"{path}: {np.mean(one.returns):.2f} / {np.mean(one.costs):.2f}, {free} of {len(one.costs)} free")
    for name, differences in more.items():
        mean, low, high = interval(differences)
        print(f"{name}: {mean:+.2f} ({low:+.2f} to {high:+.2f}), {len(differences)} pairs")


if __name__ == "__main__":
    main()
