"""The replay: a ring of rows from which training windows are sampled.

This is the one door at which alignment changes. Episodes come in as they happened (action[t] is taken after
observation[t]); rows go out as the world model wants them (row t holds the action that LED to its observation):

    an episode of n = 3 steps, as it happened (Episode, Minari datasets):

        observation     o0        o1        o2        o3
        action             a0        a1        a2
        reward, cost       r0,c0     r1,c1     r2,c2

    its n + 1 = 4 rows in the replay:

        row                   0         1         2         3
        image / vector        o0        o1        o2        o3
        action                0         a0        a1        a2       the action that led here
        reward, cost          0         r0,c0     r1,c1     r2,c2    received on arriving here
        is_first              True      False     False     False
        is_terminal           False     False     False     True if terminated, False at a time limit

Episodes follow one another in the ring. A window of rows may run across an episode's end into the next episode:
is_first marks the row where the model must forget everything before it, and that row's action is zero. Once the ring is
full, new rows overwrite the oldest; the oldest row left then has lost its past, so it is marked is_first as well and
its action becomes zero, and no window ever joins two rows that did not follow one another.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch

from fosp.data.episode import Episode, ObservationSpec, describe_spec, observation_dtype
from fosp.errors import InputError


class Replay:
    """A ring of ``capacity`` rows held in flat tensors, each observation stored once.

    Rows cost about H*W*C bytes (image) + 4*D bytes (vector) + 4*A + 10 bytes. On the CPU the operating system commits
    memory as rows are first written, so a generous capacity is free until it is used; on a GPU it is taken at once.

    Args:
        capacity: rows; an episode of n steps takes n + 1.
        observation_spec: shape of one observation by key, "image" (H, W, C) and/or "vector" (D,).
        action_size: A.
        device: where rows live and samples are returned.

    Raises:
        InputError: if the capacity is below 2 rows or more than the device's memory.
    """

    def __init__(
        self,
        capacity: int,
        observation_spec: Mapping[str, tuple[int, ...]],
        action_size: int,
        device: str | torch.device = "cpu",
    ) -> None:
        if capacity < 2:
            raise InputError(f"the replay's capacity (training.replay_steps) is {capacity} rows: give at least 2.")
        self.capacity = int(capacity)
        self.action_size = int(action_size)
        self.device = torch.device(device)
        self._spec: ObservationSpec = {key: tuple(shape) for key, shape in observation_spec.items()}
        self._rows: dict[str, torch.Tensor] = {}
        for key, shape in self._spec.items():
            dtype = torch.uint8 if observation_dtype(key) is np.uint8 else torch.float32
            self._rows[key] = self._new(shape, dtype)
        self._rows["action"] = self._new((self.action_size,), torch.float32)
        self._rows["reward"] = self._new((), torch.float32)
        self._rows["cost"] = self._new((), torch.float32)
        self._rows["is_first"] = self._new((), torch.bool)
        self._rows["is_terminal"] = self._new((), torch.bool)
        self._head = 0  # the next row to write; when full, also the oldest row
        self._size = 0
        self._online: int | None = None  # rows held since `begin_online`
        self._reward_max = -np.inf
        self._cost_max = -np.inf

    def _new(self, shape: tuple[int, ...], dtype: torch.dtype) -> torch.Tensor:
        # `empty` leaves the pages untouched: memory is committed row by row.
        try:
            return torch.empty((self.capacity, *shape), dtype=dtype, device=self.device)
        except RuntimeError as error:  # torch's own out-of-memory error is one as well
            gib = self.capacity * int(np.prod(shape)) * dtype.itemsize / 2**30
            raise InputError(
                f"the replay's capacity of {self.capacity} rows needs {gib:.1f} GiB, which {self.device} cannot give: "
                f"lower it (training.replay_steps)."
            ) from error

    def __len__(self) -> int:
        """Rows held."""
        return self._size

    @property
    def spec(self) -> ObservationSpec:
        """The shape of one observation by key."""
        return dict(self._spec)

    @property
    def nbytes(self) -> int:
        """Bytes that the rows held take."""
        return sum(rows[0].nbytes for rows in self._rows.values()) * self._size

    @property
    def reward_max(self) -> float:
        """The largest reward of one step among all episodes ever added; -inf before the first."""
        return float(self._reward_max)

    @property
    def cost_max(self) -> float:
        """The largest cost of one step among all episodes ever added; -inf before the first."""
        return float(self._cost_max)

    def rows(self, key: str) -> torch.Tensor:
        """All rows held of one entry, in no particular order, (len(self), *shape); a view, not a copy."""
        return self._rows[key][: self._size]

    def begin_online(self) -> None:
        """Says that what is added from now on is the robot's own experience, which `sample` can prefer."""
        self._online = 0

    def add(self, episode: Episode) -> None:
        """Appends an episode's n + 1 rows, overwriting the oldest rows when the ring is full.

        Observations that are not in the replay's spec are left out: an agent of one mode learns from data of both.

        Raises:
            InputError: if the episode lacks an observation of the replay's spec, has another observation or action
                shape, or has more rows than the capacity.
        """
        self._check(episode)
        rows = len(episode) + 1
        is_first = np.zeros(rows, dtype=bool)
        is_first[0] = True
        is_terminal = np.zeros(rows, dtype=bool)
        is_terminal[-1] = episode.terminated
        for key in self._spec:
            self._write(key, episode.observations[key])
        self._write("action", _after_zero(episode.actions))
        self._write("reward", _after_zero(episode.rewards))
        self._write("cost", _after_zero(episode.costs))
        self._write("is_first", is_first)
        self._write("is_terminal", is_terminal)
        self._reward_max = max(self._reward_max, float(episode.rewards.max()))
        self._cost_max = max(self._cost_max, float(episode.costs.max()))
        self._head = (self._head + rows) % self.capacity
        self._size = min(self._size + rows, self.capacity)
        if self._online is not None:
            self._online = min(self._online + rows, self.capacity)
        if self._size == self.capacity:
            self._rows["is_first"][self._head] = True
            self._rows["action"][self._head] = 0.0

    def sample(
        self, batch: int, length: int, generator: np.random.Generator, online_weight: float = 1.0
    ) -> dict[str, torch.Tensor]:
        """Draws windows of consecutive rows, each start equally likely but for `online_weight`.

        Args:
            batch: B windows, drawn with replacement.
            length: T rows each.
            generator: decides the starts; the same state gives the same windows.
            online_weight: how many times as likely a row added since `begin_online` is than one of before, at least 1;
                of no effect as long as there are fewer than T such rows, or none of before.

        Returns:
            Observations by key (B, T, *shape), "action" (B, T, A) float32, "reward" and "cost" (B, T) float32,
            "is_first" and "is_terminal" (B, T) bool, freshly allocated on the replay's device.

        Raises:
            InputError: if fewer than T rows are held.
        """
        if self._size < length:
            raise InputError(
                f"the replay holds {self._size} rows, fewer than a training sequence of {length}: add more episodes."
            )
        oldest = self._head if self._size == self.capacity else 0
        starts = oldest + generator.integers(0, self._size - length + 1, size=batch)  # (B,)
        if online_weight > 1 and self._online is not None and length <= self._online < self._size:
            extra = (online_weight - 1) * self._online  # as if the robot's own rows were there so many times more
            own = oldest + self._size - self._online + generator.integers(0, self._online - length + 1, size=batch)
            starts = np.where(generator.random(batch) < extra / (extra + self._size), own, starts)
        index = (starts[:, None] + np.arange(length)) % self.capacity  # (B, T)
        flat = torch.from_numpy(index.reshape(-1))  # (B*T,)
        if self.device.type == "cuda":  # from pinned memory, since the host would otherwise wait for the device here
            flat = flat.pin_memory().to(self.device, non_blocking=True)
        return {
            key: rows.index_select(0, flat).view(batch, length, *rows.shape[1:]) for key, rows in self._rows.items()
        }

    def _write(self, key: str, values: np.ndarray) -> None:
        until_end = min(len(values), self.capacity - self._head)
        source = torch.from_numpy(np.ascontiguousarray(values))
        self._rows[key][self._head : self._head + until_end].copy_(source[:until_end])
        self._rows[key][: len(values) - until_end].copy_(source[until_end:])

    def _check(self, episode: Episode) -> None:
        if any(episode.spec.get(key) != shape for key, shape in self._spec.items()):
            raise InputError(
                f"the episode's observation is {describe_spec(episode.spec)} but the replay holds "
                f"{describe_spec(self._spec)}: use data of one observation mode and image size."
            )
        if episode.action_size != self.action_size:
            raise InputError(
                f"the episode's actions have {episode.action_size} components but the replay holds "
                f"{self.action_size}: use data of one robot."
            )
        if len(episode) + 1 > self.capacity:
            raise InputError(
                f"an episode of {len(episode)} steps does not fit a replay of {self.capacity} rows: "
                f"raise the capacity to at least {len(episode) + 1}."
            )


def _after_zero(values: np.ndarray) -> np.ndarray:
    return np.concatenate([np.zeros_like(values[:1]), values])
