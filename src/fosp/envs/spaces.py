"""The observation kinds that every environment here knows."""

from fosp.errors import InputError

OBSERVATION_KINDS = ("image", "vector", "both")


def check_observation_kind(observation: str) -> None:
    """Raises InputError unless ``observation`` is one of image, vector, both."""
    if observation not in OBSERVATION_KINDS:
        raise InputError(f"observation={observation!r} is unknown: use one of {', '.join(OBSERVATION_KINDS)}.")
