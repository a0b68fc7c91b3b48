"""What the report shows as pictures: open-loop predictions, and one evaluation episode with the agent's estimates."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from fosp.agents.base import ModelBasedAgent
from fosp.data.replay import Replay
from fosp.training.rollout import Rollout


@torch.no_grad()
def save_open_loop(
    run: Path, agent: ModelBasedAgent, replay: Replay, *, rows: int = 4, length: int = 32, context: int = 8
) -> None:
    """Predict images of replayed sequences from `context` frames and the actions that followed."""
    if "image" not in agent.spaces or len(replay) < length:
        return
    batch = replay.sample(rows, length, np.random.default_rng(0))
    batch = {name: value.to(agent.device) for name, value in batch.items()}
    generator = torch.Generator(agent.device).manual_seed(0)
    noise = agent.noise(*agent.world_model.rssm.noise_shape(rows, length), generator=generator)
    with agent.uncompiled():
        prediction = agent.world_model.open_loop(batch, context, noise)["image"]
    _save(
        run / "artifacts" / "open_loop.npz",
        truth=batch["image"].cpu().numpy(),
        prediction=prediction.cpu().numpy(),
        context=np.array(context),
    )


def save_film(run: Path, rollout: Rollout, scene: np.ndarray | None = None) -> None:
    """One episode of n steps: pictures, violation, reward, cost of each, and the film (n + 1, h, w, 3) if given."""
    arrays = {"reward": rollout.episode.rewards, "cost": rollout.episode.costs}
    if "image" in rollout.episode.observations:
        arrays["frames"] = rollout.episode.observations["image"][:-1]
    if scene is not None:
        arrays["scene"] = scene
    if "violation" in rollout.info:
        arrays["violation"] = rollout.info["violation"]
    if "frames" in arrays or "scene" in arrays:
        _save(run / "artifacts" / "film.npz", **arrays)


def _save(path: Path, **arrays: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_suffix(".new.npz")
    np.savez_compressed(temporary, allow_pickle=False, **arrays)
    temporary.replace(path)
