"""Data from elsewhere: a folder of .npz files, one an episode.

array        shape                  type      meaning
image        (n+1, H, W, C)         uint8     what was seen; C = 3 a camera        } at least
vector       (n+1, D)               float     what was measured                    } one of the two
action       (n, A)                 float     in [-1, 1], taken after observation t
reward       (n,)                   float     received for action t
cost         (n,)                   float     >= 0, received for action t
terminated   () or (n,)             bool      the task itself ended the episode (not a time limit)
cost_<kind>  (n,)                   float     optional: the cost by kind
behaviour    ()                     str       optional: the name of the policy
seed         ()                     int       optional
frames       ()                     int       optional: physics frames, by default n times the action repeat
"""

from __future__ import annotations

import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from gymnasium import spaces

from fosp.data import storage
from fosp.data.dataset import Dataset, DatasetWriter
from fosp.data.episode import IMAGE, VECTOR, Episode
from fosp.errors import InputError

_REQUIRED = ("action", "reward", "cost", "terminated")
_OPTIONAL = ("behaviour", "seed", "frames")
_ARRAYS = {"actions": "action", "rewards": "reward", "costs": "cost"}
"""Names of arrays, by those of an episode's fields."""


def import_npz(
    folder: str | Path,
    out: str | Path,
    *,
    env_id: str,
    action_repeat: int = 1,
    behaviour: str = "imported",
    on_episode: Callable[[int, int], None] = lambda done, total: None,
) -> Dataset:
    """Writes a dataset from every .npz file of a folder, in the order of their names.

    Args:
        folder: holds the files; see the module's table.
        out: the new dataset's directory.
        env_id: the environment in which a policy trained on the data is to act.
        action_repeat: physics frames that each action was held.
        behaviour: the name for episodes that bring none.
        on_episode: called with (episodes done, all episodes) after each.

    Raises:
        InputError: naming the file and the array that cannot be used, or if ``out`` has a dataset already.
    """
    if action_repeat < 1:
        raise InputError(f"The action repeat is {action_repeat}: each action is held for at least one frame.")
    files = sorted(Path(folder).glob("*.npz"))
    if not files:
        raise InputError(f"{folder} holds no .npz files: put one file for each episode there.")
    first = read_npz(files[0], action_repeat, behaviour)
    boxes: dict[str, spaces.Space] = {
        key: spaces.Box(0, 255, shape, np.uint8) if key == IMAGE else spaces.Box(-np.inf, np.inf, shape, np.float32)
        for key, shape in first.spec.items()
    }
    with DatasetWriter(
        out,
        env_id=env_id,
        observation_space=spaces.Dict(boxes),
        action_space=spaces.Box(-1, 1, (first.action_size,), np.float32),
        metadata={"action_repeat": action_repeat},
    ) as writer:
        if len(writer) > 0:
            raise InputError(f"{out} already holds {len(writer)} episodes: choose another path.")
        try:
            for done, file in enumerate(files, start=1):
                episode = read_npz(file, action_repeat, behaviour)
                if (episode.spec, episode.action_size) != (first.spec, first.action_size):
                    raise InputError(
                        f"{file} holds {episode.spec} and {episode.action_size} action components, but {files[0]} "
                        f"{first.spec} and {first.action_size}: give all files the same shapes."
                    )
                writer.add(episode)
                on_episode(done, len(files))
        except BaseException:  # half of a folder would pass for all of it
            writer.remove()
            raise
    return Dataset(out)


def read_npz(file: Path, action_repeat: int = 1, behaviour: str = "imported") -> Episode:
    """One episode from a file; InputError naming the file and the array that cannot be used."""
    try:
        archive = np.load(file, allow_pickle=False)
        if not isinstance(archive, np.lib.npyio.NpzFile):
            raise ValueError("it holds one array without a name")
        with archive:
            arrays = {name: archive[name] for name in archive.files}
    except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
        raise InputError(f"{file} is not a readable .npz file ({error}): write it with numpy.savez.") from error
    missing = [name for name in _REQUIRED if name not in arrays]
    if missing:
        raise InputError(f"{file} lacks the array {missing[0]!r}: every episode needs {', '.join(_REQUIRED)}.")
    unknown = arrays.keys() - {IMAGE, VECTOR, *_REQUIRED, *_OPTIONAL}
    unknown = {name for name in unknown if not name.startswith("cost_")}
    if unknown:
        raise InputError(f"{file} has the unknown array {min(unknown)!r}: remove or rename it.")
    try:
        terminated = _terminated(arrays["terminated"], len(arrays["reward"]))
        return Episode(
            observations={key: arrays[key] for key in (IMAGE, VECTOR) if key in arrays},
            actions=arrays["action"],
            rewards=arrays["reward"],
            costs=arrays["cost"],
            terminated=terminated,
            truncated=not terminated,
            behaviour=str(arrays.get("behaviour", behaviour)),
            seed=_count("seed", arrays.get("seed", 0)),
            frames=_count("frames", arrays.get("frames", len(arrays["reward"]) * action_repeat)),
            cost_kinds={
                name.removeprefix("cost_"): values for name, values in arrays.items() if name.startswith("cost_")
            },
        )
    except InputError as error:
        field, space, rest = str(error).partition(" ")
        raise InputError(f"{file}: {_ARRAYS.get(field, field)}{space}{rest}") from error
    except (TypeError, ValueError) as error:
        raise InputError(
            f"{file} has an array of the wrong type or shape ({error}): see the table of arrays."
        ) from error


def _terminated(values: np.ndarray, steps: int) -> bool:
    """Whether the episode ended by itself, from one truth value or one a step."""
    if values.shape not in ((), (steps,)) or values.dtype.kind not in "biuf" or not np.isin(values, (0, 1)).all():
        raise InputError(
            f"terminated is {values.dtype} with shape {values.shape}: give one truth value, or one for each reward."
        )
    return bool(values.reshape(-1)[-1])


def _count(name: str, value: np.ndarray | int) -> int:
    array = np.asarray(value)
    if array.shape != () or array.dtype.kind not in "iu" or array < 0:
        raise InputError(f"{name} is {value!r}: give one whole number from 0 on.")
    return int(array)


def export_npz(
    dataset: Dataset, folder: str | Path, on_episode: Callable[[int, int], None] = lambda done, total: None
) -> None:
    """Writes each episode of a dataset as an .npz file that ``import_npz`` reads back unchanged."""
    if Path(folder).is_file():
        raise InputError(f"{folder} is a file: give a folder to write into.")
    Path(folder).mkdir(parents=True, exist_ok=True)
    for number, episode in enumerate(dataset):
        arrays: dict[str, Any] = {
            **episode.observations,
            **{f"cost_{kind}": values for kind, values in episode.cost_kinds.items()},
            "action": episode.actions,
            "reward": episode.rewards,
            "cost": episode.costs,
            "terminated": episode.terminated,
            "behaviour": episode.behaviour,
            "seed": episode.seed,
            "frames": episode.frames,
        }
        with storage.replacing(Path(folder) / f"{number:06d}.npz") as stream:
            np.savez_compressed(stream, allow_pickle=False, **arrays)
        on_episode(number + 1, len(dataset))
