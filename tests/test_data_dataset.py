"""Datasets: exact, readable by Minari itself, whole after a kill, and clear about what is wrong."""

from __future__ import annotations

import json
import os
import resource
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import gymnasium as gym
import h5py
import minari
import numpy as np
import pytest
from gymnasium import spaces
from minari.dataset.minari_storage import MinariStorage

from data_toys import ACTION_SPACE, METADATA, SPACE, assert_same, make_episode, write, writer
from fosp.data import Dataset, Episode, check_compatible, load_replay, storage
from fosp.errors import InputError


def test_episodes_come_back_exactly(tmp_path):
    episodes = [make_episode(i, steps, terminated=i == 1) for i, steps in enumerate((20, 1, 300))]
    dataset = write(tmp_path / "toy", *episodes)
    assert len(dataset) == 3
    for stored, original in zip(dataset, episodes, strict=True):
        assert_same(stored, original)
    assert_same(dataset[-1], episodes[-1])
    assert dataset.env_id == "Toy-v0"
    assert dataset.metadata == {"schema": 1, "env_id": "Toy-v0", "observation": "both", **METADATA}
    assert dataset.observation_spec == {"image": (32, 40, 6), "vector": (5,)}
    assert dataset.observation_space == SPACE
    assert dataset.action_space == ACTION_SPACE
    with pytest.raises(IndexError):
        dataset[3]


def test_minari_itself_reads_it(tmp_path, monkeypatch):
    episodes = [make_episode(0, behaviour="safe"), make_episode(1, behaviour="random", terminated=True)]
    write(tmp_path / "toy-v3", *episodes)
    monkeypatch.setenv("MINARI_DATASETS_PATH", str(tmp_path))
    loaded = minari.load_dataset("toy-v3")
    assert loaded.id == "toy-v3"
    assert (loaded.total_episodes, loaded.total_steps) == (2, 40)
    assert list(minari.list_local_datasets()) == ["toy-v3"]
    assert loaded.observation_space == SPACE
    for data, episode in zip(loaded.iterate_episodes(), episodes, strict=True):
        np.testing.assert_array_equal(data.observations["image"], episode.observations["image"])
        np.testing.assert_array_equal(data.observations["vector"], episode.observations["vector"])
        np.testing.assert_array_equal(data.actions, episode.actions)
        np.testing.assert_array_equal(data.rewards, episode.rewards)
        np.testing.assert_array_equal(data.infos["cost"][1:], episode.costs)
        np.testing.assert_array_equal(data.infos["cost_hazards"][1:], episode.cost_kinds["hazards"])
        assert data.terminations.tolist() == [False] * 19 + [episode.terminated]
        assert data.truncations.tolist() == [False] * 19 + [episode.truncated]
    attributes = list(loaded.storage.get_episode_metadata([0, 1]))
    assert [a["behaviour"] for a in attributes] == ["safe", "random"]
    assert [a["id"] for a in attributes] == [0, 1]
    assert attributes[0]["seed"] == 100
    assert len(minari.MinariDataset(tmp_path / "toy-v3" / "data")) == 2


def test_a_directory_name_that_minari_cannot_take_gets_a_valid_id(tmp_path):
    write(tmp_path / "my data.1", make_episode(0))
    assert minari.MinariDataset(tmp_path / "my data.1" / "data").id == "my_data_1-v0"


def test_images_are_never_jpeg(tmp_path):
    write(tmp_path / "toy", make_episode(0))
    metadata = json.loads((tmp_path / "toy/data/metadata.json").read_text())
    assert metadata["jpeg_encoding"] is False
    assert Dataset(tmp_path / "toy").info().lossless
    with h5py.File(tmp_path / "toy/data/main_data.hdf5") as file:
        for name in ("observations/image", "observations/vector", "actions", "infos/cost"):
            assert file["episode_0"][name].compression == "gzip"


def test_a_moved_dataset_still_reads(tmp_path):
    write(tmp_path / "toy", make_episode(0))
    (tmp_path / "elsewhere").mkdir()
    shutil.move(tmp_path / "toy", tmp_path / "elsewhere" / "renamed")
    assert_same(Dataset(tmp_path / "elsewhere" / "renamed")[0], make_episode(0))


def test_info_and_summaries_read_no_images(tmp_path, monkeypatch):
    behaviours = ["safe", "unsafe", "safe"]
    episodes = [make_episode(i, 10 + i, behaviour=b) for i, b in enumerate(behaviours)]
    dataset = write(tmp_path / "toy", *episodes)
    monkeypatch.setattr(h5py.Dataset, "__getitem__", lambda *_: pytest.fail("an array was read"))
    summaries = dataset.summaries()
    for summary, episode in zip(summaries, episodes, strict=True):
        assert summary.behaviour == episode.behaviour
        assert summary.total_reward == pytest.approx(float(np.sum(episode.rewards, dtype=np.float64)))
        assert summary.total_cost == np.sum(episode.costs)
        assert (summary.length, summary.frames, summary.seed) == (len(episode), episode.frames, episode.seed)
    info = dataset.info()
    assert (info.episodes, info.steps, info.frames) == (3, 33, sum(e.frames for e in episodes))
    assert {name: b.count for name, b in info.behaviours.items()} == {"safe": 2, "unsafe": 1}
    safe = [e for e in episodes if e.behaviour == "safe"]
    assert info.behaviours["safe"].mean_return == pytest.approx(np.mean([e.total_reward for e in safe]))
    assert info.behaviours["safe"].mean_cost == pytest.approx(np.mean([e.total_cost for e in safe]))
    assert info.bytes == sum(file.stat().st_size for file in tmp_path.rglob("*.*") if file.is_file())


def test_appending_continues_the_same_dataset_only(tmp_path):
    write(tmp_path / "toy", make_episode(0))
    assert len(write(tmp_path / "toy", make_episode(1))) == 2
    small = spaces.Dict(image=spaces.Box(0, 255, (32, 32, 6), np.uint8), vector=SPACE["vector"])
    for changes, message in (
        ({"env_id": "Other-v0"}, "env_id = 'Toy-v0', not 'Other-v0'"),
        ({"metadata": {**METADATA, "action_repeat": 1}}, "action_repeat = 4, not 1"),
        ({"observation_space": small}, "another observation_space"),
        ({"action_space": spaces.Box(-1, 1, (3,), np.float32)}, "another action_space"),
    ):
        with pytest.raises(InputError, match=message):
            writer(tmp_path / "toy", **changes)
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes" / "todo.txt").write_text("x")
    with pytest.raises(InputError, match="is no dataset"):
        writer(tmp_path / "notes")
    other = Episode(**{**vars(make_episode(0)), "observations": {"vector": np.zeros((21, 5), np.float32)}})
    with writer(tmp_path / "toy") as out, pytest.raises(InputError, match="write it to another dataset"):
        out.add(other)


CRASH = """
import sys
sys.path.insert(0, {tests!r})
import fosp.data.storage as storage
from data_toys import make_episode, writer

out = writer(sys.argv[1])
for number in range(10_000):
    out.add(make_episode(number, 200))
    print(number, flush=True)
"""


@pytest.mark.parametrize("delay", [0.0, 0.02, 0.05])
def test_a_killed_writer_loses_only_the_episode_it_was_writing(tmp_path, delay):
    """kill -9 at moments that fall anywhere in the next add."""
    script = CRASH.format(tests=str(Path(__file__).parent))
    process = subprocess.Popen([sys.executable, "-c", script, tmp_path / "toy"], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    for _ in range(3):
        assert process.stdout.readline()
    time.sleep(delay)
    os.kill(process.pid, signal.SIGKILL)
    confirmed = 3 + len(process.stdout.read().splitlines())
    process.wait()
    dataset = Dataset(tmp_path / "toy")
    assert len(dataset) in (confirmed, confirmed + 1)
    for number, episode in enumerate(dataset):
        assert_same(episode, make_episode(number, 200))
    before = len(dataset)
    with writer(tmp_path / "toy") as out:
        assert len(out) in (before, before + 1)  # an episode that was whole but not yet listed is taken up
        out.add(make_episode(len(out), 200))
        total = len(out)
    loaded = minari.MinariDataset(tmp_path / "toy" / "data")
    assert (loaded.total_episodes, loaded.total_steps) == (total, total * 200)
    assert_same(Dataset(tmp_path / "toy")[total - 1], make_episode(total - 1, 200))


@pytest.mark.parametrize("stage", ["episode", "index", "metadata"])
def test_a_crash_between_any_two_writes_is_recovered(tmp_path, monkeypatch, stage):
    """A stop right after each of the three renames of one ``add``, and with a torn part-file lying around."""
    write(tmp_path / "toy", make_episode(0))
    last = {"episode": "000001.hdf5", "index": "main_data.hdf5", "metadata": "metadata.json"}[stage]
    genuine = storage.write_atomically

    def stop_after(file: Path, content: bytes) -> None:
        genuine(file, content)
        if file.name == last:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(storage, "write_atomically", stop_after)
        with pytest.raises(KeyboardInterrupt):
            writer(tmp_path / "toy").add(make_episode(1))
    (tmp_path / "toy/data/episodes/000002.hdf5.part").write_bytes(b"torn")
    readable = Dataset(tmp_path / "toy")
    for number, episode in enumerate(readable):
        assert_same(episode, make_episode(number))
    assert len(minari.MinariDataset(tmp_path / "toy" / "data")) == len(readable)
    dataset = write(tmp_path / "toy", make_episode(2))
    assert len(dataset) == 3
    assert dataset.info().steps == 60
    for number, episode in enumerate(dataset):
        assert_same(episode, make_episode(number))


def test_a_full_disk_keeps_what_was_saved(tmp_path):
    """A limit on file size stands in for the full disk: the same failing write, without filling one."""
    write(tmp_path / "toy", make_episode(0))
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    old = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    try:
        with writer(tmp_path / "toy") as out:
            resource.setrlimit(resource.RLIMIT_FSIZE, (40_000, limits[1]))
            with pytest.raises(InputError, match=r"000001.hdf5 cannot be written .*free space"):
                out.add(make_episode(1))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, old)
    assert not list((tmp_path / "toy").rglob("*.part"))
    dataset = write(tmp_path / "toy", make_episode(1))
    assert [len(dataset), dataset[1].seed] == [2, 101]


def test_only_one_process_writes(tmp_path):
    one, two = writer(tmp_path / "toy"), writer(tmp_path / "toy")
    one.add(make_episode(0))
    with pytest.raises(InputError, match="only one process"):
        two.add(make_episode(1))


def test_missing_and_damaged_datasets_are_named(tmp_path):
    with pytest.raises(InputError, match=r"no dataset at .*nowhere"):
        Dataset(tmp_path / "nowhere")
    write(tmp_path / "toy", make_episode(0), make_episode(1, 200))
    data = tmp_path / "toy" / "data"

    def damaged(name: str, change) -> Path:
        copy = tmp_path / f"damaged{len(list(tmp_path.iterdir()))}"
        shutil.copytree(tmp_path / "toy", copy)
        file = copy / "data" / name
        file.write_bytes(change(file.read_bytes()))
        return copy

    half = damaged("episodes/000001.hdf5", lambda content: content[: len(content) // 2])
    with pytest.raises(InputError, match=r"episodes/000001.hdf5 is truncated or damaged"):
        load_replay([half])
    assert_same(Dataset(half)[0], make_episode(0))
    flipped = damaged(
        "episodes/000001.hdf5",
        lambda c: c[: len(c) // 2] + bytes(b ^ 255 for b in c[len(c) // 2 :][:64]) + c[len(c) // 2 + 64 :],
    )
    with pytest.raises(InputError, match=r"episodes/000001.hdf5 is truncated or damaged"):
        list(Dataset(flipped))
    with pytest.raises(InputError, match=r"main_data.hdf5 is truncated or damaged"):
        Dataset(damaged("main_data.hdf5", lambda content: content[: len(content) // 2]))
    with pytest.raises(InputError, match=r"metadata.json is damaged"):
        Dataset(damaged("metadata.json", lambda content: content[: len(content) // 2]))
    with pytest.raises(InputError, match=r"lists 0 episodes of 2"):
        Dataset(damaged("main_data.hdf5", lambda _: storage.empty_index()))
    (data / "episodes" / "000000.hdf5").unlink()
    with pytest.raises(InputError, match=r"episode.*0.*truncated or damaged"):
        Dataset(tmp_path / "toy")[0]


def break_array(path: Path, name: str, change) -> None:
    """Rewrites one array of the first episode, as a faulty foreign tool would."""
    with h5py.File(path / "data/episodes/000000.hdf5", "r+") as file:
        values = change(file["episode"][name][()])
        del file["episode"][name]
        if values is not None:
            file["episode"][name] = values


@pytest.mark.parametrize(
    ("name", "change", "message"),
    [
        ("rewards", lambda a: np.where(np.arange(len(a)) == 3, np.nan, a), "rewards is not finite at step 3"),
        ("observations/vector", lambda a: a * np.inf, "'vector' is not finite"),
        ("actions", lambda a: a * 3, r"actions must lie within \[-1, 1\]"),
        ("infos/cost", lambda a: None, "there is no cost"),
        ("infos/cost", lambda a: a[:5], "costs has 5 entries for 20 rewards"),
        ("actions", lambda a: None, "truncated or damaged"),
    ],
)
def test_unusable_content_is_named_with_its_file(tmp_path, name, change, message):
    write(tmp_path / "toy", make_episode(0))
    break_array(tmp_path / "toy", name, change)
    with pytest.raises(InputError, match=message) as caught:
        load_replay([tmp_path / "toy"])
    assert "episodes/000000.hdf5" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_compatibility(tmp_path):
    dataset = write(tmp_path / "toy", make_episode(0))
    check_compatible(dataset, {"vector": (5,)}, 2)
    check_compatible(dataset, {"image": (32, 40, 6), "vector": (5,)}, 2)
    for spec, size, message in (
        ({"image": (64, 64, 6)}, 2, r"image observations of shape \(32, 40, 6\) but \(64, 64, 6\) is wanted"),
        ({"vector": (60,)}, 2, r"vector observations of shape \(5,\)"),
        ({"vector": (5,)}, 3, "actions of 2 components but 3"),
    ):
        with pytest.raises(InputError, match=message):
            check_compatible(dataset, spec, size)
    only_vector = spaces.Dict(vector=SPACE["vector"])
    with (
        writer(tmp_path / "vector", observation_space=only_vector),
        pytest.raises(InputError, match="'image' is wanted"),
    ):
        check_compatible(Dataset(tmp_path / "vector"), {"image": (64, 64, 6)}, 2)


def test_load_replay(tmp_path):
    write(tmp_path / "one", make_episode(0), make_episode(1, 30))
    write(tmp_path / "two", make_episode(2, 7, terminated=True))
    replay = load_replay([tmp_path / "one", tmp_path / "two"])
    assert len(replay) == replay.capacity == 21 + 31 + 8
    sample = replay.sample(1, 60, np.random.default_rng(0))
    expected = np.concatenate([make_episode(*a).observations["image"] for a in ((0,), (1, 30), (2, 7))])
    np.testing.assert_array_equal(sample["image"][0].numpy(), expected)
    assert sample["is_terminal"][0].nonzero().flatten().tolist() == [59]
    vector = load_replay([tmp_path / "one"], capacity=500, observation_spec={"vector": (5,)})
    assert (len(vector), vector.capacity, vector.spec) == (52, 500, {"vector": (5,)})
    with pytest.raises(InputError, match="60 rows but the replay's capacity is 59"):
        load_replay([tmp_path / "one", tmp_path / "two"], capacity=59)
    with pytest.raises(InputError, match="no dataset is given"):
        load_replay([])
    writer(tmp_path / "empty")
    with pytest.raises(InputError, match="holds no episode"):
        load_replay([tmp_path / "empty"])


class Foreign(gym.Env):
    """An environment of the plain Gymnasium kind: Box observations, its own action range, cost in the info."""

    action_space = spaces.Box(np.array([-2, 0], np.float32), np.array([2, 10], np.float32))

    def __init__(self, observation_space: spaces.Box, with_cost: bool = True) -> None:
        self.observation_space = observation_space
        self.with_cost = with_cost
        self.count = 0

    def _result(self):
        return self.observation_space.sample(), {"cost": float(self.count)} if self.with_cost else {"other": 0.0}

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.observation_space.seed(seed)
        self.count = 0
        return self._result()

    def step(self, action):
        self.count += 1
        observation, info = self._result()
        return observation, float(action[0]), False, self.count == 8, info


def record(path: Path, space: spaces.Box, with_cost: bool = True, jpeg: bool = True) -> tuple[list, list]:
    """Plays one episode and writes it with Minari's own storage, infos with the reset's as its collector does."""
    env = Foreign(space, with_cost)
    env.action_space.seed(0)
    observation, info = env.reset(seed=5)
    observations, actions, rewards, infos, truncated = [observation], [], [], [info], False
    while not truncated:
        actions.append(env.action_space.sample())
        observation, reward, _, truncated, info = env.step(actions[-1])
        observations.append(observation)
        rewards.append(reward)
        infos.append(info)
    path.mkdir()
    minari_storage = MinariStorage.new(path / "data", space, env.action_space, jpeg_encoding=jpeg)
    minari_storage.update_metadata({"dataset_id": "foreign-v0", "minari_version": minari.__version__})
    buffer = minari.data_collector.EpisodeBuffer(
        seed=5,
        observations=observations,
        actions=actions,
        rewards=rewards,
        terminations=[False] * len(rewards),
        truncations=[False] * (len(rewards) - 1) + [True],
        infos={key: [i[key] for i in infos] for key in infos[0]},
    )
    minari_storage.update_episodes([buffer])
    return observations, actions


def test_a_minari_dataset_made_elsewhere(tmp_path):
    space = spaces.Box(-np.inf, np.inf, (7,), np.float64)
    observations, actions = record(tmp_path / "foreign", space)
    dataset = Dataset(tmp_path / "foreign")
    episode = dataset[0]
    assert dataset.env_id == "foreign-v0"
    assert dataset.observation_spec == {"vector": (7,)}
    np.testing.assert_allclose(episode.observations["vector"], np.array(observations), rtol=1e-6)
    np.testing.assert_allclose(episode.actions, np.array(actions) / [2, 5] - [0, 1], atol=1e-6)
    assert episode.costs.tolist() == [1, 2, 3, 4, 5, 6, 7, 8]
    assert (episode.truncated, episode.behaviour, episode.seed, episode.frames) == (True, "unknown", 5, 8)
    (summary,) = dataset.summaries()
    assert (summary.total_cost, summary.length, summary.seed) == (36, 8, 5)
    assert len(load_replay([tmp_path / "foreign" / "data"])) == 9
    with pytest.raises(InputError, match="not written by fosp"):
        writer(tmp_path / "foreign")


@pytest.mark.parametrize("jpeg", [True, False])
def test_minari_images_made_elsewhere(tmp_path, jpeg):
    space = spaces.Box(0, 255, (32, 32, 3), np.uint8)
    observations, _ = record(tmp_path / "foreign", space, jpeg=jpeg)
    dataset = Dataset(tmp_path / "foreign")
    assert dataset.info().lossless is not jpeg
    assert np.array_equal(dataset[0].observations["image"], np.array(observations)) is not jpeg


def test_a_vector_of_bytes_stays_exact(tmp_path):
    """Minari once took one-dimensional uint8 observations for pictures."""
    observations, _ = record(tmp_path / "foreign", spaces.Box(0, 255, (64,), np.uint8))
    np.testing.assert_array_equal(Dataset(tmp_path / "foreign")[0].observations["vector"], np.array(observations))


def test_foreign_datasets_that_cannot_be_used(tmp_path):
    record(tmp_path / "costless", spaces.Box(-1, 1, (7,), np.float32), with_cost=False)
    for read in (lambda d: d[0], Dataset.info):
        with pytest.raises(
            InputError, match=r'costless.*there is no cost: record each step\'s cost as infos\["cost"\]'
        ):
            read(Dataset(tmp_path / "costless"))
    for name, observation, action, message in (
        ("keys", spaces.Dict(lidar=SPACE["vector"]), ACTION_SPACE, "'lidar'"),
        ("discrete", SPACE, spaces.Discrete(4), "actions must be vectors"),
    ):
        MinariStorage.new(tmp_path / name, observation, action)
        with pytest.raises(InputError, match=message):
            Dataset(tmp_path / name)
