"""Whether Recovery RL's recovery comes in time: what a trained agent is worth at several thresholds of Q_risk, without
training anew, and how often recovery is at work before a violation begins.

    python benchmarks/recovery.py runs/recovery --thresholds 0.05 0.1 0.2 0.3

Tests are the evaluation's, in the run's environment and on its fixed seeds.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from fosp.agents.recovery_rl import RecoveryRL
from fosp.config import change, load_config
from fosp.training.evaluation import evaluate
from fosp.training.rollout import Rollout, open_environments
from fosp.training.trained import load_trained

BEFORE = (0, 1, 5)  # steps before the one that brought the first cost


def main() -> None:
    """Evaluate and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path, help="run directory of Recovery RL")
    parser.add_argument("--thresholds", type=float, nargs="+", default=[0.05, 0.1, 0.2, 0.3])
    parser.add_argument("--episodes", type=int, default=20)
    args = parser.parse_args()
    environment = open_environments(load_config(args.run / "config.yaml").env, 1)
    agent = load_trained(args.run).agent
    if not isinstance(agent, RecoveryRL):
        parser.error(f"{args.run} holds no Recovery RL.")
    steps = "  ".join(f"{f'{k} before':>8}" for k in BEFORE)
    print(f"{'threshold':>9}  {'reward':>7}  {'cost':>7}  without cost  recovering  violations  {steps}")
    for threshold in args.thresholds:
        agent.config = change(agent.config, {"recovery_rl.threshold": threshold})
        result = evaluate(agent, agent.config.env, args.episodes, environments=environment)
        free = f"{sum(cost == 0 for cost in result.costs)} of {args.episodes}"
        share = np.concatenate([rollout.info["recovering"] for rollout in result.rollouts]).mean()
        began = np.array(list(before_violations(result.rollouts))).reshape(-1, len(BEFORE))
        warned = "  ".join(f"{x:8.0%}" for x in began.mean(0)) if len(began) else ""
        row = f"{threshold:9g}  {result.reward:7.2f}  {result.cost:7.2f}  {free:>12}  {share:10.0%}"
        print(f"{row}  {len(began):10}  {warned}", flush=True)
    environment.close()


def before_violations(rollouts: Iterable[Rollout]) -> Iterable[list[bool]]:
    """For every beginning of a run of costly steps, whether recovery acted so many steps `BEFORE` it."""
    for rollout in rollouts:
        costly = rollout.episode.costs > 0
        for step in np.flatnonzero(costly & ~np.concatenate([[False], costly[:-1]])):
            yield [bool(step >= k and rollout.info["recovering"][step - k]) for k in BEFORE]


if __name__ == "__main__":
    main()
