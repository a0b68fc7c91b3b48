import errno
import json
import subprocess
import sys
from pathlib import Path

import pytest

from fosp import cli
from fosp.cli import VERBS, main
from fosp.cli.settings import option, starting_config
from fosp.config import PRESETS, flatten, preset
from fosp.errors import InputError
from fosp.training.interrupts import Interrupted
from fosp.version import __version__


def run(*words):
    return main([str(word) for word in words])


def test_help_is_fast_because_it_imports_nothing_heavy():
    code = (
        "import sys; from fosp.cli import main; main(['--help']);"
        "sys.exit(any(name in sys.modules for name in ('torch', 'mujoco', 'gymnasium', 'minari', 'matplotlib')))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=20)
    assert done.returncode == 0
    assert all(verb in done.stdout for verb in VERBS)


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_explains_itself(verb, capsys):
    with pytest.raises(SystemExit) as stop:
        run(*verb.split(), "--help")
    assert stop.value.code == 0
    assert f"usage: fosp {verb}" in capsys.readouterr().out


def test_pretrain_lists_every_setting_with_its_default(capsys):
    with pytest.raises(SystemExit):
        run("pretrain", "--preset", "paper", "--help")
    shown = " ".join(capsys.readouterr().out.replace("│", " ").split())
    for name, value in flatten(preset("paper")):
        text = " ".join(map(str, value)) if isinstance(value, tuple) else value
        assert f"--{name} " in shown
        assert f"(default: {text})" in shown


def test_version(capsys):
    assert run("version") == 0
    assert run("--version") == 0
    assert capsys.readouterr().out == f"{__version__}\n" * 2
    module = subprocess.run([sys.executable, "-m", "fosp", "version"], capture_output=True, text=True, timeout=20)
    assert (module.returncode, module.stdout) == (0, f"{__version__}\n")


def test_envs_lists_the_task(capsys):
    assert run("envs") == 0
    shown = capsys.readouterr().out
    assert "SafetyPointGoal1-v0" in shown
    assert "vector 60; action 2; 1000 frames; costs: cost_hazards" in shown


def test_settings_start_from_the_preset(tmp_path):
    assert starting_config(["--seed", "3"]) == PRESETS["laptop"]
    assert starting_config(["--preset=test"]) == PRESETS["test"]
    with pytest.raises(InputError, match="choose one of test, laptop, paper"):
        starting_config(["--preset", "huge"])
    assert option(["--a", "1", "--b=2"], "--b") == "2"
    assert option(["--a"], "--a") is None


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (["fly"], "no verb 'fly'"),
        (["dataset", "fly"], "no verb 'dataset fly'"),
        (["pretrain", "--preset", "huge", "--run", "r"], "no preset 'huge'"),
        (["pretrain", "--run", "r"], "no dataset is given"),
        (["pretrain", "--dataset", "nowhere", "--run", "r"], "nowhere"),
        (["pretrain", "--dataset", "d", "--run", "r", "--behaviour.horizon", "0"], "behaviour.horizon"),
        (["pretrain", "--dataset", "d", "--run", "r", "--behaviour.start_every", "99"], "training.sequence_length"),
        (["pretrain", "--dataset", "d", "--run", "r", "--world_model.foresight", "16"], "training.sequence_length"),
        (["pretrain", "--run", "nowhere", "--resume"], "not a run directory"),
        (["finetune", "--from", "nowhere", "--run", "r"], "not a run directory"),
        (["evaluate", "--from", "nowhere"], "not a run directory"),
        (["evaluate", "--from", "nowhere", "--policy", "safe"], "not a run directory"),
        (["report", "nowhere"], "not a run directory"),
        (["collect", "--env", "Nothing-v0", "--episodes", "1", "--out", "d"], "'Nothing-v0' is unknown"),
        (["collect", "--policy", "nobody", "--out", "d"], "no policy 'nobody'"),
        (["play", "--out", "clip.avi"], "must end in .mp4 or .gif"),
        (["dataset", "info", "nowhere"], "no dataset at nowhere"),
        (["dataset", "mix", "nowhere", "--counts", "safe", "--out", "d"], "safe=200"),
        (["dataset", "import", "nowhere", "--out", "d", "--env", "X-v0"], "no .npz files"),
    ],
)
def test_bad_input_is_one_line_and_exit_code_2(words, complaint, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert run(*words) == 2
    error = capsys.readouterr().err
    assert complaint in error
    assert len([line for line in error.splitlines() if line.startswith("fosp:")]) == 1
    assert "Traceback" not in error


def test_a_misspelt_flag_is_exit_code_2_with_a_suggestion(capsys):
    with pytest.raises(SystemExit) as stop:
        run("pretrain", "--run", "r", "--behaviour.horzon", "3")
    assert stop.value.code == 2
    assert "--behaviour.horizon" in capsys.readouterr().err


def verb_that_raises(monkeypatch, error):
    def raising():
        raise error

    monkeypatch.setattr("fosp.cli.about.version", raising)


def test_the_unexpected_keeps_its_traceback(monkeypatch):
    verb_that_raises(monkeypatch, ZeroDivisionError("bug"))
    with pytest.raises(ZeroDivisionError):
        run("version")


def test_a_full_disk_is_one_line_and_other_os_errors_are_not(monkeypatch, capsys):
    verb_that_raises(monkeypatch, OSError(errno.ENOSPC, "No space left on device", "big.npz"))
    assert run("version") == 2
    assert "disk is full (big.npz)" in capsys.readouterr().err
    verb_that_raises(monkeypatch, PermissionError("no"))
    with pytest.raises(PermissionError):
        run("version")


@pytest.mark.parametrize("error", [Interrupted(Path("my run")), KeyboardInterrupt()])
@pytest.mark.parametrize(
    ("words", "again"),
    [
        (["pretrain", "--run", "my run"], "fosp pretrain --run 'my run' --resume"),
        (["finetune", "--run", "r", "--resume"], "fosp finetune --run r --resume"),
        (["train", "--run", "r"], "fosp train --run r --resume"),
        (["collect", "--out", "d"], "fosp collect --out d"),
        (["demo"], "fosp demo"),
    ],
)
def test_interrupts_say_how_to_go_on(error, words, again, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    for run_directory in ("my run", "r"):
        (tmp_path / run_directory).mkdir()
        (tmp_path / run_directory / "config.yaml").touch()

    def interrupted(words):
        raise error

    monkeypatch.setattr(cli, "_dispatch", interrupted)
    assert run(*words) == 130
    assert capsys.readouterr().err.rstrip().endswith(f"Go on with: {again}")


def test_an_interrupt_of_what_cannot_go_on_promises_nothing(monkeypatch, capsys):
    verb_that_raises(monkeypatch, KeyboardInterrupt())
    assert run("version") == 130
    assert capsys.readouterr().err == "fosp: interrupted.\n"


def test_doctor_tells_what_works_and_what_to_do(monkeypatch, capsys):
    answers = {"egl": {"error": "no library"}, "osmesa": {"rate": 61.0, "renderer": "softpipe"}}
    monkeypatch.setattr("fosp.cli.about.probe", lambda backend: answers.get(backend, {"error": "no screen"}))
    assert run("doctor") == 0
    shown = capsys.readouterr().out
    assert "61 steps/s, by softpipe" in shown
    assert "MUJOCO_GL=osmesa" in shown
    monkeypatch.setattr("fosp.cli.about.probe", lambda backend: {"error": "nothing"})
    assert run("doctor") == 2
    assert "libosmesa6" in capsys.readouterr().out


@pytest.mark.parametrize(("card", "advice"), [("none", "--preset laptop"), ("A card", "--training.precision bfloat16")])
def test_doctor_tells_how_to_train_here(card, advice, monkeypatch, capsys):
    monkeypatch.setattr("fosp.cli.about.probe", lambda backend: {"rate": 61.0, "renderer": "softpipe"})
    monkeypatch.setattr("fosp.report.machine.describe_machine", lambda: {"accelerator": card})
    assert run("doctor") == 0
    assert advice in capsys.readouterr().out


def test_a_back_end_that_dies_is_reported_not_raised(monkeypatch):
    from fosp.cli.about import probe

    monkeypatch.setattr("sys.executable", "/bin/false")
    assert "died" in probe("osmesa")["error"]


def test_the_probe_prints_json():
    done = subprocess.run(
        [sys.executable, "-m", "fosp.cli.probe"], capture_output=True, text=True, timeout=120, env={"MUJOCO_GL": "off"}
    )
    assert "error" in json.loads(done.stdout)


def test_the_probe_goes_on_after_the_end_of_an_episode():
    """Episodes of two steps: a machine that draws a whole episode in the time it has is none that cannot draw."""
    from fosp.cli.probe import rate
    from fosp.envs import make_env

    env = make_env("SafetyPointGoal1-v0", observation="vector", action_repeat=500)
    assert rate(env, 2.0) * 2.0 > 2.5  # more than one episode
