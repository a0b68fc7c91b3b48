"""Run directories as training writes them, filled with invented but plausible figures; for tests of the report."""

import dataclasses
import json
from pathlib import Path

import numpy as np

from fosp.config import preset, save_config
from fosp.report.runs import DatasetSummary

METRICS = (
    "loss/world_model",
    "loss/image",
    "loss/value_reward",
    "loss/value_cost",
    "loss/actor",
    "loss/reachability",
    "kl/dynamics",
    "kl/representation",
    "calibration/value_reward_error",
    "calibration/value_cost_error",
    "calibration/reachability_brier",
    "weights/mean",
    "weights/p95",
    "lagrangian/multiplier",
)
ONLINE_METRICS = ("train/return", "train/cost", "train/cost_regret", "expansion/new_share", "expansion/q_gap")


def fake_run(path: Path, *, agent="fosp", phase="offline", seed=0, pictures=True, metrics=True) -> Path:
    """Write a run directory at `path`; `metrics` take long to draw, `pictures` to encode."""
    rng = np.random.default_rng([seed, len(agent), len(phase)])
    (path / "artifacts").mkdir(parents=True)
    config = dataclasses.replace(preset("test"), agent=agent, seed=seed)
    save_config(config, path / "config.yaml")
    if metrics:
        _write_metrics(path / "metrics.jsonl", phase, rng)
    _write_evaluations(path / "evaluations.jsonl", agent, phase, rng)
    machine = {"processor": "Example CPU, 2 cores", "memory": "8 GiB", "accelerator": "none", "system": "Linux"}
    versions = {"python": "3.11.7", "torch": "2.13.0", "mujoco": "3.17.0", "gymnasium": "1.4.0"}
    (path / "machine.json").write_text(json.dumps(machine | versions))
    fake_summary(rng).save(path / "dataset.json")
    if pictures:
        _write_pictures(path / "artifacts", rng)
    return path


def fake_summary(rng: np.random.Generator, episodes=60) -> DatasetSummary:
    """A dataset of three behaviours in equal parts."""
    part = episodes // 3
    returns = np.concatenate([rng.normal(22, 4, part), rng.normal(13, 3, part), rng.normal(0, 1, part)])
    costs = np.concatenate([rng.gamma(2, 25, part), rng.poisson(0.05, part), rng.poisson(8, part)])
    behaviours = ("unsafe",) * part + ("safe",) * part + ("random",) * part
    return DatasetSummary("goal1-mixed", behaviours, tuple(returns), tuple(costs.round()), episodes * 250)


def evaluation(agent: str, phase: str, update: int, frames: int, reward: float, cost: float, rng, **more) -> dict:
    """One line of evaluations.jsonl around the given means."""
    n = 10
    return {
        "phase": phase,
        "update": update,
        "frames": frames,
        "agent": agent,
        "mode": "mean",
        "env": "SafetyPointGoal1-v0",
        "observation": "image",
        "seeds": list(range(n)),
        "returns": rng.normal(reward, 2, n).tolist(),
        "costs": rng.poisson(cost, n).astype(float).tolist(),
        "lengths": [250] * n,
        "cost_regret": None,
    } | more


def _write_evaluations(path: Path, agent: str, phase: str, rng) -> None:
    lines = [
        evaluation("random", "offline", 0, 0, 0.2, 9, np.random.default_rng(1)),
        evaluation("behaviour:safe", "offline", 0, 0, 13, 0.1, np.random.default_rng(2)),
        evaluation("behaviour:unsafe", "offline", 0, 0, 22, 45, np.random.default_rng(3)),
    ]
    for i in range(6):
        update, frames = (1000 * i, 0) if phase == "offline" else (5000 + 500 * i, 10_000 * i)
        reward = {"bc": 8, "fosp": 12}[agent] * (1 - np.exp(-i)) + (5 if phase == "online" else 0)
        more = {"cost_regret": 0.004 + 0.001 * i} if phase == "online" else {}
        lines.append(evaluation(agent, phase, update, frames, reward, 20 * np.exp(-i), rng, **more))
    lines.append(lines[-1] | {"mode": "sample"})
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))


def _write_metrics(path: Path, phase: str, rng) -> None:
    names = METRICS + (ONLINE_METRICS if phase == "online" else ())
    with path.open("w") as file:
        for i in range(100):
            row = {"phase": phase, "update": 50 * i, "frames": 500 * i if phase == "online" else 0, "seconds": 9.0 * i}
            row |= {
                name: 10 ** (k % 4 - 2) * (1 + 3 * np.exp(-i / 20) + 0.2 * rng.normal()) for k, name in enumerate(names)
            }
            file.write(json.dumps(row) + "\n")


def _write_pictures(folder: Path, rng) -> None:
    def scene(steps: int, shift: float) -> np.ndarray:
        y, x = np.mgrid[:64, :64]
        frames = np.empty((steps, 64, 64, 6), np.uint8)
        for t in range(steps):
            for view in range(2):
                centre = 32 + 20 * np.sin(0.05 * t + shift + 2 * view)
                blob = np.exp(-((x - centre) ** 2 + (y - 40) ** 2) / 60)
                sky = np.where(y < 30, 190, 110)
                colours = (sky + 60 * blob, sky - 40 * blob, sky - 90 * blob)
                frames[t, :, :, 3 * view : 3 * view + 3] = np.stack(colours, -1).clip(0, 255)
        return frames

    truth = np.stack([scene(48, 0.0), scene(48, 1.0)])
    blur = (truth.astype(float) + np.roll(truth, 2, axis=3) + rng.normal(0, 6, truth.shape)) / 2
    np.savez_compressed(folder / "open_loop.npz", truth=truth, prediction=blur.clip(0, 255).astype(np.uint8), context=5)
    steps = 250
    cost = np.zeros(steps)
    cost[90:100] = rng.integers(1, 5, 10)
    cost[180:184] = 4
    violation = np.convolve(cost > 0, np.ones(25) / 18, mode="same").clip(0.01, 0.97)
    np.savez_compressed(
        folder / "film.npz",
        frames=scene(steps, 0),
        violation=violation,
        cost=cost,
        reward=rng.normal(0.06, 0.02, steps),
    )
