"""What an episode refuses."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from gymnasium import spaces

from fosp.data.episode import Episode, spec_of_space
from fosp.errors import InputError


def fields(steps: int = 4) -> dict:
    return {
        "observations": {
            "image": np.zeros((steps + 1, 8, 8, 3), np.uint8),
            "vector": np.zeros((steps + 1, 5), np.float32),
        },
        "actions": np.zeros((steps, 2), np.float32),
        "rewards": np.ones(steps, np.float32),
        "costs": np.ones(steps, np.float32),
        "terminated": False,
        "truncated": True,
    }


def with_nan(shape, index):
    array = np.zeros(shape, np.float32)
    array[index] = np.nan
    return array


def test_totals_and_spec():
    episode = Episode(**fields())
    assert (len(episode), episode.total_reward, episode.total_cost, episode.action_size) == (4, 4.0, 4.0, 2)
    assert episode.spec == {"image": (8, 8, 3), "vector": (5,)}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"rewards": with_nan(4, 2)}, "rewards is not finite at step 2"),
        ({"costs": with_nan(4, 0)}, "costs is not finite"),
        ({"actions": with_nan((4, 2), (3, 1))}, "actions is not finite at step 3"),
        ({"observations": {"vector": with_nan((5, 5), (1, 1))}}, "'vector' is not finite at step 1"),
        ({"actions": np.full((4, 2), 1.5, np.float32)}, r"within \[-1, 1\] but reach 1.5"),
        ({"costs": np.ones(3, np.float32)}, "costs has 3 entries for 4 rewards"),
        ({"actions": np.ones((5, 2), np.float32)}, "actions has 5 entries"),
        ({"actions": np.ones(4, np.float32)}, "actions has shape"),
        ({"costs": -np.ones(4, np.float32)}, "must not be negative"),
        ({"rewards": np.ones(0, np.float32)}, "at least one step"),
        ({"observations": {"vector": np.zeros((4, 5))}}, "one more than rewards"),
        ({"observations": {"image": np.zeros((5, 8, 8, 3), np.float32)}}, "must be uint8"),
        ({"observations": {"image": np.zeros((5, 8, 8), np.uint8)}}, "must be uint8"),
        ({"observations": {"lidar": np.zeros((5, 8))}}, "'lidar' is unknown"),
        ({"observations": {}}, "observations are empty"),
        ({"cost_kinds": {"hazards": np.ones(2)}}, "hazards has 2 entries"),
    ],
)
def test_bad_fields_are_named(change, message):
    with pytest.raises(InputError, match=message):
        Episode(**{**fields(), **change})


def test_rounding_beyond_the_bound_is_clipped():
    episode = Episode(**{**fields(), "actions": np.full((4, 2), 1 + 5e-7)})
    assert episode.actions.max() == 1.0
    assert dataclasses.replace(episode).actions.max() == 1.0


def test_spec_of_space():
    image = spaces.Box(0, 255, (8, 8, 6), np.uint8)
    vector = spaces.Box(-np.inf, np.inf, (5,), np.float32)
    assert spec_of_space(spaces.Dict(image=image, vector=vector)) == {"image": (8, 8, 6), "vector": (5,)}
    for space in (image, spaces.Dict(image=vector), spaces.Dict(lidar=vector)):
        with pytest.raises(InputError):
            spec_of_space(space)
