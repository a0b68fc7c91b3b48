"""What a trained FOSP is worth with several candidates of each actor, followed in the world model for so many steps, at
several prices of costs, without training anew.

    python benchmarks/candidates.py runs/fosp --candidates 1 4 8 --prices 5 7 10
    python benchmarks/candidates.py runs/fosp --candidates 8 --lookahead 0 5 --prices 5 7 10

Tests are the evaluation's, in the run's environment, by default on its fixed seeds. With one candidate of one actor
there is no choice, and no price.
"""

from __future__ import annotations

import argparse
from itertools import product
from pathlib import Path

from fosp.agents.fosp import FOSP
from fosp.config import change, load_config
from fosp.training.evaluation import EVALUATION_SEED, evaluate
from fosp.training.rollout import open_environments
from fosp.training.trained import load_trained


def main() -> None:
    """Evaluate and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path, help="run directory of fosp pretrain or finetune")
    parser.add_argument("--candidates", type=int, nargs="+", default=[1, 4, 8])
    parser.add_argument("--lookahead", type=int, nargs="+", default=[0])
    parser.add_argument("--prices", type=float, nargs="+", default=[5.0, 7.0, 10.0])
    parser.add_argument("--episodes", type=int, default=20)
    parser.add_argument("--seed", type=int, default=EVALUATION_SEED, help="of the first test")
    parser.add_argument("--environments", type=int, default=1, help="stepping together (default: 1)")
    parser.add_argument("--out", type=Path, help="directory that keeps every test, for benchmarks/paired.py")
    parser.add_argument("--mode", choices=("mean", "sample"), default="mean")
    args = parser.parse_args()
    environment = open_environments(load_config(args.run / "config.yaml").env, args.environments)
    print(f"{'candidates':>10}  {'lookahead':>9}  {'price':>5}  {'reward':>7}  {'cost':>7}  without cost")
    for count, steps in product(args.candidates, args.lookahead):
        changes = {"behaviour.candidates": count, "behaviour.lookahead": steps}
        agent = load_trained(args.run, changes=changes).agent
        if not isinstance(agent, FOSP):
            parser.error(f"{args.run} holds no FOSP.")
        agent.config = change(agent.config, {"behaviour.expansion_price": "own"})
        for price in args.prices if agent.expanded or count > 1 else args.prices[:1]:
            agent.price.fill_(price)
            result = evaluate(
                agent, agent.config.env, args.episodes, mode=args.mode, first_seed=args.seed, environments=environment
            )
            if args.out:
                kept = args.out / f"candidates-{count}-lookahead-{steps}-price-{price:g}"
                kept.mkdir(parents=True, exist_ok=True)
                result.append_to(kept / "evaluations.jsonl", phase="offline", update=0, frames=0, cost_regret=None)
            free = sum(cost == 0 for cost in result.costs)
            row = f"{count:10}  {steps:9}  {price:5g}  {result.reward:7.2f}  {result.cost:7.2f}"
            print(f"{row}  {free} of {args.episodes}", flush=True)
    environment.close()


if __name__ == "__main__":
    main()
