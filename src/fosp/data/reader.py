"""Reading episodes from Minari's storage, whoever wrote them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from gymnasium import spaces
from minari.dataset.minari_storage import MinariStorage, is_image_space

from fosp.data import storage
from fosp.data.episode import IMAGE, VECTOR, Episode, ObservationSpec, spec_of_space
from fosp.errors import InputError


@dataclass(frozen=True)
class EpisodeSummary:
    """What is known of an episode without reading its images.

    Attributes:
        behaviour: the policy that acted.
        total_reward: undiscounted sum of rewards.
        total_cost: undiscounted sum of costs.
        length: agent steps.
        frames: physics frames.
        seed: the episode's seed, None where a foreign dataset names none.
        terminated: the task ended it, not a time limit.
    """

    behaviour: str
    total_reward: float
    total_cost: float
    length: int
    frames: int
    seed: int | None
    terminated: bool


@dataclass(frozen=True)
class BehaviourInfo:
    """The episodes of one behaviour: how many, and their mean undiscounted return and cost."""

    count: int
    mean_return: float
    mean_cost: float


@dataclass(frozen=True)
class DatasetInfo:
    """What a dataset holds: totals, shapes, behaviours by name, bytes on disk, and whether its images are exact."""

    path: Path
    env_id: str
    episodes: int
    steps: int
    frames: int
    observation_spec: ObservationSpec
    action_size: int
    bytes: int
    lossless: bool
    behaviours: dict[str, BehaviourInfo] = field(default_factory=dict)


class Reader:
    """Reads the episodes below one ``data`` directory; each call opens and closes the files it needs.

    Args:
        data: the directory that holds metadata.json.
        metadata: the content of metadata.json.

    Raises:
        InputError: if the index is missing or the spaces cannot be used.
    """

    def __init__(self, data: Path, metadata: dict[str, Any]) -> None:
        self.data = data
        self._index = data / storage.INDEX_NAME
        self.dataset_id = str(metadata.get("dataset_id", data))
        self.own = "fosp" in metadata
        self.action_repeat = int(metadata.get("fosp", {}).get("action_repeat", 1))
        with _naming(data / storage.METADATA_NAME):
            self._minari = MinariStorage.read(data)
            source = self._minari.observation_space
            self._single_key, self.observation_space = _observation_space(source)
            self.action_space = _action_space(self._minari.action_space)
        self.spec = spec_of_space(self.observation_space)
        # Minari stores images as JPEG unless told not to; before its version 0.5.4 always, and without saying so.
        boxes = list(source.spaces.values()) if isinstance(source, spaces.Dict) else [source]
        self.lossless = not (self._minari.jpeg_encoding and any(is_image_space(box) for box in boxes))

    def links(self) -> int:
        """Episodes that the index lists."""
        if self._minari.FORMAT != "hdf5":
            return int(self._minari.total_episodes)
        with _naming(self._index), h5py.File(self._index) as file:
            return len(file.keys())

    def steps(self, number: int) -> int:
        """Agent steps of an episode of our own."""
        with self._group(number) as group:
            return int(group.attrs["total_steps"])

    def size(self, number: int) -> int:
        """Bytes of an episode's own file."""
        return storage.episode_file(self.data, number).stat().st_size

    def episode(self, number: int, keys: Iterable[str] | None = None) -> Episode:
        """One episode, with only the observations ``keys`` if given."""
        if self.own:
            with self._group(number) as group:
                return self._to_episode(storage.read_parts(group, keys), dict(group.attrs))
        with _naming(self._place(number)):
            parts = next(iter(self._minari.get_episodes([number])))
            attributes = next(iter(self._minari.get_episode_metadata([number])))
            if self._single_key is not None:
                parts["observations"] = {self._single_key: parts["observations"]}
            parts["observations"] = {key: parts["observations"][key] for key in keys or self.spec}
            return self._to_episode(parts, attributes)

    def encoded(self, number: int) -> bytes:
        """One episode in the form of an episode file."""
        file = storage.episode_file(self.data, number)
        if self.own and file.exists():
            return file.read_bytes()
        return storage.encode_episode(self.episode(number))

    def summary(self, number: int) -> EpisodeSummary:
        """One episode's summary; images are read only in formats other than HDF5."""
        if self._minari.FORMAT != "hdf5":
            return summary_of(self.episode(number))
        with self._group(number) as group:
            attributes = dict(group.attrs)
            steps = int(attributes["total_steps"])
            if "costs_sum" in attributes:
                total_reward, total_cost = attributes["rewards_sum"], attributes["costs_sum"]
                terminated = attributes["terminated"]
            else:
                total_reward = group["rewards"][()].sum(dtype=np.float64)
                total_cost = _costs(group.get("infos", {}), steps).sum(dtype=np.float64)
                terminated = group["terminations"][-1]
            return EpisodeSummary(
                behaviour=str(attributes.get("behaviour", "unknown")),
                total_reward=float(total_reward),
                total_cost=float(total_cost),
                length=steps,
                frames=int(attributes.get("frames", steps * self.action_repeat)),
                seed=_seed(attributes),
                terminated=bool(terminated),
            )

    def _to_episode(self, parts: dict[str, Any], attributes: dict[str, Any]) -> Episode:
        steps = len(parts["rewards"])
        infos = parts["infos"] or {}
        seed = _seed(attributes)
        return Episode(
            observations=parts["observations"],
            actions=_rescaled(parts["actions"], self._minari.action_space),
            rewards=parts["rewards"],
            costs=_costs(infos, steps),
            terminated=bool(parts["terminations"][-1]),
            truncated=bool(parts["truncations"][-1]),
            behaviour=str(attributes.get("behaviour", "unknown")),
            seed=0 if seed is None else seed,
            frames=int(attributes.get("frames", steps * self.action_repeat)),
            cost_kinds={
                key.removeprefix("cost_"): _per_step(values, steps)
                for key, values in infos.items()
                if key.startswith("cost_")
            },
        )

    def _place(self, number: int) -> str:
        file = storage.episode_file(self.data, number)
        return str(file) if self.own and file.exists() else f"{self.data}, episode {number}"

    @contextmanager
    def _group(self, number: int) -> Iterator[h5py.Group]:
        # Our own episode files are opened directly; going through the index doubles the time for small reads.
        own = storage.episode_file(self.data, number)
        file, name = (own, storage.GROUP) if self.own and own.exists() else (self._index, f"episode_{number}")
        with _naming(self._place(number)), h5py.File(file) as opened:
            yield opened[name]


def summary_of(episode: Episode) -> EpisodeSummary:
    """An episode's summary."""
    return EpisodeSummary(
        behaviour=episode.behaviour,
        total_reward=episode.total_reward,
        total_cost=episode.total_cost,
        length=len(episode),
        frames=episode.frames,
        seed=episode.seed,
        terminated=episode.terminated,
    )


def summarise(reader: Reader, path: Path, env_id: str, summaries: list[EpisodeSummary]) -> DatasetInfo:
    """The totals over a dataset's episodes."""
    groups: dict[str, list[EpisodeSummary]] = {}
    for summary in summaries:
        groups.setdefault(summary.behaviour, []).append(summary)
    return DatasetInfo(
        path=path,
        env_id=env_id,
        episodes=len(summaries),
        steps=sum(summary.length for summary in summaries),
        frames=sum(summary.frames for summary in summaries),
        observation_spec=reader.spec,
        action_size=int(reader.action_space.shape[0]),
        bytes=sum(file.stat().st_size for file in reader.data.rglob("*") if file.is_file()),
        lossless=reader.lossless,
        behaviours={
            name: BehaviourInfo(
                count=len(members),
                mean_return=float(np.mean([member.total_reward for member in members])),
                mean_cost=float(np.mean([member.total_cost for member in members])),
            )
            for name, members in sorted(groups.items())
        },
    )


@contextmanager
def _naming(place: Path | str) -> Iterator[None]:
    """Turns what a damaged file raises in HDF5, JSON or Minari into one sentence that names the place."""
    try:
        yield
    except InputError as error:
        raise InputError(f"{place}: {error}") from error
    except ImportError as error:
        raise InputError(f"{place} needs a package that is not installed: {error}") from error
    except (OSError, KeyError, ValueError, RuntimeError, AssertionError, TypeError) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise InputError(f"{place} is truncated or damaged ({reason}): restore it or collect it again.") from error


def _observation_space(space: spaces.Space) -> tuple[str | None, spaces.Dict]:
    """Ours for a dataset's own observation space, and the key that a space without keys gets."""
    if isinstance(space, spaces.Dict):
        known: dict[str, spaces.Space] = {
            key: _box(key, inner) for key, inner in space.spaces.items() if key in (IMAGE, VECTOR)
        }
        if not known:
            raise InputError(f'its observations are {list(space.spaces)}: name one of them "image" or "vector".')
        return None, spaces.Dict(known)
    key = IMAGE if len(space.shape or ()) == 3 else VECTOR
    return key, spaces.Dict({key: _box(key, space)})


def _box(key: str, space: spaces.Space) -> spaces.Box:
    if isinstance(space, spaces.Box):
        if key == IMAGE and space.dtype == np.uint8 and len(space.shape) == 3:
            return space
        if key == VECTOR and len(space.shape) == 1:
            return spaces.Box(space.low.astype(np.float32), space.high.astype(np.float32), dtype=np.float32)
    raise InputError(
        f'observation {key!r} with the space {space} cannot be used: convert it to "image" (uint8, height x width x '
        f'channels) or "vector" (numbers, one axis).'
    )


def _action_space(space: spaces.Space) -> spaces.Box:
    if not isinstance(space, spaces.Box) or len(space.shape) != 1:
        raise InputError(f"the action space {space} cannot be used: actions must be vectors of real numbers.")
    return spaces.Box(-1.0, 1.0, space.shape, np.float32)


def _rescaled(actions: np.ndarray, space: spaces.Space) -> np.ndarray:
    """Actions of a bounded Box on [-1, 1]; those of an unbounded one as they are."""
    assert isinstance(space, spaces.Box)
    if not space.is_bounded() or (np.all(space.low == -1) and np.all(space.high == 1)):
        return actions
    low, high = space.low.astype(np.float64), space.high.astype(np.float64)
    return 2 * (actions - low) / (high - low) - 1


def _costs(infos: Mapping[str, Any], steps: int) -> np.ndarray:
    if "cost" not in infos:
        raise InputError('there is no cost: record each step\'s cost as infos["cost"].')
    return _per_step(infos["cost"], steps)


def _per_step(values: Any, steps: int) -> np.ndarray:
    """An info's entries without the reset's, which Minari's collector records first."""
    array = np.asarray(values[()] if isinstance(values, h5py.Dataset) else values)
    return array[1:] if len(array) == steps + 1 else array


def _seed(attributes: dict[str, Any]) -> int | None:
    seed = attributes.get("seed")
    return None if seed is None else int(seed)
