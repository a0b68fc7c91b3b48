"""How episodes lie on disk: a Minari HDF5 dataset whose episodes are files of their own.

    PATH/data/metadata.json            what Minari reads first: spaces, totals; our own fields under "fosp"
    PATH/data/main_data.hdf5           links only: /episode_0 -> episodes/000000.hdf5, and so on
    PATH/data/episodes/000000.hdf5     one episode, in Minari's layout

Minari follows the links without knowing of them. One file an episode is what makes writing atomic: HDF5 has no
transactions, so a process killed while appending to one large file may lose all of it. Every file here is
built in memory, written under another name, and renamed.

Minari's own writer neither compresses nor keeps images exact (its default is JPEG), so the arrays are written
here. Images are compressed by gzip (level 4) in chunks of a few image rows of one camera over up to 256 steps: the same
place a step earlier then lies within the reach of gzip's window (32 KB), so that consecutive pictures share what they
have in common. Measured on SafetyPointGoal1's two views (64x64x6, 251 rows, 6.2 MB), in CPU time:

    chunk (rows, cameras)     size      write     read
    8 rows, one camera        11.6%     82 ms     32 ms     <- used
    8 rows, both cameras      16.2%     83 ms     30 ms
    whole episode             17.9%
    one step                  20.4%
    8 rows, one camera, gzip level 1 / lzf         13.4% / 17.9%, two thirds of the writing time
"""

from __future__ import annotations

import io
import json
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

import h5py
import numpy as np

from fosp.data.episode import IMAGE, Episode
from fosp.errors import InputError

METADATA_NAME = "metadata.json"
INDEX_NAME = "main_data.hdf5"
EPISODES_NAME = "episodes"
GROUP = "episode"
GZIP_LEVEL = 4
CHUNK_STEPS = 256
CHUNK_IMAGE_ROWS = 8


def encode_episode(episode: Episode) -> bytes:
    """The bytes of one episode's HDF5 file.

    The group "episode" follows Minari: "observations", "actions", "rewards", "terminations", "truncations", and
    "infos" with n + 1 entries each, the first belonging to the reset (zero). What concerns the whole episode is in
    the group's attributes, readable without the arrays.
    """
    buffer = io.BytesIO()
    with h5py.File(buffer, "w") as file:
        group = file.create_group(GROUP)
        group.attrs.update(
            total_steps=len(episode),
            seed=episode.seed,
            behaviour=episode.behaviour,
            frames=episode.frames,
            rewards_sum=episode.total_reward,
            costs_sum=episode.total_cost,
            terminated=episode.terminated,
        )
        observations = group.create_group("observations")
        for key, values in episode.observations.items():
            _put(observations, key, values, image=key == IMAGE)
        _put(group, "actions", episode.actions)
        _put(group, "rewards", episode.rewards)
        _put(group, "terminations", _only_last(len(episode), episode.terminated))
        _put(group, "truncations", _only_last(len(episode), episode.truncated))
        infos = group.create_group("infos")
        _put(infos, "cost", _with_reset(episode.costs))
        for kind, values in episode.cost_kinds.items():
            _put(infos, f"cost_{kind}", _with_reset(values))
    return buffer.getvalue()


def number_episode(encoded: bytes, number: int) -> tuple[bytes, dict[str, tuple[int, ...]], int]:
    """An encoded episode with Minari's ``id`` set to ``number``, its observation spec and its steps."""
    buffer = io.BytesIO(encoded)
    with h5py.File(buffer, "r+") as file:
        group = file[GROUP]
        group.attrs["id"] = number
        spec = {key: tuple(values.shape[1:]) for key, values in group["observations"].items()}
        steps = int(group.attrs["total_steps"])
    return buffer.getvalue(), spec, steps


def read_parts(group: h5py.Group, keys: Iterable[str] | None = None) -> dict[str, Any]:
    """An episode group's arrays, in the form of Minari's own reader, with only the observation ``keys`` if given."""
    stored = group["observations"]
    wanted = stored.keys() if keys is None else keys
    return {
        "observations": {key: stored[key][()] for key in wanted},
        "infos": {key: values[()] for key, values in group["infos"].items()},
        **{name: group[name][()] for name in ("actions", "rewards", "terminations", "truncations")},
    }


def episode_file(data: Path, number: int) -> Path:
    """Where the episode of this number lies."""
    return data / EPISODES_NAME / f"{number:06d}.hdf5"


def empty_index() -> bytes:
    """The bytes of an index without episodes."""
    buffer = io.BytesIO()
    h5py.File(buffer, "w").close()
    return buffer.getvalue()


def extend_index(data: Path, numbers: Iterable[int]) -> None:
    """Adds links to the episodes of these numbers to the index, all or none."""
    buffer = io.BytesIO((data / INDEX_NAME).read_bytes())
    with h5py.File(buffer, "r+") as file:
        for number in numbers:
            # Relative to the index, so that the dataset can be moved and copied.
            relative = episode_file(data, number).relative_to(data).as_posix()
            file[f"episode_{number}"] = h5py.ExternalLink(relative, f"/{GROUP}")
    write_atomically(data / INDEX_NAME, buffer.getvalue())


def read_metadata(data: Path) -> dict[str, Any]:
    """The dataset's metadata.json; InputError where it is missing or damaged."""
    file = data / METADATA_NAME
    try:
        return json.loads(file.read_text())
    except OSError as error:
        raise InputError(f"{file} cannot be read ({error.strerror}): give the path of a dataset.") from error
    except ValueError as error:
        raise InputError(f"{file} is damaged ({error}): restore it or collect the dataset again.") from error


def write_metadata(data: Path, metadata: dict[str, Any]) -> None:
    """Replaces the dataset's metadata.json."""
    write_atomically(data / METADATA_NAME, json.dumps(metadata).encode())


def write_atomically(file: Path, content: bytes) -> None:
    """Writes a whole file by ``replacing``."""
    with replacing(file) as stream:
        stream.write(content)


@contextmanager
def replacing(file: Path) -> Iterator[BinaryIO]:
    """A stream whose content becomes the file at the end, so that a reader, or a crash at any moment, sees the old
    content or the new, never a part.

    Raises:
        InputError: if it cannot be written, for example on a full disk; what was there before is then untouched.
    """
    temporary = file.with_name(file.name + ".part")
    try:
        with open(temporary, "wb") as stream:
            yield stream
            stream.flush()
            os.fsync(stream.fileno())
        os.replace(temporary, file)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise InputError(
            f"{file} cannot be written ({error.strerror}): free space or choose another place; "
            f"everything saved before is intact."
        ) from error


def _put(group: h5py.Group, name: str, values: np.ndarray, image: bool = False) -> None:
    steps = min(len(values), CHUNK_STEPS)
    # Every array is compressed, also the small ones: zlib's checksum then finds damaged data when it is read.
    chunks = (steps, *values.shape[1:])
    if image:
        _, rows, columns, channels = values.shape
        chunks = (steps, min(rows, CHUNK_IMAGE_ROWS), columns, 3 if channels % 3 == 0 else channels)
    group.create_dataset(
        name, data=values, chunks=chunks, compression="gzip", compression_opts=GZIP_LEVEL, shuffle=not image
    )


def _only_last(steps: int, flag: bool) -> np.ndarray:
    values = np.zeros(steps, dtype=bool)
    values[-1] = flag
    return values


def _with_reset(values: np.ndarray) -> np.ndarray:
    return np.concatenate([np.zeros_like(values[:1]), values])


def read_jsonl(path: Path) -> list[dict[str, Any]]:
    """Objects of a JSON-lines file ([] where it is absent).

    A last line without its newline is a write that was cut short and is left out; any other unreadable line raises
    `InputError`.
    """
    if not path.exists():
        return []
    rows = []
    for number, line in enumerate(path.read_text().splitlines(keepends=True), 1):
        if not line.endswith("\n") or not line.strip():
            continue
        try:
            row = json.loads(line)
        except json.JSONDecodeError:
            row = None
        if not isinstance(row, dict):
            raise InputError(f"{path}, line {number} is not a JSON object; remove the line.")
        rows.append(row)
    return rows
