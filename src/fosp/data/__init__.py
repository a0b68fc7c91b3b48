"""Episodes, Minari datasets and the replay."""

from fosp.data.dataset import Dataset, DatasetWriter, check_compatible, load_replay
from fosp.data.episode import Episode, ObservationSpec
from fosp.data.reader import BehaviourInfo, DatasetInfo, EpisodeSummary
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
    "load_replay",
]
