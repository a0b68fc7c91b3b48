"""Episodes, Minari datasets and the replay."""

from typing import TYPE_CHECKING, Any

from fosp.data.collect import collect
from fosp.data.dataset import Dataset, DatasetWriter, check_compatible, episodes_recorded
from fosp.data.episode import Episode, ObservationSpec
from fosp.data.importers import export_npz, import_npz
from fosp.data.mixing import interleave, mix
from fosp.data.reader import BehaviourInfo, DatasetInfo, EpisodeSummary

if TYPE_CHECKING:
    from fosp.data.loading import load_replay
    from fosp.data.replay import Replay

__all__ = [
    "BehaviourInfo",
    "Dataset",
    "DatasetInfo",
    "DatasetWriter",
    "Episode",
    "EpisodeSummary",
    "ObservationSpec",
    "Replay",
    "check_compatible",
    "collect",
    "episodes_recorded",
    "export_npz",
    "import_npz",
    "interleave",
    "load_replay",
    "mix",
]


def __getattr__(name: str) -> Any:
    # What needs torch is imported when it is asked for: torch takes seconds and 200 MB, and the processes that
    # collect episodes do without it.
    if name == "Replay":
        from fosp.data.replay import Replay

        return Replay
    if name == "load_replay":
        from fosp.data.loading import load_replay

        return load_replay
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
