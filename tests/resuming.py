"""What tests of stopping and resuming share: small settings, an interruption, and when two runs are the same."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file

from fosp.config import Config
from fosp.data import Dataset
from fosp.training.checkpoint import checkpoint_info
from fosp.training.progress import SilentProgress
from tiny import tiny_config


class InterruptAfter(SilentProgress):
    """Sends this process SIGINT at the n-th call of update, once."""

    def __init__(self, calls: int, number: int = signal.SIGINT) -> None:
        self.calls, self.number = calls, number

    def update(self, n: int = 1, **figures: float) -> None:
        self.calls -= 1
        if self.calls == 0:
            os.kill(os.getpid(), self.number)


def settings(**changes: object) -> Config:
    training = {
        "training.batch_size": 2,
        "training.sequence_length": 5,
        "training.offline_updates": 9,
        "training.checkpoint_every": 4,
        "training.log_every": 1,
        "training.evaluate_every": 0,
        "training.evaluation_episodes": 2,
        "training.online_frames": 100,
        "training.train_ratio": 1.5,
        "training.replay_steps": 300,
    }
    return tiny_config(training | {name.replace("__", "."): value for name, value in changes.items()})


def lines(run: Path, name: str = "metrics.jsonl") -> list[dict]:
    """What was logged, without the clock."""
    entries = [json.loads(line) for line in (run / name).read_text().splitlines()]
    return [{key: value for key, value in entry.items() if key != "seconds"} for entry in entries]


def state(run: Path) -> dict:
    """The checkpoint's JSON, without the log's length: the clock's digits are in it."""
    return {key: value for key, value in checkpoint_info(run).items() if key != "logged"}


def assert_same_run(a: Path, b: Path) -> None:
    """Same log to the last bit, same evaluations, same weights, moments, counters and random state."""
    assert lines(a) == lines(b)
    assert lines(a, "evaluations.jsonl") == lines(b, "evaluations.jsonl")
    first, second = (load_file(run / "checkpoint" / "model.safetensors") for run in (a, b))
    assert first.keys() == second.keys()
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert state(a) == state(b)


def assert_same_episodes(a: Path, b: Path) -> None:
    first, second = Dataset(a / "episodes"), Dataset(b / "episodes")
    assert len(first) == len(second) > 0
    for x, y in zip(first, second, strict=True):
        assert x.seed == y.seed
        np.testing.assert_array_equal(x.actions, y.actions)
        np.testing.assert_array_equal(x.rewards, y.rewards)
        np.testing.assert_array_equal(x.observations["vector"], y.observations["vector"])
