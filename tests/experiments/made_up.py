"""Runs of an experiment that nobody has run: directories as they would be, with figures of one's choice."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from fake_runs import evaluation
from fosp.config import save_config
from fosp.experiments.stages import Evaluated, Online, Reference
from fosp.training.checkpoint import CHECKPOINT_VERSION

MACHINE = {
    "processor": "Example CPU, 2 cores", "memory": "8 GiB", "accelerator": "none", "torch": "2.13.0",
    "fosp": "0.1.0", "commit": "0123456789ab", "date": "2026-11-23",
}  # fmt: skip


def make_up(root: Path, stage: Evaluated | Reference, reward: float, cost: float, *, share: float = 1.0) -> Path:
    """The directory of a run that is so far done.

    Evaluated at every tenth of its budget up to there with 3 episodes, and at the end with as many as the stage wants;
    all returns are `reward` times the share of the budget, all costs `cost`.
    """
    run, config = root / stage.name, stage.config
    (run / "checkpoint").mkdir(parents=True)
    save_config(config, run / "config.yaml")
    (run / "machine.json").write_text(json.dumps(MACHINE))
    (run / "metrics.jsonl").write_text(json.dumps({"phase": "offline", "seconds": 1800.0}) + "\n")
    online = isinstance(stage, Online)
    lines, points = [], range(0 if online else 1, round(10 * share) + 1)
    if isinstance(stage, Reference):
        lines = [line(stage, 0, 0, reward, cost, stage.episodes)]
    else:
        for tenth in points:
            frames = tenth * config.training.online_frames // 10 if online else 0
            lines.append(line(stage, 1000 + tenth, frames, reward * tenth / 10, cost, 3))
        if share == 1:
            lines.append(line(stage, 1010, frames, reward, cost, stage.episodes))
    (run / "evaluations.jsonl").write_text("".join(json.dumps(entry) + "\n" for entry in lines))
    training = config.training
    if online:
        frames = round(share * training.online_frames)
        loop = {"phase": "online", "update": 1, "counters": {"frames": frames, "evaluated_frames": frames}}
    else:
        update = round(share * (training.updates_without_behaviour + training.offline_updates))
        loop = {"phase": "offline", "update": update, "evaluated": update}
    (run / "checkpoint" / "state.json").write_text(json.dumps({"version": CHECKPOINT_VERSION, "loop": loop}))
    return run


def line(stage: Evaluated | Reference, update: int, frames: int, reward: float, cost: float, episodes: int) -> dict:
    """One evaluation in which all episodes are alike."""
    config, online = stage.config, isinstance(stage, Online)
    entry = evaluation(config.agent, "online" if online else "offline", update, frames, 0, 0, np.random.default_rng(0))
    same = {
        "returns": [reward] * episodes,
        "costs": [cost] * episodes,
        "seeds": [*range(1_000_000, 1_000_000 + episodes)],
    }
    mode = "sample" if isinstance(stage, Reference) else "mean"
    regret = 0.25 * cost if online else None
    return entry | same | {"env": config.env.id, "mode": mode, "lengths": [250] * episodes, "cost_regret": regret}
