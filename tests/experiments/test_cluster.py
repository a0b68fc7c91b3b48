"""A grid on Ray, for real: a worker is killed in the middle, and in the end everything is there, once."""

from __future__ import annotations

import dataclasses
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from fosp.cli import main
from fosp.config import load_config
from fosp.data import Dataset
from fosp.data.storage import read_jsonl
from fosp.experiments import grids
from fosp.experiments.grids import Grid, Row, Scale
from fosp.report.runs import load_evaluations
from fosp.training.checkpoint import checkpoint_info, has_checkpoint

ENV = "scenery:TinyBothScene-v0"
UPDATES = 120
SMALL = {
    "env.time_limit": 20,
    "env.action_repeat": 1,
    "training.batch_size": 2,
    "training.sequence_length": 5,
    "training.offline_updates": UPDATES,
    "training.online_frames": 40,
    "training.checkpoint_every": 10,
    "training.log_every": 1,
    "training.evaluation_episodes": 1,
}
LONG = {"training.offline_updates": 400, "training.checkpoint_every": 100}
TINY = Grid(
    name="tiny",
    title="Small",
    shows="Nothing",
    text="A point on a line.",
    rows=(
        Row(group="Line", label="FOSP", env=ENV, observation="vector", data={"random": 3}),
        Row(group="Line", label="Random", agent="random", phases="reference", env=ENV, observation="vector"),
    ),
)
OFFLINE = "runs/fosp-scenery_TinyBothScene-vector-random3-offline-seed0"


@pytest.fixture
def tiny(monkeypatch):
    """The grid, budgets of seconds, and the folder of its environment where Ray's workers look for modules."""
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[1]))
    monkeypatch.setitem(grids.GRIDS, "tiny", TINY)
    monkeypatch.setitem(grids.SCALES, "test", Scale(seeds=2, data=1, evaluations=2, episodes=2, changes=SMALL))


class Killer(threading.Thread):
    """Kills the worker that trains `run` as soon as it has saved something but is far from the end."""

    def __init__(self, root: Path, run: str, how: signal.Signals) -> None:
        super().__init__(daemon=True)
        self.run_name, self.path, self.how, self.killed_at, self.over = run, root / run, how, None, False

    def run(self) -> None:
        while not self.over and self.killed_at is None:
            if has_checkpoint(self.path):
                for pid in workers(self.run_name):
                    os.kill(pid, self.how)
                    self.killed_at = checkpoint_info(self.path)["loop"]["update"]
            time.sleep(0.02)


def workers(task: str) -> list[int]:
    """Processes of Ray's that do this task: they carry its name."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if path.read_bytes().rstrip(b"\0") == f"ray::{task}".encode():
                found.append(int(path.parent.name))
        except (FileNotFoundError, ProcessLookupError):
            continue
    return found


def run(*words):
    return main([str(word) for word in words])


@pytest.mark.parametrize("how", [signal.SIGKILL, pytest.param(signal.SIGTERM, marks=pytest.mark.slow)])
def test_a_grid_loses_a_worker_and_is_whole_in_the_end(how, tiny, tmp_path, capsys):
    root = tmp_path / "test"
    killer = Killer(root, OFFLINE, how)
    killer.start()
    try:
        assert run("experiment", "run", "tiny", "--scale", "test", "--out", tmp_path, "--cpus", 0.5) == 0
    finally:
        killer.over = True
    killer.join()
    assert killer.killed_at is not None
    assert 0 < killer.killed_at < UPDATES
    names = {path.name for path in (root / "runs").iterdir()}
    assert len(names) == 5  # two seeds pretrained and fine-tuned, and the reference
    for name in names - {"random-scenery_TinyBothScene"}:
        config, loop = load_config(root / "runs" / name / "config.yaml"), checkpoint_info(root / "runs" / name)["loop"]
        assert loop["update"] >= UPDATES
        assert config.training.offline_updates == UPDATES
        assert json.loads((root / "runs" / name / "machine.json").read_text())["commit"]
        assert len(load_evaluations(root / "runs" / name)[-1].returns) == 2
    # The killed run went on: its log has every update once.
    logged = [row["update"] for row in read_jsonl(root / OFFLINE / "metrics.jsonl") if "loss/world_model" in row]
    assert logged == list(range(1, UPDATES + 1))
    assert len(Dataset(root / "datasets" / "scenery_TinyBothScene" / "random3")) == 3
    assert run("experiment", "report", "tiny", "--scale", "test", "--out", tmp_path) == 0
    page = (root / "reports" / "tiny.md").read_text()
    assert "5 of 5 runs" in page
    assert "| missing |" not in page
    assert (root / "reports" / "tiny" / "line.svg").exists()

    before = {path: path.stat().st_mtime_ns for path in root.rglob("*") if path.is_file() and path.name != ".lock"}
    capsys.readouterr()
    assert run("experiment", "run", "tiny", "--scale", "test", "--out", tmp_path) == 0
    assert "Done: 7 stages" in capsys.readouterr().out
    assert {path: path.stat().st_mtime_ns for path in before} == before


@pytest.mark.slow
@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_saves_what_is_under_way_and_the_same_command_goes_on(how, tiny, tmp_path, monkeypatch, capsys):
    root, words = tmp_path / "test", ["experiment", "run", "tiny", "--scale", "test", "--out", tmp_path, "--cpus", 0.5]
    monkeypatch.setitem(grids.SCALES, "test", Scale(seeds=1, data=1, evaluations=2, episodes=2, changes=SMALL | LONG))

    def press() -> None:
        while not has_checkpoint(root / OFFLINE):
            time.sleep(0.02)
        os.kill(os.getpid(), how)

    threading.Thread(target=press, daemon=True).start()
    assert run(*words) == 130
    assert "interrupted. Go on with: fosp experiment run tiny" in capsys.readouterr().err
    stopped = checkpoint_info(root / OFFLINE)["loop"]["update"]
    assert not workers(OFFLINE)
    assert stopped % 100 != 0  # saved there and then, not at the checkpoint due every 100 updates
    assert run(*words) == 0
    logged = [row["update"] for row in read_jsonl(root / OFFLINE / "metrics.jsonl") if "loss/world_model" in row]
    assert logged == list(range(1, 401))


@pytest.fixture
def cluster(tiny, tmp_path):
    """A cluster on this machine as `ray start` makes it, with whatever token it wants; its address."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "ray.scripts.scripts", "start", "--head", "--block", "--num-cpus", "1"]
    command += ["--port", str(port), "--include-dashboard", "false", "--disable-usage-stats"]
    log = tmp_path / "cluster.log"
    with log.open("w") as out:
        head = subprocess.Popen(command, stdout=out, stderr=out)
    try:
        deadline = time.monotonic() + 60
        while "Ray runtime started" not in log.read_text():
            assert head.poll() is None, log.read_text()
            assert time.monotonic() < deadline, log.read_text()
            time.sleep(0.2)
        yield f"127.0.0.1:{port}"
    finally:
        head.terminate()
        head.wait(30)


def test_a_running_cluster_does_the_work_by_its_address(cluster, tmp_path, monkeypatch, capsys):
    monkeypatch.delenv("RAY_AUTH_MODE", raising=False)
    monkeypatch.setitem(grids.GRIDS, "tiny", dataclasses.replace(TINY, rows=TINY.rows[1:]))
    assert run("experiment", "run", "tiny", "--scale", "test", "--out", tmp_path, "--address", cluster) == 0
    assert "Done: 1 stage" in capsys.readouterr().out
    assert len(load_evaluations(tmp_path / "test" / "runs" / "random-scenery_TinyBothScene")[-1].returns) == 2


@pytest.mark.slow
def test_without_a_cluster_at_its_address_one_error_says_so(tiny, tmp_path, capsys):
    words = ["experiment", "run", "tiny", "--scale", "test", "--out", tmp_path, "--address", "127.0.0.1:9"]
    assert run(*words) == 2
    assert "no Ray cluster answers at 127.0.0.1:9" in capsys.readouterr().err
