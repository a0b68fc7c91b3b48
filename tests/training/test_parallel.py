"""Two processes that train one run: the gradients of one with twice the batch, one who writes, and exact resuming."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch import multiprocessing

from fosp import parallel
from fosp.agents.fosp import FOSP
from fosp.data import Replay
from fosp.models.rssm import Latent
from fosp.training.offline import pretrain
from resuming import lines, settings
from tiny import play, random_batch, tiny_agent, write_dataset

ROWS, STEPS = 4, 6


FORESIGHT = 2


def gradients(rows: slice) -> dict[str, torch.Tensor]:
    """Of all losses of FOSP on some rows of a batch in which episodes end at different places."""
    agent = tiny_agent({"world_model.foresight": FORESIGHT})
    batch = random_batch(ROWS, STEPS)
    batch["is_first"][0, 3] = batch["is_first"][3, 2] = batch["is_first"][3, 4] = True
    g = torch.Generator().manual_seed(1)
    noise = torch.rand(agent.world_model.rssm.noise_shape(ROWS, STEPS), generator=g)
    penalty = torch.rand((ROWS, STEPS, agent.actions), generator=g)
    starts = agent.starts(batch["reward"]).shape[1]
    horizon = agent.config.behaviour.horizon
    actor = torch.rand((horizon, ROWS, starts, agent.actions), generator=g)
    latent = torch.rand(agent.world_model.rssm.noise_shape(horizon, ROWS, starts), generator=g)
    ahead = torch.rand(agent.world_model.foresight_shape(ROWS, STEPS), generator=g).unflatten(1, (ROWS, -1))
    batch = {name: value[rows] for name, value in batch.items()}
    loss, states, _ = agent.world_model.loss(batch, noise[rows], ahead[:, rows].flatten(1, 2))
    states = Latent(states.h.detach(), states.z.detach())
    other, metrics = agent.behaviour_loss(
        batch,
        states.features,
        states,
        actor[:, rows].flatten(1, 2),
        latent[:, rows].flatten(1, 2),
        penalty[rows],
    )
    (loss + other).backward()
    agent.multiplier.update(metrics["value/cost"])
    parallel.average_gradients(agent.parameters())
    result = {name: p.grad for name, p in agent.named_parameters() if p.grad is not None}
    return result | {"lambda": agent.multiplier.multiplier, "scale": agent.reward_scale.range}


def price(rows: slice) -> dict[str, torch.Tensor]:
    """SafeDreamer's, and its multiplier, from imagined costs."""
    agent = tiny_agent({"agent": "safe_dreamer", "safe_dreamer.penalty": 0.3, "behaviour.multiplier": 0.2})
    costs = torch.tensor([[1.0, 5.0, 9.0, 2.0]])[:, rows]
    return {"price": agent.price(costs), "its lambda": agent.multiplier.multiplier}


def half(rank: int, port: int, folder: str) -> None:
    torch.set_num_threads(1)
    os.environ |= {"RANK": str(rank), "WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    with parallel.joined():
        rows = slice(2 * rank, 2 * rank + 2)
        torch.save(gradients(rows) | price(rows), Path(folder) / f"{rank}.pt")


def free_port() -> int:
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def test_gradients_of_two_processes_are_those_of_one_with_twice_the_batch(tmp_path):
    whole = gradients(slice(None)) | price(slice(None))
    multiprocessing.spawn(half, (free_port(), str(tmp_path)), nprocs=2)
    parts = [torch.load(tmp_path / f"{rank}.pt") for rank in range(2)]
    assert len(whole) > 50
    for name, value in whole.items():
        assert torch.equal(parts[0][name], parts[1][name])
        torch.testing.assert_close(parts[0][name], value, rtol=1e-3, atol=1e-6, msg=name)


def watched(rank: int, port: int, folder: str) -> None:
    """Six updates, of which the sequences and the actor's losses of this process are kept."""
    torch.set_num_threads(1)
    os.environ |= {"RANK": str(rank), "WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    seen, losses = [], []
    sample, update = Replay.sample, FOSP.update

    def sampled(self, *args):
        seen.append(sample(self, *args))
        return seen[-1]

    def updated(self, batch):
        metrics = update(self, batch)
        losses.append(float(metrics["loss/actor"]))
        return metrics

    Replay.sample, FOSP.update = sampled, updated  # in this process alone
    config = settings(training__offline_updates=6, training__evaluation_episodes=0)
    with parallel.joined():
        pretrain(config, [Path(folder) / "line"], Path(folder) / "run")
    torch.save((torch.cat([batch["vector"] for batch in seen]), losses), Path(folder) / f"{rank}.pt")


def test_each_process_samples_its_own_sequences_and_metrics_are_means_over_both(tmp_path):
    write_dataset(tmp_path / "line", [play(i, None) for i in range(6)])
    multiprocessing.spawn(watched, (free_port(), str(tmp_path)), nprocs=2)
    (first, ours), (second, theirs) = (torch.load(tmp_path / f"{rank}.pt") for rank in range(2))
    assert first.shape == second.shape == (6, 5, 2)  # one of the batch's two sequences each
    assert not any(torch.equal(a, b) for a, b in zip(first, second, strict=True))
    logged = [row["loss/actor"] for row in lines(tmp_path / "run") if "loss/actor" in row]
    assert ours != theirs
    assert logged == pytest.approx([(a + b) / 2 for a, b in zip(ours, theirs, strict=True)], rel=1e-5)


def launch(run: Path, *words: str) -> subprocess.Popen[str]:
    command = [
        *(sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2", "--master-port", str(free_port())),
        *("-m", "--", "fosp", "pretrain", "--run", str(run), *words),  # without the --, --run is torchrun's --run-path
    ]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(Path(__file__).parents[1])}
    return subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    )


@pytest.mark.slow
def test_torchrun_trains_one_run_and_resumes_it_exactly(tmp_path):
    data = write_dataset(tmp_path / "line", [play(i, 0.9 if i % 2 else None) for i in range(6)])
    flags = [
        *("--dataset", str(data), "--preset", "test", "--env.id", "tiny:TinyLine-v0", "--env.observation", "vector"),
        *("--env.action-repeat", "1", "--training.offline-updates", "60", "--training.log-every", "10"),
    ]
    whole = launch(tmp_path / "whole", *flags)
    out, err = whole.communicate(timeout=300)
    assert whole.returncode == 0, err[-2000:]
    assert out.count("Trained:") == 1
    logged = [json.loads(line) for line in (tmp_path / "whole" / "metrics.jsonl").read_text().splitlines()]
    assert [entry["update"] for entry in logged if "loss/actor" in entry] == [10, 20, 30, 40, 50, 60]
    assert len((tmp_path / "whole" / "evaluations.jsonl").read_text().splitlines()) == 1

    stopped = launch(tmp_path / "run", *flags)
    while not (tmp_path / "run" / "checkpoint" / "state.json").exists():
        assert stopped.poll() is None
        time.sleep(0.01)
    os.killpg(stopped.pid, signal.SIGINT)
    stopped.communicate(timeout=300)
    resumed = launch(tmp_path / "run", "--resume")
    _, err = resumed.communicate(timeout=300)
    assert resumed.returncode == 0, err[-2000:]
    first, second = (load_file(tmp_path / run / "checkpoint" / "model.safetensors") for run in ("whole", "run"))
    assert all(torch.equal(first[name], second[name]) for name in first)
