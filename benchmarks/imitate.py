"""How well a behaviour can be copied at all: cloning from vectors without a world model, then tests.

    python benchmarks/imitate.py datasets/goal1 --behaviours safe

An upper bound for cloning on a world model's states, and a lower one for what a dataset's safe behaviour can teach: one
that acts by what no sensor tells cannot be copied however long one trains. Tests are the evaluation's.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import torch

from fosp.data import Dataset
from fosp.envs import make_env
from fosp.errors import InputError
from fosp.models.actor import Actor
from fosp.training.evaluation import EVALUATION_SEED


def main() -> None:
    """Train, test and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("dataset", type=Path)
    parser.add_argument("--behaviours", nargs="*", help="whose episodes (default: all)")
    parser.add_argument("--updates", type=int, default=3000, help="of 256 steps each")
    parser.add_argument("--episodes", type=int, default=20)
    args = parser.parse_args()
    data = Dataset(args.dataset)
    episodes = [e for e in data.episodes(["vector"]) if not args.behaviours or e.behaviour in args.behaviours]
    if not episodes:
        raise InputError(f"{args.dataset} has no episode of {' or '.join(args.behaviours)}.")
    seen = torch.from_numpy(np.concatenate([e.observations["vector"][:-1] for e in episodes]))
    done = torch.from_numpy(np.concatenate([e.actions for e in episodes]))
    mean, scale = seen.mean(0), seen.std(0).clamp(min=1e-2)
    torch.manual_seed(0)
    actor = Actor(seen.shape[1], done.shape[1], 512, 3)
    optimiser = torch.optim.AdamW(actor.parameters(), 3e-4, weight_decay=1e-2)
    schedule = torch.optim.lr_scheduler.LinearLR(optimiser, 1.0, 0.0, args.updates)
    for _ in range(args.updates):
        rows = torch.randint(len(seen), (256,))
        (-actor((seen[rows] - mean) / scale).log_prob(done[rows])).mean().backward()
        optimiser.step()
        optimiser.zero_grad()
        schedule.step()
    env, returns, costs = make_env(data.env_id, "vector"), [], []
    for seed in range(EVALUATION_SEED, EVALUATION_SEED + args.episodes):
        observation, _ = env.reset(seed=seed)
        total = cost = 0.0
        over = False
        while not over:
            with torch.no_grad():
                action = actor((torch.from_numpy(observation["vector"]) - mean) / scale).mode.numpy()
            observation, reward, terminated, truncated, info = env.step(action)
            total, cost, over = total + float(reward), cost + info["cost"], terminated or truncated
        returns.append(total)
        costs.append(cost)
    print(f"{len(episodes)} episodes: reward {np.mean([e.total_reward for e in episodes]):.1f}, "
          f"cost {np.mean([e.total_cost for e in episodes]):.1f}")  # fmt: skip
    print(f"copied: reward {np.mean(returns):.1f}, cost {np.mean(costs):.1f}, median {np.median(costs):.0f}, "
          f"{sum(cost == 0 for cost in costs)} of {args.episodes} without cost")  # fmt: skip


if __name__ == "__main__":
    main()
