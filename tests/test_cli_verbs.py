"""The verbs one after the other, as a user would call them, on a small world."""

import json
import os
import re
import shlex
import shutil
import signal

import h5py
import imageio.v2 as imageio
import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

import tiny
from fosp.cli import demo as demo_module
from fosp.cli import main
from fosp.config import load_config
from fosp.data import Dataset
from fosp.envs import make_env
from fosp.envs.navigation.tasks.goal import Goal1
from fosp.experiments import runs as runs_module
from fosp.report.runs import load_run
from fosp.training import progress as progress_module
from fosp.training.progress import SilentProgress
from scenery import SCENE

SMALL = ["--preset", "test", "--device", "cpu", "--env", SCENE, "--observation", "vector", "--action_repeat", 1,
         "--env.time_limit", 20, "--training.offline_updates", 6, "--training.online_frames", 40,
         "--training.checkpoint_every", 3, "--training.log_every", 6]  # fmt: skip


def run(*words):
    return main([str(word) for word in words])


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """A dataset, a pretrained run and a fine-tuned one."""
    home = tmp_path_factory.mktemp("home")
    data = ["--env", SCENE, "--policy", "random", "--observation", "vector", "--action_repeat", 1, "--workers", 1]
    assert run("collect", *data, "--episodes", 4, "--out", home / "data") == 0
    assert run("pretrain", "--dataset", home / "data", "--run", home / "run", "--seed", 7, *SMALL) == 0
    assert run("finetune", "--from", home / "run", "--run", home / "tuned", "--training.train_ratio", 2.0) == 0
    return home


def test_collect_continues_to_the_number_asked_for(home, capsys):
    words = ["--env", SCENE, "--policy", "random", "--observation", "vector", "--action_repeat", 1, "--workers", 1]
    assert run("collect", *words, "--episodes", 2, "--out", home / "grown") == 0
    first = Dataset(home / "grown")[0]
    assert run("collect", *words, "--episodes", 3, "--out", home / "grown") == 0
    assert "3 episodes, 60 steps" in capsys.readouterr().out
    assert len(Dataset(home / "grown")) == 3
    assert np.array_equal(Dataset(home / "grown")[0].actions, first.actions)


def test_flags_reach_the_run_and_fine_tuning_inherits_them(home):
    config, tuned = load_config(home / "run" / "config.yaml"), load_config(home / "tuned" / "config.yaml")
    assert (config.preset, config.seed, config.env.id) == ("test", 7, SCENE)
    assert config.training.offline_updates == 6
    assert tuned.training.train_ratio == 2.0
    assert tuned.world_model == config.world_model
    assert tuned.seed == 7


def test_runs_note_machine_and_data(home):
    for name in ("run", "tuned"):
        run_ = load_run(home / name)
        assert "cores" in run_.machine["processor"]
        assert {"fosp", "commit", "date"} <= run_.machine.keys()
        assert run_.dataset.name == "data"
        assert len(run_.dataset.returns) == 4


def test_train_needs_neither_data_nor_a_run_to_start_from(home, capsys):
    words = ["--run", home / "direct", *SMALL, "--training.train_ratio", 2.0]
    assert run("train", *words) == 0
    assert run("train", "--run", home / "direct", "--resume") == 0
    assert [item.frames for item in load_run(home / "direct").evaluations] == [40]
    assert run("evaluate", "--from", home / "direct", "--episodes", 1) == 0
    assert "FOSP, after online training" in capsys.readouterr().out


def test_evaluate_appends_agent_and_yardstick(home, capsys):
    before = len(load_run(home / "tuned").evaluations)
    assert run("evaluate", "--from", home / "tuned", "--episodes", 3, "--mode", "sample", "--device", "cpu") == 0
    assert run("evaluate", "--from", home / "tuned", "--episodes", 2, "--policy", "random") == 0
    found = load_run(home / "tuned").evaluations
    assert [(item.agent, item.mode, len(item.returns)) for item in found[before:]] == [
        ("fosp", "sample", 3),
        ("behaviour:random", "sample", 2),
    ]
    assert (found[before].phase, found[before].frames) == ("online", 40)
    assert found[before].cost_regret is not None
    shown = capsys.readouterr().out
    assert "FOSP, after fine-tuning, sampled actions" in shown
    assert "Dataset behaviour: random" in shown


def test_evaluation_video_shows_the_same_episode_from_outside(home):
    assert run("evaluate", "--from", home / "tuned", "--episodes", 1, "--video", "--device", "cpu") == 0
    with np.load(home / "tuned" / "artifacts" / "film.npz") as film:
        assert film["scene"].shape == (21, 520, 480, 3)
        # The scene brightens while the point is in the hazard: after the step whose cost it is.
        bright = film["scene"][:, 20:460, 20:460].max((1, 2, 3)) > 200
        assert np.array_equal(bright[1:], film["cost"] > 0)
        assert np.array_equal((film["scene"][1:, 0, 240] == [220, 30, 30]).all(1), film["cost"] > 0)
        assert film["violation"].shape == (20,)


def test_report_covers_all_runs(home, capsys):
    assert run("report", home / "run", home / "tuned", "--out", home / "page.html") == 0
    page = (home / "page.html").read_text(encoding="utf-8")
    assert "FOSP, after offline training" in page
    assert "FOSP, after fine-tuning" in page
    assert "random (4)" in page


@pytest.mark.parametrize("policy", ["random", "tuned"])
def test_play_writes_a_video(home, tmp_path, policy, capsys):
    who = home / policy if policy == "tuned" else policy
    assert run("play", "--policy", who, "--env", SCENE, "--out", tmp_path / "clip.mp4", "--device", "cpu") == 0
    frames = imageio.mimread(tmp_path / "clip.mp4")
    assert frames[0].shape == (520, 480, 3)
    steps = 20 if policy == "tuned" else 5  # the run holds an action for one frame, the default is four
    assert len(frames) == steps + 1
    assert f"{steps} steps" in capsys.readouterr().out


def test_play_insets_what_the_robot_sees(tmp_path, monkeypatch):
    monkeypatch.setattr(Goal1, "step_limit", 20)
    assert run("play", "--policy", "safe", "--out", tmp_path / "clip.mp4") == 0
    frames = np.stack(imageio.mimread(tmp_path / "clip.mp4"))
    assert frames.shape == (6, 520, 480, 3)
    env = make_env("SafetyPointGoal1-v0")
    seen = env.reset(seed=0)[0]["image"]
    env.close()
    for left, view in ((10, seen[..., :3]), (326, seen[..., 3:])):
        inset = frames[0, 10:154, left : left + 144]
        wanted = np.asarray(Image.fromarray(view).resize((144, 144), Image.Resampling.NEAREST))
        assert np.corrcoef(inset.ravel(), wanted.ravel())[0, 1] > 0.95  # the codec loses a little


def test_collect_records_a_trained_agent(home):
    words = ["collect", "--policy", home / "run", "--out", home / "own", "--device", "cpu"]
    assert run(*words, "--episodes", 2, "--seed", 30) == 0
    assert run(*words, "--episodes", 3, "--seed", 30) == 0
    data = Dataset(home / "own")
    assert [episode.seed for episode in data] == [30, 31, 32]
    assert {summary.behaviour for summary in data.summaries()} == {"fosp"}


def test_datasets_go_out_and_come_back(home, capsys):
    assert run("dataset", "export", home / "data", "--out", home / "npz") == 0
    back = ["--out", home / "back", "--env", SCENE]
    assert run("dataset", "import", home / "npz", *back) == 0
    assert np.array_equal(Dataset(home / "back")[3].rewards, Dataset(home / "data")[3].rewards)
    assert run("dataset", "mix", home / "data", "--counts", "random=2", "--out", home / "mixed") == 0
    assert len(Dataset(home / "mixed")) == 2
    capsys.readouterr()
    assert run("dataset", "info", home / "mixed", home / "back") == 0
    assert capsys.readouterr().out.count("vector 2, action 1") == 2


def test_an_environment_with_pictures_alone_has_yardsticks_and_films(tmp_path, monkeypatch, capsys):
    small = ["--preset", "test", "--device", "cpu", "--env", "tiny:TinyLineImage-v0", "--action_repeat", 1,
             "--env.time_limit", 20, "--training.online_frames", 20, "--training.evaluation_episodes", 1]  # fmt: skip
    assert run("train", "--run", tmp_path / "run", "--agent", "random", *small) == 0
    assert run("evaluate", "--from", tmp_path / "run", "--policy", "random", "--episodes", 2) == 0
    assert "Dataset behaviour: random" in capsys.readouterr().out


def test_collecting_where_nothing_costs_leaves_the_path_free(tmp_path, capsys):
    words = [
        "--policy",
        "random",
        "--observation",
        "vector",
        "--episodes",
        1,
        "--workers",
        1,
        "--out",
        tmp_path / "data",
    ]
    assert run("collect", "--env", "Pendulum-v1", *words) == 2
    assert "no info['cost']" in capsys.readouterr().err
    assert not (tmp_path / "data").exists()
    assert run("collect", "--env", SCENE, *words) == 0


def test_ctrl_c_before_there_is_a_run_advises_the_same_command(tmp_path, monkeypatch, capsys):
    def pressed(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(runs_module, "learn_from_scratch", pressed)
    assert run("train", "--run", tmp_path / "run", *SMALL) == 130
    advice = capsys.readouterr().err
    assert "Go on with: fosp train" in advice
    assert "--resume" not in advice


def test_ctrl_c_saves_and_the_printed_command_goes_on(home, tmp_path, monkeypatch, capsys):
    class Pressing(SilentProgress):
        def update(self, n=1, **figures):
            self.updates = getattr(self, "updates", 0) + n
            if self.updates == 4:
                os.kill(os.getpid(), signal.SIGINT)

    monkeypatch.setattr(progress_module, "make_progress", Pressing)
    words = ["pretrain", "--dataset", home / "data", "--run", tmp_path / "run", "--seed", 7, *SMALL]
    assert run(*words) == 130
    error = capsys.readouterr().err
    assert f"{tmp_path / 'run'} is saved. Go on with: fosp pretrain" in error
    assert json.loads((tmp_path / "run" / "checkpoint" / "state.json").read_text())["loop"]["update"] < 6
    monkeypatch.setattr(progress_module, "make_progress", SilentProgress)
    assert run(*shlex.split(error.partition("Go on with: fosp ")[2])) == 0
    resumed, whole = (
        load_file(folder / "checkpoint" / "model.safetensors") for folder in (tmp_path / "run", home / "run")
    )
    assert resumed.keys() == whole.keys()
    assert all(torch.equal(resumed[name], whole[name]) for name in whole)


BAD = {
    "already holds a run": ["pretrain", "--dataset", "{home}/data", "--run", "{home}/run", *SMALL],
    "own settings": ["pretrain", "--run", "{home}/run", "--resume", "--seed", 8],
    "contradicts": ["finetune", "--from", "{home}/run", "--run", "{home}/new", "--preset", "paper"],
    "no agent 'nobody'": ["pretrain", "--dataset", "{home}/data", "--run", "{home}/new", "--agent", "nobody", *SMALL],
    "was recorded in scenery:": ["pretrain", "--dataset", "{home}/data", "--run", "{home}/n", "--preset", "test"],
    "held for 4 frames": ["pretrain", "--dataset", "{home}/held", "--run", "{home}/n", *SMALL],
    "set --safe_dreamer.penalty": ["train", "--agent", "safe_dreamer", "--behaviour.penalty=1e-3", "--run", "{home}/n"],
    "set --safe_dreamer.multiplier_limit": [
        "train",
        "--agent",
        "safe_dreamer",
        "--behaviour.multiplier_limit",
        3,
        "--run",
        "{home}/n",
    ],
    "vector": ["evaluate", "--from", "{home}/run", "--env", "SafetyPointGoal1-v0", "--episodes", 1],
    "image": ["pretrain", "--dataset", "{home}/data", "--run", "{home}/n2", *SMALL, "--env.observation", "image"],
    "is unknown": ["evaluate", "--from", "{home}/run", "--env", "Nothing-v0", "--episodes", 1],
    "no device": ["evaluate", "--from", "{home}/run", "--device", "abacus"],
    "truncated or damaged": ["pretrain", "--dataset", "{home}/cut", "--run", "{home}/n3", *SMALL],
    "not both": ["collect", "--policy", "safe", "{home}/run", "--out", "{home}/n4"],
    "privileged": ["play", "--policy", "safe", "--env", SCENE, "--out", "{home}/clip.mp4"],
    "no checkpoint": ["evaluate", "--from", "{home}/empty"],
    "does not say where": ["pretrain", "--dataset", "{home}/foreign", "--run", "{home}/n", "--preset", "test"],
    "give at least one episode": ["evaluate", "--from", "{home}/run", "--episodes", 0],
    "from seed -1 on": ["evaluate", "--from", "{home}/run", "--policy", "random", "--seed", -1],
    "at least 0": ["play", "--policy", "random", "--env", SCENE, "--out", "{home}/clip.mp4", "--seed", -1],
    "for 1 frames": ["collect", "--policy", "{home}/run", "--action_repeat", 4, "--out", "{home}/n5"],
    "at least one dataset": ["dataset", "info"],
    "is a file": ["dataset", "export", "{home}/data", "--out", "{home}/run/config.yaml"],
    "is a directory": ["report", "{home}/run", "--out", "{home}"],
    "no run: give another": ["pretrain", "--dataset", "{home}/data", "--run", "{home}/run/config.yaml", *SMALL],
    "config.yaml: Setting behaviour.gamma is 2": ["evaluate", "--from", "{home}/wrong"],
    "'other' is unknown": ["collect", "--env", "other", "--out", "{home}/n6"],
}


@pytest.fixture(scope="module")
def damaged(home):
    """Beside the good: a dataset whose episode file is cut, and a run without a checkpoint."""
    tiny.write_dataset(home / "cut", [tiny.play(i, None) for i in range(2)], SCENE)
    file = sorted((home / "cut").rglob("*.hdf5"), key=lambda path: path.stat().st_size)[-1]
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])
    words = ["--policy", "random", "--observation", "vector", "--action_repeat", 4, "--episodes", 1, "--workers", 1]
    assert run("collect", "--env", SCENE, *words, "--out", home / "held") == 0
    shutil.copytree(home / "data", home / "foreign")
    facts = home / "foreign" / "data" / "metadata.json"
    facts.write_text(json.dumps({k: v for k, v in json.loads(facts.read_text()).items() if k != "fosp"}))
    (home / "wrong").mkdir()
    settings = (home / "run" / "config.yaml").read_text()
    (home / "wrong" / "config.yaml").write_text(re.sub(r"(?m)^  gamma: .*", "  gamma: 2.0", settings))
    (home / "empty").mkdir()
    (home / "empty" / "config.yaml").write_bytes((home / "run" / "config.yaml").read_bytes())
    return home


@pytest.mark.parametrize("complaint", BAD)
def test_bad_input_is_one_line_and_exit_code_2(damaged, complaint, capsys):
    before = (damaged / "run" / "config.yaml").read_bytes()
    assert run(*(str(word).format(home=damaged) for word in BAD[complaint])) == 2
    errors = [line for line in capsys.readouterr().err.splitlines() if line.startswith("fosp:")]
    assert len(errors) == 1
    assert complaint in errors[0]
    assert (damaged / "run" / "config.yaml").read_bytes() == before


def spoil(home, what):
    """A dataset with one thing wrong in it."""
    path = home / f"spoilt {what}"
    episodes = [tiny.play(i, None) for i in range(2)]
    if what == "size":
        for episode in episodes:
            episode.observations = {"image": np.zeros((len(episode) + 1, 32, 32, 3), np.uint8)}
    tiny.write_dataset(path, episodes, SCENE)
    with h5py.File(sorted((path / "data" / "episodes").glob("*.hdf5"))[1], "r+") as file:
        group = file if "rewards" in file else next(iter(file.values()))
        if what == "nan":
            group["rewards"][3] = np.nan
        elif what == "action":
            group["actions"][3] = 1.5
        elif what == "cost":
            del group["infos"]["cost"]
    return path


@pytest.mark.parametrize(
    ("what", "complaint"),
    [
        ("nan", "rewards is not finite at step 3"),
        ("action", "actions must lie within [-1, 1] but reach 1.5"),
        ("cost", "there is no cost"),
        ("size", "images of (32, 32) pixels"),
    ],
)
def test_spoilt_data_are_one_line_and_exit_code_2(home, what, complaint, capsys):
    look = ["--env.observation", "image"] if what == "size" else []
    path = spoil(home, what)
    assert run("pretrain", "--dataset", path, "--run", home / "never", *SMALL, *look) == 2
    (error,) = [line for line in capsys.readouterr().err.splitlines() if line.startswith("fosp:")]
    assert complaint in error
    assert str(path) in error


def test_a_checkpoint_of_another_agent_is_one_line_and_exit_code_2(home, tmp_path, capsys):
    shutil.copytree(home / "run", tmp_path / "run")
    config = tmp_path / "run" / "config.yaml"
    config.write_text(config.read_text().replace("agent: fosp", "agent: bc"))
    assert run("evaluate", "--from", tmp_path / "run", "--device", "cpu") == 2
    assert "is of agent 'fosp', not 'bc'" in capsys.readouterr().err


@pytest.mark.parametrize("observation", ["vector", "image"])
def test_the_demo_runs_through_and_a_second_call_repeats_nothing(observation, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(demo_module, "ENVIRONMENT", "scenery:TinyBothScene-v0")
    monkeypatch.setattr(demo_module, "BEHAVIOURS", ("random",))
    monkeypatch.setattr(demo_module, "EPISODES", 3)
    monkeypatch.setattr(demo_module, "EVALUATION_EPISODES", 2)
    monkeypatch.setattr(demo_module, "WORKERS", 1)
    monkeypatch.setattr(demo_module, "PRESET", "test")
    monkeypatch.setattr(demo_module, "MODEL_UPDATES", 2)
    monkeypatch.setattr(demo_module, "UPDATES", {"bc": 2, "fosp": 2})
    changes = {"online_frames": 20, "checkpoint_every": 2, "batch_size": 2, "sequence_length": 4}
    monkeypatch.setattr(demo_module, "TRAINING", demo_module.TRAINING | changes)
    words = ["demo", "--out", tmp_path / "demo", "--observation", observation, "--device", "cpu"]
    assert run(*words) == 0
    shown = capsys.readouterr().out
    for text in (
        "Dataset behaviour: random",
        "Behaviour cloning",
        "FOSP, after offline training",
        "FOSP, after fine-tuning",
    ):
        assert text in shown
    assert f"Report: {tmp_path / 'demo' / 'report.html'}" in shown
    lines = (tmp_path / "demo" / "online" / "metrics.jsonl").read_text()
    evaluations = (tmp_path / "demo" / "offline" / "evaluations.jsonl").read_text()
    assert run(*words) == 0
    assert (tmp_path / "demo" / "online" / "metrics.jsonl").read_text() == lines
    assert (tmp_path / "demo" / "offline" / "evaluations.jsonl").read_text() == evaluations
