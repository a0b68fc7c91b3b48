"""The replay against a brute-force oracle that knows nothing of rings."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy import stats

from fosp.config import change, preset
from fosp.data.episode import Episode
from fosp.data.replay import Replay
from fosp.errors import InputError

SPEC = {"image": (4, 5, 6), "vector": (3,)}
ACTIONS = 2


def make_episode(steps: int, number: int, terminated: bool = False, spec=SPEC) -> Episode:
    """An episode of random content in which no two rows are equal: vector[0] is its number, vector[1] the time."""
    rng = np.random.default_rng(1000 + number)
    observations = {}
    if "image" in spec:
        observations["image"] = rng.integers(0, 256, (steps + 1, *spec["image"]), dtype=np.uint8)
    if "vector" in spec:
        vector = rng.normal(size=(steps + 1, *spec["vector"])).astype(np.float32)
        vector[:, 0], vector[:, 1] = number, np.arange(steps + 1)
        observations["vector"] = vector
    return Episode(
        observations=observations,
        actions=rng.uniform(-1, 1, (steps, ACTIONS)).astype(np.float32),
        rewards=rng.normal(size=steps).astype(np.float32),
        costs=rng.integers(0, 3, steps).astype(np.float32),
        terminated=terminated,
        truncated=not terminated,
    )


def oracle_rows(episodes: list[Episode], capacity: int) -> list[dict]:
    """The rows that a replay of this capacity must hold, oldest first, built one by one from the definition."""
    rows = []
    for episode in episodes:
        n = len(episode.rewards)
        for t in range(n + 1):
            rows.append(
                {
                    "image": episode.observations["image"][t],
                    "vector": episode.observations["vector"][t],
                    "action": episode.actions[t - 1] if t > 0 else np.zeros(ACTIONS, np.float32),
                    "reward": episode.rewards[t - 1] if t > 0 else np.float32(0),
                    "cost": episode.costs[t - 1] if t > 0 else np.float32(0),
                    "is_first": t == 0,
                    "is_terminal": t == n and episode.terminated,
                }
            )
    rows = rows[-capacity:]
    if len(rows) == capacity:  # full: what precedes the oldest row is gone
        rows[0] = {**rows[0], "is_first": True, "action": np.zeros(ACTIONS, np.float32)}
    return rows


def assert_window(sample: dict, b: int, rows: list[dict], start: int) -> None:
    length = sample["reward"].shape[1]
    for t in range(length):
        for key, expected in rows[start + t].items():
            np.testing.assert_array_equal(sample[key][b, t].numpy(), expected, err_msg=f"{key} at row {start + t}")


@pytest.mark.parametrize(
    ("capacity", "lengths"),
    [
        (200, [7, 5, 1, 12]),  # not full
        (29, [7, 5, 1, 12]),  # exactly full: 8 + 6 + 2 + 13 rows
        (20, [7, 5, 1, 12]),  # the last episode overwrites across the ring's end
        (23, [7, 5, 1, 12, 3, 9, 22, 4, 4, 18]),  # several times around, one episode as large as the ring
    ],
)
def test_every_window_equals_the_source_rows(capacity, lengths):
    replay = Replay(capacity, SPEC, ACTIONS)
    episodes: list[Episode] = []
    rng = np.random.default_rng(0)
    for number, steps in enumerate(lengths):
        episodes.append(make_episode(steps, number, terminated=number % 2 == 0))
        replay.add(episodes[-1])
        rows = oracle_rows(episodes, capacity)
        assert len(replay) == len(rows)
        length = min(6, len(rows))
        by_identity = {(row["vector"][0], row["vector"][1]): i for i, row in enumerate(rows)}
        sample = replay.sample(40, length, rng)
        for b in range(40):
            first = sample["vector"][b, 0]
            assert_window(sample, b, rows, by_identity[(float(first[0]), float(first[1]))])


def test_starts_are_uniform_and_reach_both_ends():
    replay = Replay(30, SPEC, ACTIONS)
    for number, steps in enumerate([9, 9, 9, 4]):  # 35 rows: the first five are overwritten
        replay.add(make_episode(steps, number))
    rows = oracle_rows([make_episode(s, n) for n, s in enumerate([9, 9, 9, 4])], 30)
    order = {(row["vector"][0], row["vector"][1]): i for i, row in enumerate(rows)}
    draws, length = 26_000, 5
    first = replay.sample(draws, length, np.random.default_rng(3))["vector"][:, 0, :2].numpy()
    counts = np.bincount([order[tuple(row)] for row in first.astype(float)], minlength=30)
    starts = 30 - length + 1
    assert counts[starts:].sum() == 0
    expected = draws / starts
    chi_square = float(((counts[:starts] - expected) ** 2 / expected).sum())
    assert chi_square < 60  # 25 degrees of freedom: 60 is exceeded once in 10^4


@pytest.mark.parametrize("capacity", [200, 90], ids=["all held", "the oldest overwritten"])
def test_the_robots_own_rows_are_drawn_as_often_as_asked_for(capacity):
    replay = Replay(capacity, SPEC, ACTIONS)
    for number in range(3):
        replay.add(make_episode(24, number))  # 75 rows
    replay.begin_online()
    replay.add(make_episode(24, 3))  # 25 rows
    old = len(replay) - 25
    windows = replay.sample(40_000, 1, np.random.default_rng(0), online_weight=4.0)
    counts = np.unique(windows["vector"][:, 0, :2].numpy(), axis=0, return_counts=True)
    expected = np.where(counts[0][:, 0] == 3, 4, 1) * 40_000 / (4 * 25 + old)
    assert len(counts[1]) == len(replay)
    assert stats.chisquare(counts[1], expected).pvalue > 0.01


def test_an_extra_window_lies_among_the_robots_own_rows():
    replay = Replay(100, SPEC, ACTIONS)
    replay.add(make_episode(60, 0))
    replay.begin_online()
    generator = np.random.default_rng(0)
    replay.add(make_episode(3, 1))
    replay.sample(8, 5, generator, online_weight=1e6)  # 4 rows hold no window of 5: any will do
    replay.add(make_episode(3, 2))
    numbers = replay.sample(500, 5, generator, online_weight=1e6)["vector"][:, :, 0]
    assert numbers.min() == 1
    assert set(numbers[:, 0].tolist()) == {1.0}  # windows of 5 begin in the first of two episodes of 4 rows


def test_without_a_weight_the_robots_own_rows_are_drawn_like_any_other():
    plain, weighted = Replay(100, SPEC, ACTIONS), Replay(100, SPEC, ACTIONS)
    for replay in (plain, weighted):
        replay.add(make_episode(30, 0))
    weighted.begin_online()
    for replay in (plain, weighted):
        replay.add(make_episode(30, 1))
    draws = [replay.sample(50, 4, np.random.default_rng(0))["vector"] for replay in (plain, weighted)]
    assert torch.equal(*draws)


def test_windows_never_join_rows_that_did_not_follow_one_another():
    replay = Replay(37, SPEC, ACTIONS)
    rng = np.random.default_rng(0)
    for number in range(25):
        replay.add(make_episode(int(rng.integers(1, 20)), number))
        length = min(8, len(replay))
        sample = replay.sample(30, length, rng)
        episode, time = sample["vector"][..., 0], sample["vector"][..., 1]
        follows = (episode[:, 1:] == episode[:, :-1]) & (time[:, 1:] == time[:, :-1] + 1)
        assert bool((follows | sample["is_first"][:, 1:]).all())
        assert bool((sample["action"][sample["is_first"]] == 0).all())


def test_a_time_limit_is_not_terminal_and_a_termination_is():
    replay = Replay(10, SPEC, ACTIONS)
    replay.add(make_episode(3, 0, terminated=False))
    replay.add(make_episode(4, 1, terminated=True))
    sample = replay.sample(1, 9, np.random.default_rng(0))
    assert sample["is_terminal"][0].tolist() == [False] * 8 + [True]
    assert sample["is_first"][0].tolist() == [i in (0, 4) for i in range(9)]


def test_same_generator_state_gives_the_same_sample_and_samples_are_copies():
    replay = Replay(100, SPEC, ACTIONS)
    replay.add(make_episode(50, 0))
    one = replay.sample(4, 8, np.random.default_rng(7))
    two = replay.sample(4, 8, np.random.default_rng(7))
    assert all(torch.equal(one[key], two[key]) for key in one)
    one["image"].zero_()
    assert all(torch.equal(replay.sample(4, 8, np.random.default_rng(7))[key], two[key]) for key in two)


def test_shapes_types_and_extremes():
    replay = Replay(100, SPEC, ACTIONS)
    assert replay.reward_max == -np.inf
    episodes = [make_episode(10, 0), make_episode(12, 1)]
    for episode in episodes:
        replay.add(episode)
    sample = replay.sample(3, 7, np.random.default_rng(0))
    assert {key: (tuple(value.shape), value.dtype) for key, value in sample.items()} == {
        "image": ((3, 7, 4, 5, 6), torch.uint8),
        "vector": ((3, 7, 3), torch.float32),
        "action": ((3, 7, 2), torch.float32),
        "reward": ((3, 7), torch.float32),
        "cost": ((3, 7), torch.float32),
        "is_first": ((3, 7), torch.bool),
        "is_terminal": ((3, 7), torch.bool),
    }
    assert replay.reward_max == pytest.approx(max(e.rewards.max() for e in episodes))
    assert replay.cost_max == max(e.costs.max() for e in episodes)
    assert replay.spec == SPEC


def test_an_agent_of_one_mode_learns_from_data_of_both():
    replay = Replay(20, {"vector": (3,)}, ACTIONS)
    replay.add(make_episode(5, 0))
    assert "image" not in replay.sample(1, 3, np.random.default_rng(0))


def test_600_two_view_episodes_take_less_than_4_5_gib():
    spec = {"image": (64, 64, 6)}
    replay = Replay(3 * 251, spec, ACTIONS)
    for number in range(3):
        replay.add(make_episode(250, number, spec=spec))
    assert replay.nbytes * 200 < 4.5 * 2**30
    held = sum(rows.untyped_storage().nbytes() for rows in replay._rows.values())
    assert held == replay.nbytes  # nothing beyond the rows themselves is kept


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="needs Linux's /proc to read the resident memory")
def test_memory_is_committed_as_rows_are_written():
    def resident() -> int:
        return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")

    before = resident()
    replay = Replay(80_000, {"image": (64, 64, 6)}, ACTIONS)  # 2 GB of address space
    replay.add(make_episode(10, 0, spec=replay.spec))
    assert resident() - before < 100e6


def test_more_rows_than_memory_is_one_clear_sentence():
    with pytest.raises(InputError, match="GiB, which cpu cannot give: lower"):
        Replay(10**12, {"image": (64, 64, 6)}, ACTIONS)


@pytest.mark.parametrize(
    ("episode", "message"),
    [
        (make_episode(5, 0, spec={"vector": (3,)}), "one observation mode"),
        (make_episode(5, 0, spec={"image": (8, 8, 6), "vector": (3,)}), "image size"),
        (make_episode(50, 0), "at least 51"),
    ],
)
def test_what_does_not_fit_is_refused(episode, message):
    with pytest.raises(InputError, match=message):
        Replay(20, SPEC, ACTIONS).add(episode)


def test_too_few_rows_for_a_sequence():
    replay = Replay(100, SPEC, ACTIONS)
    replay.add(make_episode(5, 0))
    with pytest.raises(InputError, match="6 rows, fewer than a training sequence of 16"):
        replay.sample(1, 16, np.random.default_rng(0))


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_the_same_rows_come_from_a_cuda_replay():
    replays = [Replay(40, SPEC, ACTIONS, device) for device in ("cpu", "cuda")]
    for number in range(6):
        for replay in replays:
            replay.add(make_episode(9, number))
    cpu, cuda = (replay.sample(5, 6, np.random.default_rng(1)) for replay in replays)
    assert all(torch.equal(cpu[key], cuda[key].cpu()) and cuda[key].is_cuda for key in cpu)


def test_a_weight_below_one_is_refused():
    with pytest.raises(InputError, match=r"training\.online_weight is 0\.5, outside its range >= 1"):
        change(preset("test"), {"training.online_weight": 0.5})
