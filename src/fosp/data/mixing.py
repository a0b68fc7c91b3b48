"""Mixing behaviours in wanted numbers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from fosp.data.dataset import Dataset, DatasetWriter, check_compatible
from fosp.errors import InputError


def mix(paths: Sequence[str | Path], counts: Mapping[str, int], out: str | Path) -> Dataset:
    """Writes a new dataset with so many episodes of each behaviour.

    Of each behaviour the first episodes are taken, in the order of ``paths``, and the behaviours are interleaved
    evenly, so that any beginning of the new dataset has nearly the same mixture. Nothing is compressed anew.

    Args:
        paths: datasets of one environment and observation.
        counts: behaviour name -> episodes, as in {"safe": 200, "unsafe": 100}.
        out: the new dataset's directory.

    Raises:
        InputError: if a behaviour has fewer episodes, the datasets do not match, or ``out`` has a dataset already.
    """
    if not paths or sum(counts.values()) == 0 or min(counts.values()) < 0:
        raise InputError(
            f"nothing can be mixed of {len(paths)} datasets in the numbers {dict(counts)}: give at least one."
        )
    datasets = [Dataset(path) for path in paths]
    first = datasets[0]
    for dataset in datasets:
        check_compatible(dataset, first.observation_spec, first.action_size)
        for field in ("env_id", "action_repeat"):
            values = [first.metadata.get(field), dataset.metadata.get(field)]
            if values[0] != values[1]:
                raise InputError(
                    f"{dataset.path} has {field} {values[1]!r} but {first.path} has {values[0]!r}: "
                    f"mix data of one environment."
                )
    available: dict[str, list[tuple[Dataset, int]]] = {name: [] for name in counts}
    for dataset in datasets:
        for number, summary in enumerate(dataset.summaries()):
            available.setdefault(summary.behaviour, []).append((dataset, number))
    for name, count in counts.items():
        if len(available[name]) < count:
            present = ", ".join(f"{len(found)} {behaviour}" for behaviour, found in available.items() if found)
            raise InputError(
                f"there are {len(available[name])} episodes of {name!r}, not {count} (found: {present}): "
                f"ask for fewer or collect more."
            )
    metadata = {key: value for key, value in first.metadata.items() if key not in _OWN_FIELDS}
    with DatasetWriter(
        out,
        env_id=first.env_id,
        observation_space=first.observation_space,
        action_space=first.action_space,
        metadata=metadata,
    ) as writer:
        if len(writer) > 0:
            raise InputError(f"{out} already holds {len(writer)} episodes: choose another path.")
        taken = dict.fromkeys(counts, 0)
        for name in interleave(counts):
            dataset, number = available[name][taken[name]]
            taken[name] += 1
            writer.add_encoded(dataset.encoded(number))
    return Dataset(out)


_OWN_FIELDS = ("schema", "env_id", "observation", "collection")  # written anew, or true of the sources only


def interleave(counts: Mapping[str, int]) -> list[str]:
    """The names, each as often as its count, spread evenly: {"a": 2, "b": 1} gives a, b, a."""
    places = [
        ((k + 0.5) / count, order, name) for order, (name, count) in enumerate(counts.items()) for k in range(count)
    ]
    return [name for _, _, name in sorted(places)]
