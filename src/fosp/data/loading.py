"""From datasets on disk to a replay in memory."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from fosp.data.dataset import Dataset, check_compatible
from fosp.data.replay import Replay
from fosp.errors import InputError


def load_replay(
    paths: Sequence[str | Path],
    capacity: int | None = None,
    device: str = "cpu",
    observation_spec: Mapping[str, tuple[int, ...]] | None = None,
) -> Replay:
    """A replay with every episode of these datasets, in order.

    Args:
        paths: datasets of one action size.
        capacity: rows; by default exactly those of the data. Online learning wants room for more.
        device: where the rows are held.
        observation_spec: the observations to load, by default all of the first dataset; others are not even read.

    Raises:
        InputError: if there are no episodes, more rows than ``capacity``, or observations that do not match.
    """
    if not paths:
        raise InputError("no dataset is given: name at least one.")
    datasets = [Dataset(path) for path in paths]
    spec = dict(observation_spec or datasets[0].observation_spec)
    for dataset in datasets:
        check_compatible(dataset, spec, datasets[0].action_size)
    rows = sum(dataset.steps + len(dataset) for dataset in datasets)
    if rows == 0:
        raise InputError(f"{paths[0]} holds no episode: collect some first.")
    if capacity is not None and rows > capacity:
        raise InputError(f"the datasets have {rows} rows but the replay's capacity is {capacity}: raise the capacity.")
    replay = Replay(rows if capacity is None else capacity, spec, datasets[0].action_size, device)
    for dataset in datasets:
        for episode in dataset.episodes(spec):
            replay.add(episode)
    return replay
