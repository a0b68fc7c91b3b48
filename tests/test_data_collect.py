"""Collecting: the same dataset from any number of processes, and nothing lost when it is stopped."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from data_toys import assert_same
from fosp.data import Dataset, collect
from fosp.data.collect import play_episode
from fosp.envs import make_env
from fosp.envs.behaviours import make_behaviour
from fosp.errors import InputError

TOY = "data_toys:Toy-v0"


def run(out: Path, episodes: int = 6, **changes) -> Dataset:
    arguments = {"env_id": TOY, "behaviours": ["random"], "seed": 40, "action_repeat": 2, **changes}
    return collect(episodes=episodes, out=out, **arguments)


def assert_same_dataset(one: Dataset, two: Dataset) -> None:
    assert one.metadata == two.metadata
    for first, second in zip(one, two, strict=True):
        assert_same(first, second)


def test_the_number_of_processes_changes_nothing(tmp_path):
    calls = []
    one = run(tmp_path / "one", on_episode=lambda done, summary: calls.append((done, summary.seed)))
    assert calls == [(i + 1, 40 + i) for i in range(6)]
    assert_same_dataset(one, run(tmp_path / "two", workers=2))
    assert len(one) == 6


def test_what_is_collected_is_what_happened(tmp_path):
    """Replays the recorded actions in a fresh environment."""
    for episode in run(tmp_path / "toy", episodes=3):
        env = make_env(TOY, observation="both", action_repeat=2)
        observation, _ = env.reset(seed=episode.seed)
        frames = 0
        for t in range(len(episode)):
            for key, value in observation.items():
                np.testing.assert_array_equal(episode.observations[key][t], value)
            observation, reward, terminated, truncated, info = env.step(episode.actions[t])
            frames += info["frames"]
            assert episode.rewards[t] == np.float32(reward)
            assert episode.costs[t] == info["cost"] == episode.cost_kinds["line"][t]
        assert (terminated, truncated) == (episode.terminated, episode.truncated) == (False, True)
        assert frames == episode.frames
        np.testing.assert_array_equal(episode.observations["image"][-1], observation["image"])


def test_collecting_continues(tmp_path):
    run(tmp_path / "toy", episodes=2)
    assert_same_dataset(run(tmp_path / "toy", episodes=5), run(tmp_path / "whole", episodes=5))
    before = (tmp_path / "toy/data/metadata.json").stat().st_mtime_ns
    assert len(run(tmp_path / "toy", episodes=3)) == 5  # already there
    assert (tmp_path / "toy/data/metadata.json").stat().st_mtime_ns == before
    with pytest.raises(InputError, match=r"collection = .*'seed': 40"):
        run(tmp_path / "toy", episodes=6, seed=41)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"behaviours": ["brave"]}, "behaviour 'brave' is unknown"),
        ({"behaviours": []}, "at least one"),
        ({"episodes": 0}, "at least one"),
        ({"workers": 0}, "at least one"),
        ({"env_id": "Nowhere-v0"}, "'Nowhere-v0' is unknown"),
        ({"behaviours": ["safe"]}, "no privileged state"),
        ({"env_arguments": {"costless": True}}, "no info"),
        ({"env_arguments": {"costless": True}, "workers": 2}, "no info"),
        ({"env_arguments": {"die_at_seed": 42}, "workers": 2}, "a collecting process died"),
    ],
)
def test_bad_input_is_one_sentence(tmp_path, changes, message):
    with pytest.raises(InputError, match=message) as caught:
        run(tmp_path / "toy", **changes)
    assert "\n" not in str(caught.value)
    if message == "no privileged state":
        assert not (tmp_path / "toy").exists()


SCRIPT = """
import signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)  # which a test run in the background is not given
sys.path.insert(0, {tests!r})
from fosp.data import collect

if __name__ == "__main__":
    try:
        collect({toy!r}, ["random"], 500, sys.argv[1], seed=40, workers=2, action_repeat=2,
                env_arguments={{"slow": 0.01}}, on_episode=lambda done, summary: print(done, flush=True))
    except KeyboardInterrupt:
        print("stopped", flush=True)
"""


@pytest.mark.parametrize("kill", [False, True])
def test_stopping_keeps_what_is_finished_and_leaves_no_process(tmp_path, kill):
    """Ctrl-C as a terminal sends it, to all processes at once; and kill -9 of the parent alone."""
    script = tmp_path / "script.py"
    script.write_text(SCRIPT.format(tests=str(Path(__file__).parent), toy=TOY))
    command = [sys.executable, script, tmp_path / "toy"]
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    assert process.stdout is not None
    for _ in range(3):
        assert process.stdout.readline()
    if kill:
        process.kill()
    else:
        os.killpg(process.pid, signal.SIGINT)
    # The pipe ends only when the last process that holds it has ended, the playing ones included.
    output, errors = process.communicate(timeout=60)
    if not kill:
        assert output.split()[-1] == "stopped"
        assert "Traceback" not in errors
    kept = len(Dataset(tmp_path / "toy"))
    assert 3 <= kept < 500
    whole = run(tmp_path / "whole", episodes=kept, env_arguments={"slow": 0.0})
    for one, two in zip(Dataset(tmp_path / "toy"), whole, strict=True):
        assert_same(one, two)


def test_behaviours_take_turns_on_the_real_task(tmp_path):
    """The scripted behaviours on SafetyPointGoal1 (vector only, so that no OpenGL is needed), from two processes."""
    task = {"observation": "vector", "action_repeat": 20, "seed": 3, "workers": 2}
    dataset = collect("SafetyPointGoal1-v0", ["safe", "unsafe", "random"], 3, tmp_path / "goal", **task)
    assert [summary.behaviour for summary in dataset.summaries()] == ["safe", "unsafe", "random"]
    for number, episode in enumerate(dataset):
        assert (episode.seed, len(episode), episode.frames) == (3 + number, 50, 1000)
        assert episode.spec == {"vector": (60,)}
    env = make_env("SafetyPointGoal1-v0", observation="vector", action_repeat=20)
    other = play_episode(env, make_behaviour("unsafe", 0), seed=4)
    np.testing.assert_array_equal(other.observations["vector"][0], dataset[1].observations["vector"][0])
    assert not np.array_equal(other.actions, dataset[1].actions)  # the behaviour has a seed of its own
    env.close()
