"""SafeReach from pictures and pose, on the command line: collect, pretrain, fine-tune, evaluate, report."""

import json

import numpy as np
import pytest
import torch

from fosp.cli import main
from fosp.cli.clips import replay_film
from fosp.cli.recording import record_one
from fosp.config import load_config
from fosp.data import Dataset, Episode
from fosp.training.trained import load_trained

SMALL = ["--preset", "test", "--device", "cpu", "--env", "SafeReach-v0", "--training.offline_updates", 4,
         "--training.online_frames", 80, "--training.evaluation_episodes", 1]  # fmt: skip


def run(*words):
    return main([str(word) for word in words])


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """A dataset of two classes, a pretrained run, and one fine-tuned on an unseen task."""
    home = tmp_path_factory.mktemp("reach")
    policy = ["--policy", "safe-success=200", "unsafe-failure=100", "--workers", 1]
    assert run("collect", "--env", "SafeReach-v0", *policy, "--episodes", 3, "--out", home / "data") == 0
    assert run("pretrain", "--dataset", home / "data", "--run", home / "run", *SMALL) == 0
    tuned = ["--env", "SafeReachUnseen1-v0", "--training.train_ratio", 2.0]
    assert run("finetune", "--from", home / "run", "--run", home / "tuned", *tuned) == 0
    return home


def test_proportions_are_words(home, capsys):
    assert [episode.behaviour for episode in Dataset(home / "data")] == [
        "safe-success",
        "unsafe-failure",
        "safe-success",
    ]
    assert run("dataset", "info", home / "data") == 0
    shown = capsys.readouterr().out
    assert "safe-success" in shown
    assert "image 64x64x3, vector 6, action 6" in shown
    policy = ["--policy", "safe-success=many", "--out", home / "nowhere"]
    assert run("collect", "--env", "SafeReach-v0", *policy) == 2
    assert "'safe-success=many'" in capsys.readouterr().err


def test_the_environment_brings_its_settings(home, capsys):
    env = load_config(home / "run/config.yaml").env
    assert (env.observation, env.action_repeat, env.time_limit) == ("both", 1, 80)
    assert load_config(home / "tuned/config.yaml").env.id == "SafeReachUnseen1-v0"
    with pytest.raises(SystemExit, match="2"):
        run("pretrain", "--dataset", home / "data", "--run", home / "no", *SMALL, "--env.action_repeat", 4)
    assert "env.action_repeat is 4, but SafeReach-v0" in capsys.readouterr().err


def test_pictures_and_pose_go_through_encoder_and_decoder(home):
    agent = load_trained(home / "tuned", "cpu").agent
    assert agent.spaces == {"image": (64, 64, 3), "vector": (6,)}
    episode = Dataset(home / "tuned/episodes")[0]
    assert {key: values.shape for key, values in episode.observations.items()} == {
        "image": (81, 64, 64, 3),
        "vector": (81, 6),
    }
    rows = 40  # steps of the episode as so many environments: of few states, none might be another
    observation = {key: torch.from_numpy(values[:rows]) for key, values in episode.observations.items()}
    observation["is_first"] = torch.ones(rows, dtype=torch.bool)

    def action(**changes):
        generator = torch.Generator().manual_seed(0)
        return agent.act(observation | changes, agent.initial_state(rows), "mean", generator)[0]

    assert action().shape == (rows, 6)
    assert torch.equal(action(), action())
    assert not torch.equal(action(), action(image=255 - observation["image"]))
    assert not torch.equal(action(), action(vector=observation["vector"] + 0.1))


def test_every_part_learns_from_both(home):
    lines = [json.loads(line) for line in (home / "run/metrics.jsonl").read_text().splitlines()]
    trained = [line for line in lines if "loss/world_model" in line]
    assert trained
    assert all(np.isfinite([line[name] for name in line if name.startswith("loss/")]).all() for line in trained)
    assert all(line["world_model/image"] > 0 and line["world_model/vector"] > 0 for line in trained)


def test_evaluation_and_report(home, capsys):
    assert run("evaluate", "--from", home / "tuned", "--episodes", 1) == 0
    assert run("evaluate", "--from", home / "tuned", "--episodes", 1, "--policy", "safe-success") == 0
    lines = [json.loads(line) for line in (home / "tuned/evaluations.jsonl").read_text().splitlines()]
    assert [line["lengths"] for line in lines[-2:]] == [[80], [80]]
    assert lines[-1]["agent"] == "behaviour:safe-success"
    assert run("report", home / "run", home / "tuned", "--out", home / "report.html") == 0
    assert "unsafe-failure" in (home / "report.html").read_text()
    capsys.readouterr()
    assert run("evaluate", "--from", home / "tuned", "--episodes", 1, "--env", "SafetyPointGoal1-v0") == 2
    assert "environment of the same observation and robot" in capsys.readouterr().err


def test_an_operator_can_be_watched():
    config, episode = record_one("teleoperator", "SafeReachUnseen3-v0", 0, "cpu")
    assert (config.action_repeat, len(episode)) == (1, 80)
    assert replay_film(config, truncated(episode, 3)).shape == (4, 520, 480, 3)


def truncated(episode, steps):
    """The beginning of an episode."""
    return Episode(
        observations={key: values[: steps + 1] for key, values in episode.observations.items()},
        actions=episode.actions[:steps],
        rewards=episode.rewards[:steps],
        costs=episode.costs[:steps],
        terminated=False,
        truncated=True,
        seed=episode.seed,
    )
