"""Minari datasets: a writer that never loses a finished episode, and a reader for our own and for foreign ones."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

import minari
from gymnasium import spaces
from minari.dataset.minari_dataset import DATASET_ID_RE
from minari.serialization import serialize_space

from fosp.data import storage
from fosp.data.episode import Episode, ObservationSpec, describe_spec, spec_of_space
from fosp.data.reader import DatasetInfo, EpisodeSummary, Reader, summarise
from fosp.errors import InputError

SCHEMA = 1


class DatasetWriter:
    """Appends episodes to a dataset, creating it if there is none.

    Each episode is on disk, whole and readable, when ``add`` returns; a process killed at any moment loses at most the
    episode that it was adding, and the next writer continues after the last whole one.

    Args:
        path: the dataset's directory.
        env_id: the environment's id.
        observation_space: Dict space with "image" and/or "vector".
        action_space: Box(-1, 1, (A,)).
        metadata: further facts about the environment, such as {"action_repeat": 4}; JSON values.

    Raises:
        InputError: if the path holds something else, or a dataset of another environment, spaces or metadata.
    """

    def __init__(
        self,
        path: str | Path,
        *,
        env_id: str,
        observation_space: spaces.Space,
        action_space: spaces.Space,
        metadata: Mapping[str, Any] | None = None,
    ) -> None:
        self.path = Path(path)
        self._data = self.path / "data"
        self._spec = spec_of_space(observation_space)
        facts = {"schema": SCHEMA, "env_id": env_id, "observation": _mode(self._spec), **(metadata or {})}
        if (self._data / storage.METADATA_NAME).exists():
            self._metadata = storage.read_metadata(self._data)
            self._check_same(facts, observation_space, action_space)
        else:
            self._metadata = self._create(facts, observation_space, action_space)
        self._recover()

    def __enter__(self) -> DatasetWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Every added episode is already on disk; after a failure without any, the empty dataset is removed, so that
        the path is free for another attempt, of other shapes perhaps."""
        if error is not None and len(self) == 0:
            self.remove()

    def __len__(self) -> int:
        """Episodes in the dataset."""
        return int(self._metadata["total_episodes"])

    def add(self, episode: Episode) -> None:
        """Appends one episode.

        Raises:
            InputError: if its observations differ from the dataset's, or if it cannot be written.
        """
        self.add_encoded(storage.encode_episode(episode))

    def add_encoded(self, encoded: bytes) -> None:
        """Appends an episode that ``storage.encode_episode`` made, perhaps in another process."""
        number = len(self)
        content, spec, steps = storage.number_episode(encoded, number)
        if spec != self._spec:
            raise InputError(
                f"the episode's observation is {describe_spec(spec)} but the dataset {self.path} holds "
                f"{describe_spec(self._spec)}: write it to another dataset."
            )
        file = storage.episode_file(self._data, number)
        if file.exists():
            raise InputError(f"{file} appeared meanwhile: let only one process write to {self.path}.")
        storage.write_atomically(file, content)
        storage.extend_index(self._data, [number])
        self._count(episodes=1, steps=steps, size=len(content))

    def remove(self) -> None:
        """Deletes the dataset, and its directory where that holds nothing else."""
        shutil.rmtree(self._data)
        if not any(self.path.iterdir()):
            self.path.rmdir()

    def _count(self, episodes: int, steps: int, size: int) -> None:
        self._metadata["total_episodes"] += episodes
        self._metadata["total_steps"] += steps
        self._metadata["dataset_size"] = round(self._metadata["dataset_size"] + size / 1e6, 6)  # MB, as in Minari
        storage.write_metadata(self._data, self._metadata)

    def _create(
        self, facts: dict[str, Any], observation_space: spaces.Space, action_space: spaces.Space
    ) -> dict[str, Any]:
        if self.path.exists() and (not self.path.is_dir() or any(p.name != "data" for p in self.path.iterdir())):
            raise InputError(f"{self.path} exists and is no dataset: choose another path or an empty directory.")
        (self._data / storage.EPISODES_NAME).mkdir(parents=True, exist_ok=True)
        metadata = {
            "total_episodes": 0,
            "total_steps": 0,
            "dataset_size": 0.0,
            "data_format": "hdf5",
            "jpeg_encoding": False,
            "dataset_id": _dataset_id(self.path),
            "minari_version": minari.__version__,
            "observation_space": serialize_space(observation_space),
            "action_space": serialize_space(action_space),
            "fosp": facts,
        }
        storage.write_atomically(self._data / storage.INDEX_NAME, storage.empty_index())
        storage.write_metadata(self._data, metadata)
        return metadata

    def _check_same(self, facts: dict[str, Any], observation_space: spaces.Space, action_space: spaces.Space) -> None:
        stored = self._metadata.get("fosp")
        if stored is None:
            raise InputError(f"{self.path} was not written by fosp: import it into a new dataset to add to it.")
        for field in sorted(stored.keys() | facts.keys()):
            if stored.get(field) != facts.get(field):
                raise InputError(
                    f"{self.path} was collected with {field} = {stored.get(field)!r}, not {facts.get(field)!r}: "
                    f"choose another path or the same settings."
                )
        for name, space in (("observation_space", observation_space), ("action_space", action_space)):
            if self._metadata[name] != serialize_space(space):
                raise InputError(f"{self.path} has another {name} than {space}: choose another path.")

    def _recover(self) -> None:
        """Takes up episodes that were written whole before a crash but not yet counted."""
        reader = Reader(self._data, self._metadata)
        known = reader.links()
        found = known
        while storage.episode_file(self._data, found).exists():
            found += 1
        if found > known:
            storage.extend_index(self._data, range(known, found))
        if found != len(self):
            new = [(reader.steps(number), reader.size(number)) for number in range(len(self), found)]
            self._count(len(new), sum(steps for steps, _ in new), sum(size for _, size in new))


class Dataset:
    """A dataset on disk, read episode by episode.

    Opens what ``DatasetWriter`` wrote, and Minari datasets made elsewhere if every step's cost is in their infos
    ("cost", n or n + 1 entries an episode). In those, a Box observation becomes "image" (uint8, three axes) or
    "vector", and actions of a bounded Box are rescaled to [-1, 1], as ``fosp.make_env`` does for the environment.

    Args:
        path: the dataset's directory (Minari's directory that holds ``data``, or ``data`` itself).

    Attributes:
        metadata: what ``DatasetWriter`` was given; empty for a foreign dataset.
        steps: agent steps in all episodes.

    Raises:
        InputError: if there is no dataset, or its metadata or index is damaged, or its spaces cannot be used. Damage
            within an episode is found, and named, when the episode is read.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        data = self.path if (self.path / storage.METADATA_NAME).exists() else self.path / "data"
        if not (data / storage.METADATA_NAME).exists():
            raise InputError(f"there is no dataset at {self.path}: give the path of one, or collect it first.")
        metadata = storage.read_metadata(data)
        self.metadata: dict[str, Any] = metadata.get("fosp", {})
        if self.metadata.get("schema", SCHEMA) != SCHEMA:
            raise InputError(
                f"{self.path} has data schema {self.metadata['schema']}, this version reads {SCHEMA}: update fosp."
            )
        self._reader = Reader(data, metadata)
        self._length = int(metadata["total_episodes"])
        self.steps = int(metadata["total_steps"])
        if self._reader.links() < self._length:
            raise InputError(
                f"{data / storage.INDEX_NAME} lists {self._reader.links()} episodes of {self._length}: restore it."
            )

    @property
    def env_id(self) -> str:
        """The environment's id, or Minari's dataset id where a foreign dataset names none."""
        return str(self.metadata.get("env_id", self._reader.dataset_id))

    @property
    def observation_spec(self) -> ObservationSpec:
        """The shape of one observation by key."""
        return self._reader.spec

    @property
    def observation_space(self) -> spaces.Dict:
        """The observation space, always a Dict with "image" and/or "vector"."""
        return self._reader.observation_space

    @property
    def action_space(self) -> spaces.Box:
        """Box(-1, 1, (A,))."""
        return self._reader.action_space

    @property
    def action_size(self) -> int:
        """A, the number of action components."""
        return int(self.action_space.shape[0])

    def __len__(self) -> int:
        """Episodes."""
        return self._length

    def __getitem__(self, number: int) -> Episode:
        return self.read(range(self._length)[number])

    def __iter__(self) -> Iterator[Episode]:
        return self.episodes()

    def episodes(self, keys: Iterable[str] | None = None) -> Iterator[Episode]:
        """All episodes in order, one in memory at a time; with ``keys``, only those observations are read."""
        return (self.read(number, keys) for number in range(self._length))

    def read(self, number: int, keys: Iterable[str] | None = None) -> Episode:
        """The episode of this number, counted from 0; with ``keys``, only those observations are read.

        Raises:
            InputError: if it is truncated, damaged, not finite, or without cost; the message names the file.
        """
        return self._reader.episode(number, keys)

    def encoded(self, number: int) -> bytes:
        """The episode in the form that ``DatasetWriter.add_encoded`` takes."""
        return self._reader.encoded(number)

    def summaries(self) -> list[EpisodeSummary]:
        """Behaviour, return, cost, length, frames and seed of every episode, without reading images."""
        return [self._reader.summary(number) for number in range(self._length)]

    def info(self) -> DatasetInfo:
        """What the dataset holds, without reading images."""
        return summarise(self._reader, self.path, self.env_id, self.summaries())


def episodes_recorded(path: Path) -> int:
    """How many episodes a dataset at `path` has; 0 where nothing has been recorded yet."""
    return len(Dataset(path)) if (path / "data" / storage.METADATA_NAME).exists() else 0


def check_compatible(dataset: Dataset, observation_spec: Mapping[str, tuple[int, ...]], action_size: int) -> None:
    """Raises InputError unless the dataset has every observation of ``observation_spec``, and actions of this size."""
    have = dataset.observation_spec
    for key, shape in observation_spec.items():
        if key not in have:
            raise InputError(
                f"{dataset.path} holds {describe_spec(have)} but {key!r} is wanted: "
                f"collect with that observation mode or choose the dataset's."
            )
        if have[key] != tuple(shape):
            raise InputError(
                f"{dataset.path} holds {key} observations of shape {have[key]} but {tuple(shape)} is wanted: "
                f"use data of the environment's own size and views."
            )
    if dataset.action_size != action_size:
        raise InputError(
            f"{dataset.path} holds actions of {dataset.action_size} components but {action_size} are wanted: "
            f"use data of the same robot."
        )


def _mode(spec: ObservationSpec) -> str:
    return "both" if len(spec) == 2 else next(iter(spec))


def _dataset_id(path: Path) -> str:
    """Minari finds a dataset by its directory's name, which must then end in a version."""
    name = path.resolve().name
    if DATASET_ID_RE.fullmatch(name) and re.search(r"-v\d+$", name):
        return name
    return re.sub(r"[^-_\w]", "_", name) + "-v0"
