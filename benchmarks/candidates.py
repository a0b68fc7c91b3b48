"""What a trained FOSP is worth with several candidates of each actor at several prices of costs, without training anew.

    python benchmarks/candidates.py runs/fosp --candidates 1 4 8 --prices 0.5 1 2

Tests are the evaluation's, in the run's environment and on its fixed seeds. With one candidate of one actor there is no
choice, and no price.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from fosp.agents.fosp import FOSP
from fosp.config import change
from fosp.models.expansion import spread_points
from fosp.training.evaluation import evaluate
from fosp.training.rollout import open_environments
from fosp.training.trained import load_trained


def main() -> None:
    """Evaluate and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path, help="run directory of fosp pretrain or finetune")
    parser.add_argument("--candidates", type=int, nargs="+", default=[1, 4, 8])
    parser.add_argument("--prices", type=float, nargs="+", default=[0.5, 1.0, 2.0])
    parser.add_argument("--episodes", type=int, default=20)
    parser.add_argument("--environments", type=int, default=1, help="stepping together (default: 1)")
    parser.add_argument("--mode", choices=("mean", "sample"), default="mean")
    args = parser.parse_args()
    agent = load_trained(args.run).agent
    if not isinstance(agent, FOSP):
        parser.error(f"{args.run} holds no FOSP.")
    environment = open_environments(agent.config.env, args.environments)
    print(f"{'candidates':>10}  {'price':>5}  {'reward':>7}  {'cost':>7}  without cost")
    for count in args.candidates:
        agent.config = change(agent.config, {"behaviour.candidates": count, "behaviour.expansion_price": "own"})
        agent.offers = spread_points(count - 1, agent.actions).to(agent.device) if count > 1 else None
        for price in args.prices if agent.expanded or count > 1 else args.prices[:1]:
            agent.price.fill_(price)
            result = evaluate(agent, agent.config.env, args.episodes, mode=args.mode, environments=environment)
            free = sum(cost == 0 for cost in result.costs)
            row = f"{count:10}  {price:5g}  {result.reward:7.2f}  {result.cost:7.2f}  {free} of {args.episodes}"
            print(row, flush=True)
    environment.close()


if __name__ == "__main__":
    main()
