"""Between datasets on disk and the loops."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType

import numpy as np
import torch
from gymnasium import spaces

from fosp.config import Config, EnvConfig
from fosp.data import Dataset, DatasetWriter, Episode, ObservationSpec, Replay, load_replay
from fosp.envs.symmetry import find_mirror, mirror_of, mirrored
from fosp.errors import InputError
from fosp.training.checkpoint import checkpoint_info

_KEYS = {"image": ("image",), "vector": ("vector",), "both": ("image", "vector")}
_IMAGE = (64, 64)


def load_offline_replay(
    config: Config, datasets: Sequence[Path], run: Path | None, device: torch.device, *, own: bool = False
) -> tuple[Replay, list[Path]]:
    """Fill a replay of `config.training.replay_steps` rows with datasets.

    Args:
        config: settings of the run; its `env.observation` says which observations are read.
        datasets: directories; if empty, those that the checkpoint in `run` was trained on. Others than those are
            refused, unless they have been moved.
        run: run directory to take the datasets from.
        own: whether `run`'s own online episodes, where it has any, are one of its datasets.
        device: where rows are held.

    Returns:
        The replay, and the absolute paths of its datasets.

    Raises:
        InputError: no dataset is given, or one lacks the observation asked for, has pictures that are not 64x64, or was
            recorded with another action repeat.
    """
    paths = [Path(path).resolve() for path in datasets]
    before = [Path(path) for path in checkpoint_info(run)["loop"]["datasets"]] if run is not None else []
    if paths and before and paths != before and all(path.exists() for path in before):
        raise InputError(
            f"{run} resumes with its own datasets, {', '.join(map(str, before))}: leave --dataset out, or make another "
            "run."
        )
    if not paths and run is not None:
        paths = before
        if not paths:
            raise InputError(f"{run} was trained online from scratch: it has no data to go on with.")
        if own and (run / "episodes").exists():
            paths.append((run / "episodes").resolve())
    if not paths:
        raise InputError("no dataset is given: name at least one with --dataset.")
    for path in paths:
        _check_action_repeat(Dataset(path), config.env.action_repeat)
    spec = _wanted(Dataset(paths[0]), config.env.observation)
    return load_replay(paths, config.training.replay_steps, str(device), spec), paths


def draw(replay: Replay, config: Config, rows: int, sampler: np.random.Generator) -> dict[str, torch.Tensor]:
    """`rows` training sequences, about half of them seen in the mirror as `training.mirror` says."""
    training = config.training
    batch = replay.sample(rows, training.sequence_length, sampler, training.online_weight)
    mirror = {"off": lambda _: None, "auto": find_mirror, "on": mirror_of}[training.mirror](config.env.id)
    if mirror is None:
        return batch
    which = torch.from_numpy(sampler.random(rows) < 0.5).to(replay.device)
    return mirrored(batch, which, mirror)


def _check_action_repeat(dataset: Dataset, action_repeat: int) -> None:
    recorded = dataset.metadata.get("action_repeat", action_repeat)
    if recorded != action_repeat:
        raise InputError(
            f"{dataset.path} has actions that were held for {recorded} frames, but the settings say {action_repeat}: "
            f"use --env.action_repeat {recorded}."
        )


def _wanted(dataset: Dataset, observation: str) -> ObservationSpec:
    have, wanted = dataset.observation_spec, {}
    for key in _KEYS[observation]:
        if key not in have:
            raise InputError(
                f"{dataset.path} has no {key} observations, but the settings ask for observation '{observation}': "
                f"use --env.observation {'image' if 'image' in have else 'vector'}, or another dataset."
            )
        wanted[key] = have[key]
    if "image" in wanted and wanted["image"][:2] != _IMAGE:
        raise InputError(f"{dataset.path} holds images of {wanted['image'][:2]} pixels; resize them to {_IMAGE}.")
    return wanted


class EpisodeStore:
    """The online episodes of a run, a dataset of its own that the next fine-tuning can read.

    Args:
        path: ``run/episodes``.
        env: the environment.
        shapes: of each observation. actions: size of the action.
    """

    def __init__(self, path: Path, env: EnvConfig, shapes: Mapping[str, tuple[int, ...]], actions: int) -> None:
        self.path = path
        boxes: dict[str, spaces.Space] = {}
        for key, shape in shapes.items():
            boxes[key] = (
                spaces.Box(0, 255, shape, np.uint8)
                if key == "image"
                else spaces.Box(-np.inf, np.inf, shape, np.float32)
            )
        self._writer = DatasetWriter(
            path,
            env_id=env.id,
            observation_space=spaces.Dict(boxes),
            action_space=spaces.Box(-1, 1, (actions,), np.float32),
            metadata={"action_repeat": env.action_repeat},
        )

    def __enter__(self) -> EpisodeStore:
        self._writer.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._writer.__exit__(kind, error, trace)

    def load(self, count: int) -> Iterator[Episode]:
        """The first `count` episodes; raises `InputError` if the directory holds fewer."""
        dataset = Dataset(self.path)
        if len(dataset) < count:
            raise InputError(f"{self.path} holds {len(dataset)} episodes but the checkpoint has learned from {count}.")
        return (dataset[i] for i in range(count))

    def add(self, index: int, episode: Episode) -> None:
        """Append episode number `index`. One that is there already was played by a run that died before its checkpoint:
        played again from the same state it is the same episode."""
        if index >= len(self._writer):
            self._writer.add(episode)
