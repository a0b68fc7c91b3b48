"""How sharply a world model sees what is near: the nearest hazard, read out of its states by a small network.

    python benchmarks/sight.py runs/fosp --dataset datasets/goal1

The dataset needs vectors beside what the model looks at, since lidar is the truth. The network is trained on four of
five of the episodes, and tested on the rest. "input" is the same network on the vectors themselves: what a perfect
memory of the present observation would give.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from fosp.agents.base import ModelBasedAgent
from fosp.data import Dataset, Replay
from fosp.envs import make_env
from fosp.envs.navigation.lidar import BINS, RANGE
from fosp.models.layers import mlp
from fosp.training.trained import load_trained

NEAR = 0.6  # metres


def main() -> None:
    """Read out and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", type=Path, nargs="+")
    parser.add_argument("--dataset", type=Path, required=True)
    parser.add_argument("--episodes", type=int, default=120, help="spread evenly over the dataset")
    parser.add_argument("--group", default="hazards", help="objects in the lidar")
    args = parser.parse_args()
    data = Dataset(args.dataset)
    numbers = np.unique(np.linspace(0, len(data) - 1, min(args.episodes, len(data))).round().astype(int))
    world = make_env(data.env_id, "vector").unwrapped.simulation  # type: ignore[attr-defined]
    world.reset(0)
    first = world.robot.sensors + BINS * list(world.world.groups).index(args.group)
    vectors = [torch.from_numpy(data.read(int(n), ["vector"]).observations["vector"]) for n in numbers]
    lidar = [vector[:, first : first + BINS] for vector in vectors]
    print(f"nearest of {args.group} within {NEAR} m: error in metres; in the right one of {BINS} directions")
    seen = torch.cat(vectors)
    scale = seen.std(0).clamp(min=1e-2)
    print(f"{'input':40} {sight([(v - seen.mean(0)) / scale for v in vectors], lidar)}", flush=True)
    for run in args.runs:
        agent = load_trained(run).agent
        if not isinstance(agent, ModelBasedAgent):
            parser.error(f"{run} holds no agent with a world model.")
        print(f"{run!s:40} {sight(list(states(agent, data, numbers)), lidar)}", flush=True)


@torch.no_grad()
def states(agent: ModelBasedAgent, data: Dataset, numbers: np.ndarray) -> Iterator[Tensor]:
    """Features of the posterior states of each episode, (n + 1, F)."""
    generator, model = torch.Generator(agent.device).manual_seed(0), agent.world_model
    for number in numbers:
        episode = data.read(int(number), agent.spaces)
        replay = Replay(len(episode) + 1, agent.spaces, agent.actions, agent.device)
        replay.add(episode)
        batch = {key: replay.rows(key).unsqueeze(0) for key in (*agent.spaces, "action", "is_first")}
        noise = agent.noise(*model.rssm.noise_shape(1, len(episode) + 1), generator=generator)
        yield model.observe(batch, noise).features[0].float().cpu()


def sight(inputs: list[Tensor], lidar: list[Tensor], updates: int = 1500) -> str:
    """Train the readout on four fifths of the episodes, and describe its errors on the rest."""
    torch.manual_seed(0)
    split = len(inputs) * 4 // 5
    x, y = torch.cat(inputs[:split]), torch.cat(lidar[:split])
    network = mlp(x.shape[1], 256, 2, BINS)
    optimiser = torch.optim.Adam(network.parameters(), 1e-3)
    schedule = torch.optim.lr_scheduler.LinearLR(optimiser, 1.0, 0.0, updates)
    for _ in range(updates):
        rows = torch.randint(len(x), (256,))
        F.mse_loss(network(x[rows]), y[rows]).backward()
        optimiser.step()
        optimiser.zero_grad()
        schedule.step()
    with torch.no_grad():
        read, true = network(torch.cat(inputs[split:])), torch.cat(lidar[split:])
    closeness, direction = true.max(1)
    near = closeness > 1 - NEAR / RANGE
    error = RANGE * (read.gather(1, direction[:, None])[:, 0] - closeness)[near]
    right = (read.argmax(1) == direction)[near].float().mean()
    return f"{error.square().mean().sqrt():.2f} m   {100 * right:.0f} %"


if __name__ == "__main__":
    main()
