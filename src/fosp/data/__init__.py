"""Episodes, Minari datasets and the replay."""

from fosp.data.episode import Episode, ObservationSpec
from fosp.data.replay import Replay

__all__ = ["Episode", "ObservationSpec", "Replay"]
