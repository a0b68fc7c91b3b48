"""Data from elsewhere and mixtures."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from data_toys import METADATA, assert_same, make_episode, write, writer
from fosp.data import Dataset, export_npz, import_npz, interleave, mix
from fosp.errors import InputError


def arrays(steps: int = 6, **changes) -> dict:
    rng = np.random.default_rng(steps)
    result = {
        "image": rng.integers(0, 256, (steps + 1, 16, 16, 3), dtype=np.uint8),
        "vector": rng.normal(size=(steps + 1, 4)),
        "action": rng.uniform(-1, 1, (steps, 2)),
        "reward": rng.normal(size=steps),
        "cost": np.ones(steps),
        "terminated": np.bool_(True),
        **changes,
    }
    return {name: values for name, values in result.items() if values is not None}


def save(folder: Path, *files: dict) -> Path:
    folder.mkdir()
    for number, content in enumerate(files):
        np.savez(folder / f"{number}.npz", **content)
    return folder


def test_npz_files_become_a_dataset(tmp_path):
    flags = np.zeros(9, bool)  # terminated may also come a step
    files = [arrays(6), arrays(9, terminated=flags, behaviour="human", seed=3, frames=40, cost_wall=np.ones(9))]
    calls = []
    dataset = import_npz(
        save(tmp_path / "raw", *files),
        tmp_path / "out",
        env_id="Mine-v0",
        action_repeat=5,
        on_episode=lambda *call: calls.append(call),
    )
    assert calls == [(1, 2), (2, 2)]
    assert (dataset.env_id, dataset.metadata["action_repeat"]) == ("Mine-v0", 5)
    first, second = dataset
    np.testing.assert_array_equal(first.observations["image"], files[0]["image"])
    np.testing.assert_array_equal(first.observations["vector"], files[0]["vector"].astype(np.float32))
    np.testing.assert_array_equal(first.actions, files[0]["action"].astype(np.float32))
    assert (first.terminated, first.truncated, first.behaviour, first.frames) == (True, False, "imported", 30)
    assert (second.terminated, second.truncated, second.behaviour, second.seed, second.frames) == (
        False,
        True,
        "human",
        3,
        40,
    )
    assert second.cost_kinds["wall"].tolist() == [1] * 9
    with pytest.raises(InputError, match="already holds 2 episodes"):
        import_npz(tmp_path / "raw", tmp_path / "out", env_id="Mine-v0", action_repeat=5)


def test_export_and_import_change_nothing(tmp_path):
    episodes = [make_episode(0), make_episode(1, 30, "random", terminated=True)]
    export_npz(write(tmp_path / "toy", *episodes), tmp_path / "npz")
    back = import_npz(tmp_path / "npz", tmp_path / "back", env_id="Toy-v0", action_repeat=4)
    for one, two in zip(back, episodes, strict=True):
        assert_same(one, two)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"cost": None}, r"1.npz lacks the array 'cost'"),
        ({"image": None, "vector": None}, r"1.npz: observations are empty"),
        ({"image": np.zeros((7, 32, 32, 3), np.uint8)}, r"1.npz holds .*32, 32.* same shapes"),
        ({"action": np.full((6, 2), 2.0)}, r"1.npz: action must lie within"),
        ({"reward": np.full(6, np.nan)}, r"1.npz: reward is not finite at step 0"),
        ({"terminated": np.array("no")}, r"1.npz: terminated is <U2"),
        ({"terminated": np.zeros(0, bool)}, r"1.npz: terminated is bool with shape \(0,\)"),
        ({"terminated": np.array(2)}, r"1.npz: terminated is int64"),
        ({"cost_wall": -np.ones(6)}, r"1.npz: cost_wall must not be negative"),
        ({"seed": np.array(-1)}, r"1.npz: seed is .*-1"),
        ({"frames": np.array([24])}, r"1.npz: frames is .*24"),
        ({"cost": np.array(["a"] * 6)}, r"1.npz has an array of the wrong type"),
        ({"costs": np.ones(6)}, r"1.npz has the unknown array 'costs'"),
        ({"reward": np.array([{}] * 6)}, r"1.npz is not a readable .npz file"),
        ({"reward": np.ones(5)}, r"1.npz: action has 6 entries for 5 rewards"),
    ],
)
def test_bad_npz_files_are_named(tmp_path, changes, message):
    with pytest.raises(InputError, match=message):
        import_npz(save(tmp_path / "raw", arrays(), arrays(**changes)), tmp_path / "out", env_id="Mine-v0")
    assert not (tmp_path / "out").exists()  # half of the folder would pass for all of it


def test_unreadable_npz_folders(tmp_path):
    save(tmp_path / "raw", arrays())
    content = (tmp_path / "raw/0.npz").read_bytes()
    (tmp_path / "raw/0.npz").write_bytes(content[: len(content) // 2])
    with pytest.raises(InputError, match=r"0.npz is not a readable"):
        import_npz(tmp_path / "raw", tmp_path / "out", env_id="Mine-v0")
    with (tmp_path / "raw/0.npz").open("wb") as file:
        np.save(file, np.zeros(3))
    with pytest.raises(InputError, match=r"0.npz is not a readable .* one array without a name"):
        import_npz(tmp_path / "raw", tmp_path / "out", env_id="Mine-v0")
    with pytest.raises(InputError, match=r"action repeat is 0"):
        import_npz(tmp_path / "raw", tmp_path / "out", env_id="Mine-v0", action_repeat=0)
    with pytest.raises(InputError, match=r"holds no .npz files"):
        import_npz(tmp_path / "nowhere", tmp_path / "out", env_id="Mine-v0")


def test_interleave_spreads_evenly():
    assert interleave({"a": 2, "b": 1}) == ["a", "b", "a"]
    order = interleave({"safe": 100, "unsafe": 50, "random": 50})
    for end in range(20, 200, 7):  # any beginning is mixed as the whole
        assert abs(order[:end].count("safe") - end / 2) <= 1


def test_mix_takes_the_wanted_numbers(tmp_path):
    names = ["safe", "unsafe", "random", "safe", "unsafe", "random"]
    write(tmp_path / "one", *(make_episode(i, 5, name) for i, name in enumerate(names)))
    write(tmp_path / "two", *(make_episode(10 + i, 5, name) for i, name in enumerate(names)))
    mixed = mix([tmp_path / "one", tmp_path / "two"], {"safe": 3, "random": 1}, tmp_path / "mixed")
    assert [(e.behaviour, e.seed) for e in mixed] == [("safe", 100), ("safe", 103), ("random", 102), ("safe", 110)]
    for episode in mixed:
        assert_same(episode, make_episode(episode.seed - 100, 5, episode.behaviour))
    assert mixed.metadata["action_repeat"] == METADATA["action_repeat"]
    assert (mixed.info().steps, len(Dataset(tmp_path / "one"))) == (20, 6)


def test_mixtures_that_cannot_be_made(tmp_path):
    write(tmp_path / "one", make_episode(0, 5, "safe"), make_episode(1, 5, "safe"))
    with writer(tmp_path / "other", env_id="Other-v0") as out:
        out.add(make_episode(0))
    for paths, counts, message in (
        (["one"], {"safe": 3}, "2 episodes of 'safe', not 3"),
        (["one"], {"unsafe": 1}, r"0 episodes of 'unsafe', not 1 \(found: 2 safe\)"),
        (["one", "other"], {"safe": 2}, "env_id 'Other-v0'"),
        (["one"], {"safe": 0}, "nothing can be mixed"),
        ([], {"safe": 1}, "nothing can be mixed"),
    ):
        with pytest.raises(InputError, match=message):
            mix([tmp_path / path for path in paths], counts, tmp_path / "mixed")
    with pytest.raises(InputError, match="already holds 2 episodes"):
        mix([tmp_path / "one"], {"safe": 1}, tmp_path / "one")
