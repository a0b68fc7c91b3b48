"""How well a behaviour can be copied at all: cloning from vectors without a world model, then tests.

    python benchmarks/imitate.py datasets/goal1 --behaviours safe --bins 0 16

An upper bound for cloning on a world model's states, and a lower one for what a dataset's safe behaviour can teach: one
that acts by what no sensor tells cannot be copied however long one trains. Tests are the evaluation's.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from fosp.data import Dataset
from fosp.envs import make_env
from fosp.errors import InputError
from fosp.models.actor import Actor
from fosp.models.distributions import piecewise_linear
from fosp.training.evaluation import EVALUATION_SEED


def main() -> None:
    """Train, test and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("dataset", type=Path)
    parser.add_argument("--behaviours", nargs="*", help="whose episodes (default: all)")
    parser.add_argument("--bins", type=int, nargs="+", default=[16], help="of world_model.vector_bins; 0: none")
    parser.add_argument("--updates", type=int, default=3000, help="of 256 steps each")
    parser.add_argument("--episodes", type=int, default=20)
    args = parser.parse_args()
    data = Dataset(args.dataset)
    episodes = [e for e in data.episodes(["vector"]) if not args.behaviours or e.behaviour in args.behaviours]
    if not episodes:
        raise InputError(f"{args.dataset} has no episode of {' or '.join(args.behaviours)}.")
    seen = torch.from_numpy(np.concatenate([e.observations["vector"][:-1] for e in episodes]))
    done = torch.from_numpy(np.concatenate([e.actions for e in episodes]))
    print(f"{len(episodes)} episodes: reward {np.mean([e.total_reward for e in episodes]):.1f}, "
          f"cost {np.mean([e.total_cost for e in episodes]):.1f}")  # fmt: skip
    for bins in args.bins:
        returns, costs = tests(copy(seen, done, bins, args.updates), data.env_id, args.episodes)
        print(f"copied, {bins} bins: reward {np.mean(returns):.1f}, cost {np.mean(costs):.1f}, median "
              f"{np.median(costs):.0f}, {sum(cost == 0 for cost in costs)} of {args.episodes} without cost",
              flush=True)  # fmt: skip


def copy(seen: Tensor, done: Tensor, bins: int, updates: int) -> Callable[[Tensor], Tensor]:
    """The policy that took the actions `done` (N, A) where it had `seen` (N, D), by maximum likelihood."""
    mean, scale = seen.mean(0), seen.std(0).clamp(min=1e-2)
    low, high = torch.aminmax(seen, dim=0)
    width = (high - low).clamp(min=1e-2) / max(bins, 1)

    def encode(vector: Tensor) -> Tensor:
        return torch.cat([(vector - mean) / scale, piecewise_linear(vector, low, width, bins)], -1)

    torch.manual_seed(0)
    actor = Actor(encode(seen[:1]).shape[1], done.shape[1], 512, 3)
    optimiser = torch.optim.AdamW(actor.parameters(), 3e-4, weight_decay=1e-2)
    schedule = torch.optim.lr_scheduler.LinearLR(optimiser, 1.0, 0.0, updates)
    for _ in range(updates):
        rows = torch.randint(len(seen), (256,))
        (-actor(encode(seen[rows])).log_prob(done[rows])).mean().backward()
        optimiser.step()
        optimiser.zero_grad()
        schedule.step()
    return torch.no_grad()(lambda vector: actor(encode(vector)).mode)


def tests(policy: Callable[[Tensor], Tensor], env_id: str, episodes: int) -> tuple[list[float], list[float]]:
    """Rewards and costs of so many episodes on the evaluation's seeds."""
    env, returns, costs = make_env(env_id, "vector"), [], []
    for seed in range(EVALUATION_SEED, EVALUATION_SEED + episodes):
        observation, _ = env.reset(seed=seed)
        total = cost = 0.0
        over = False
        while not over:
            action = policy(torch.from_numpy(observation["vector"])).numpy()
            observation, reward, terminated, truncated, info = env.step(action)
            total, cost, over = total + float(reward), cost + info["cost"], terminated or truncated
        returns.append(total)
        costs.append(cost)
    return returns, costs


if __name__ == "__main__":
    main()
