"""Third-person views and video files of recorded episodes."""

from __future__ import annotations

from pathlib import Path

import imageio.v2 as imageio
import numpy as np
from PIL import Image

from fosp.config import EnvConfig
from fosp.data import Episode
from fosp.envs import list_envs, make_env
from fosp.errors import InputError
from fosp.report.pictures import film_frames

SIDE = 360


def replay_scene(env: EnvConfig, episode: Episode) -> np.ndarray:
    """The episode seen from outside, (n, 360, 360, 3) uint8, by playing its actions again from its seed.

    Frame t shows the world before action t. Raises `InputError` where the environment draws no such view, or does not
    repeat itself.
    """
    own = any(info.id == env.id for info in list_envs())
    observation = "vector" if own else env.observation  # pictures nobody looks at cost time
    world = make_env(env.id, observation=observation, action_repeat=env.action_repeat, render_mode="rgb_array")
    try:
        world.reset(seed=episode.seed)
        frames, rewards = [], []
        for action in episode.actions:
            frames.append(_shrink(world.render()))
            rewards.append(float(world.step(action)[1]))
    finally:
        world.close()
    if not np.allclose(rewards, episode.rewards, atol=1e-4):
        raise InputError(f"{env.id} does not repeat itself from seed {episode.seed}, so no view of it can be drawn.")
    return np.stack(frames)


def _shrink(frame: object) -> np.ndarray:
    return np.asarray(Image.fromarray(np.asarray(frame, np.uint8)).resize((SIDE, SIDE), Image.Resampling.BOX))


def clip_frames(env: EnvConfig, episode: Episode) -> np.ndarray:
    """The episode from outside, with the agent's own pictures beside it where it has any, (n, h, w, 3) uint8."""
    scene = replay_scene(env, episode)
    if "image" not in episode.observations:
        return scene
    return film_frames(episode.observations["image"][:-1], scene)


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
