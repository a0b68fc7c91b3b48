"""What a fine-tuned FOSP's two actors are worth by themselves: the choice of Eq. 21 forced to one of them, then free.

    python benchmarks/actors.py runs/online --episodes 20

Tests are the evaluation's, in the run's environment and on its fixed seeds.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor

from fosp.agents.fosp import FOSP
from fosp.training.evaluation import evaluate
from fosp.training.rollout import open_environments
from fosp.training.trained import load_trained


def main() -> None:
    """Evaluate and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path, help="run directory of fosp finetune, with expansion")
    parser.add_argument("--episodes", type=int, default=20)
    parser.add_argument("--mode", choices=("mean", "sample"), default="mean")
    args = parser.parse_args()
    agent = load_trained(args.run).agent
    if not isinstance(agent, FOSP) or not agent.expanded:
        parser.error(f"{args.run} holds no FOSP with two actors.")
    environments = open_environments(agent.config.env, 1)
    choices = {"frozen actor": (1.0, 0.0), "new actor": (0.0, 1.0), "both": None}
    print(f"{'':12}  reward    cost  success  violation")
    for name, scores in choices.items():
        if scores is None:
            del agent.score
        else:
            agent.score = forced(scores)  # type: ignore[method-assign]
        result = evaluate(agent, agent.config.env, args.episodes, mode=args.mode, environments=environments)
        success, violation = (
            100 * sum(value > 0 for value in values) / args.episodes for values in (result.returns, result.costs)
        )
        print(f"{name:12} {result.reward:7.2f} {result.cost:7.2f} {success:7.0f}% {violation:9.0f}%", flush=True)
    environments.close()


def forced(scores: tuple[float, float]) -> Callable[..., Tensor]:
    """A score (Eq. 22) that is the same for every state and action."""

    def score(s: Tensor, action: Tensor, noise: Tensor | None) -> Tensor:
        each = torch.tensor(scores, device=s.device).repeat_interleave(action.shape[1] // 2)
        return each.expand(s.shape[:-1])

    return score


if __name__ == "__main__":
    main()
