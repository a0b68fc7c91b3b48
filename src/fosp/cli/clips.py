"""Recorded episodes as films and video files."""

from __future__ import annotations

from pathlib import Path

import imageio.v2 as imageio
import numpy as np

from fosp.config import EnvConfig
from fosp.data import Episode
from fosp.envs import make_env
from fosp.envs.video import EpisodeFilm
from fosp.errors import InputError


def replay_film(env: EnvConfig, episode: Episode) -> np.ndarray:
    """The film of an episode of n steps, (n + 1, h, w, 3) uint8, by playing its actions again from its seed.

    The first frame shows the world after the reset, frame t the world after t steps. Raises `InputError` where the
    environment cannot be drawn, or does not repeat itself.
    """
    world = make_env(env.id, observation=env.observation, action_repeat=env.action_repeat, render_mode="rgb_array")
    try:
        observation, _ = world.reset(seed=episode.seed)
        film = EpisodeFilm(world, episode.behaviour)
        frames, rewards = [film.frame(observation)], []
        for action in episode.actions:
            observation, reward, _, _, info = world.step(action)
            frames.append(film.frame(observation, float(reward), info["cost"]))
            rewards.append(float(reward))
    finally:
        world.close()
    if not np.allclose(rewards, episode.rewards, atol=1e-4):
        raise InputError(f"{env.id} does not repeat itself from seed {episode.seed}, so no film of it can be made.")
    return np.stack(frames)


def check_format(path: Path) -> None:
    """Raise `InputError` unless `path` ends in .mp4 or .gif."""
    if path.suffix not in (".mp4", ".gif"):
        raise InputError(f"{path} must end in .mp4 or .gif.")


def write_clip(frames: np.ndarray, path: Path, fps: int) -> None:
    """Frames (T, h, w, 3) uint8 as a video in the format that the file's ending names."""
    check_format(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".gif":
        imageio.mimwrite(path, list(frames), duration=1000 / fps, loop=0)
    else:
        imageio.mimwrite(path, list(frames), fps=fps, codec="libx264", quality=7, macro_block_size=2)
