"""One episode, and what every episode must satisfy before anything is learned from it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from gymnasium import spaces

from fosp.errors import InputError

IMAGE = "image"
VECTOR = "vector"
ACTION_TOLERANCE = 1e-6

ObservationSpec = dict[str, tuple[int, ...]]
"""The shape of one observation by key: ``{"image": (64, 64, 6), "vector": (60,)}``.

The key fixes the type: "image" is uint8 with shape (height, width, channels), "vector" is float32 with shape (D,).
"""


@dataclass(eq=False)
class Episode:
    """A finished (or interrupted) episode of n agent steps, in the order in which it happened.

    ``actions[t]`` was taken after seeing ``observations[t]`` and yielded ``rewards[t]``, ``costs[t]`` and
    ``observations[t + 1]``, as in Minari; so there is one observation more than there are actions.

    Attributes:
        observations: "image" uint8 (n+1, H, W, C) and/or "vector" float32 (n+1, D).
        actions: float32 (n, A), each within [-1, 1].
        rewards: float32 (n,).
        costs: float32 (n,), the cost of each step, not negative.
        terminated: the task itself ended the episode, so that nothing follows its last observation.
        truncated: a time limit cut the episode, so that its last observation has a future.
        behaviour: the name of the policy that acted.
        seed: the seed of the environment's reset and of the policy.
        frames: physics frames in the episode (agent steps times action repeat, unless it ended within a step).
        cost_kinds: float32 (n,) by kind, for environments that tell kinds of cost apart.

    Raises:
        InputError: if a field has another length, shape or type than described, is not finite, or if an action
            leaves [-1, 1].
    """

    observations: dict[str, np.ndarray]
    actions: np.ndarray
    rewards: np.ndarray
    costs: np.ndarray
    terminated: bool
    truncated: bool
    behaviour: str = "unknown"
    seed: int = 0
    frames: int = 0
    cost_kinds: dict[str, np.ndarray] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.rewards = _finite("rewards", self.rewards, 1)
        self.costs = _finite("costs", self.costs, 1)
        self.actions = _finite("actions", self.actions, 2)
        self.cost_kinds = {kind: _finite(f"cost_{kind}", values, 1) for kind, values in self.cost_kinds.items()}
        self.observations = {key: _observation(key, values) for key, values in self.observations.items()}
        self.terminated, self.truncated = bool(self.terminated), bool(self.truncated)
        self._check_lengths()
        kinds = {f"cost_{kind}": values for kind, values in self.cost_kinds.items()}
        for name, values in {"costs": self.costs, **kinds}.items():
            if not values.min() >= 0:
                raise InputError(f"{name} must not be negative but reach {values.min():g}: give penalties >= 0.")
        largest = float(np.abs(self.actions).max())
        if largest > 1 + ACTION_TOLERANCE:
            raise InputError(f"actions must lie within [-1, 1] but reach {largest:g}: rescale them to [-1, 1].")
        # What the tolerance lets through is float rounding; the densities downstream need the exact bound.
        self.actions = np.clip(self.actions, -1, 1)

    def _check_lengths(self) -> None:
        steps = len(self.rewards)
        if steps == 0:
            raise InputError("rewards are empty: an episode needs at least one step.")
        if not self.observations:
            raise InputError('observations are empty: give "image", "vector" or both.')
        for name, values in {"actions": self.actions, "costs": self.costs, **self.cost_kinds}.items():
            if len(values) != steps:
                raise InputError(f"{name} has {len(values)} entries for {steps} rewards: give one entry a step.")
        for key, observations in self.observations.items():
            if len(observations) != steps + 1:
                raise InputError(
                    f"observation {key!r} has {len(observations)} entries for {steps} rewards: "
                    f"give one more than rewards, the last being what the last action led to."
                )

    def __len__(self) -> int:
        """Agent steps, n."""
        return len(self.rewards)

    @property
    def total_reward(self) -> float:
        """The undiscounted sum of rewards."""
        return float(self.rewards.sum(dtype=np.float64))

    @property
    def total_cost(self) -> float:
        """The undiscounted sum of costs."""
        return float(self.costs.sum(dtype=np.float64))

    @property
    def spec(self) -> ObservationSpec:
        """The shape of one observation by key."""
        return {key: values.shape[1:] for key, values in self.observations.items()}

    @property
    def action_size(self) -> int:
        """A, the number of action components."""
        return self.actions.shape[1]


def observation_dtype(key: str) -> type[np.generic]:
    """The type of observations stored under ``key``; InputError for an unknown key."""
    if key == IMAGE:
        return np.uint8
    if key == VECTOR:
        return np.float32
    raise InputError(f'observation key {key!r} is unknown: use "image" for pictures and "vector" for numbers.')


def spec_of_space(space: spaces.Space) -> ObservationSpec:
    """The observation spec of an environment's observation space.

    Args:
        space: a ``spaces.Dict`` with "image" (uint8, (H, W, C)) and/or "vector" (float32, (D,)).

    Raises:
        InputError: for any other space.
    """
    if not isinstance(space, spaces.Dict):
        raise InputError(f'the observation space is {space}: use a Dict space with "image" and/or "vector".')
    spec: ObservationSpec = {}
    for key, box in space.spaces.items():
        dtype = observation_dtype(key)
        rank = 3 if key == IMAGE else 1
        if not isinstance(box, spaces.Box) or box.dtype != dtype or len(box.shape) != rank:
            raise InputError(
                f"observation {key!r} has the space {box}: it must be a Box of {np.dtype(dtype)} with {rank} axes."
            )
        spec[key] = tuple(int(size) for size in box.shape)
    return spec


def describe_spec(spec: Mapping[str, tuple[int, ...]]) -> str:
    """A spec in words for messages: ``image (64, 64, 6) + vector (60,)``."""
    return " + ".join(f"{key} {tuple(shape)}" for key, shape in sorted(spec.items()))


def _finite(name: str, values: np.ndarray, rank: int) -> np.ndarray:
    array = np.asarray(values, dtype=np.float32)
    if array.ndim != rank:
        raise InputError(f"{name} has shape {array.shape}: it must have {rank} {'axis' if rank == 1 else 'axes'}.")
    if not np.isfinite(array).all():
        step = int(np.argwhere(~np.isfinite(array))[0, 0])
        raise InputError(f"{name} is not finite at step {step}: remove the NaN or infinite values.")
    return array


def _observation(key: str, values: np.ndarray) -> np.ndarray:
    dtype = observation_dtype(key)
    if key == VECTOR:
        return _finite("observation 'vector'", values, 2)
    array = np.asarray(values)
    if array.dtype != dtype or array.ndim != 4:
        raise InputError(
            f"observation 'image' is {array.dtype} with shape {array.shape}: "
            f"it must be uint8 with shape (steps + 1, height, width, channels)."
        )
    return array
