"""Checkpoints: whole or not at all, everything in them, and errors that say what is wrong."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors import SafetensorError

import fosp.training.checkpoint as module
from fosp.config import save_config
from fosp.errors import InputError
from fosp.training.checkpoint import has_checkpoint, load_checkpoint, rewind_logs, save_checkpoint
from tiny import random_batch, tiny_agent


def agent_after(updates: int, **changes: object):
    agent = tiny_agent({name.replace("__", "."): value for name, value in changes.items()})
    for i in range(updates):
        agent.update(random_batch(seed=i))
    return agent


def losses(agent, seeds=(7, 8)) -> list[float]:
    return [agent.update(random_batch(seed=seed))["loss/world_model"].item() for seed in seeds]


# ---------------------------------------------------------------------------- contents


@pytest.mark.parametrize("online", [False, True])
def test_a_restored_agent_goes_on_exactly_as_the_saved_one(tmp_path, online):
    agent = agent_after(2)
    agent.see_bounds(2.0, 1.0)
    if online:
        agent.start_online()
        agent.update(random_batch())
    sampler = np.random.default_rng(3)
    sampler.random(5)
    save_checkpoint(tmp_path, agent, {"update": 2, "note": "x"}, sampler)
    other, other_sampler = agent_after(1, seed=5), np.random.default_rng(0)
    assert load_checkpoint(tmp_path, other, other_sampler) == {"update": 2, "note": "x"}
    assert other.is_online == online
    assert all(torch.equal(a, b) for a, b in zip(agent.state_dict().values(), other.state_dict().values(), strict=True))
    assert sampler.random() == other_sampler.random()
    assert losses(agent) == losses(other)
    for a, b in zip(agent.parameters(), other.parameters(), strict=True):
        assert torch.equal(a, b)  # moments of the optimisers and the multiplier included


def test_moments_come_back_in_the_memory_layout_of_their_parameters(tmp_path):
    """Those of convolutions are channels-last; on a GPU fused Adam refuses any other."""
    spaces = {"image": (64, 64, 6)}
    agent, other = tiny_agent(spaces=spaces), tiny_agent({"seed": 1}, spaces=spaces)
    agent.update(random_batch(spaces=spaces))
    save_checkpoint(tmp_path, agent, {})
    load_checkpoint(tmp_path, other)
    states = other.optimisers["world_model"].adam.state
    assert {p.stride() == p.contiguous().stride() for p in states} == {True, False}
    for parameter, state in states.items():
        assert state["exp_avg"].stride() == state["exp_avg_sq"].stride() == parameter.stride()


def test_without_optimisers_weights_alone_are_restored(tmp_path):
    agent = agent_after(2)
    save_checkpoint(tmp_path, agent, {"update": 2})
    other = agent_after(0)
    load_checkpoint(tmp_path, other, optimisers=False)
    assert not other.optimisers["actor"].adam.state
    assert all(torch.equal(a, b) for a, b in zip(agent.parameters(), other.parameters(), strict=True))


def test_a_checkpoint_is_safetensors_and_json(tmp_path):
    save_checkpoint(tmp_path, agent_after(1), {"update": 1})
    assert sorted(p.name for p in tmp_path.iterdir()) == ["checkpoint"]
    assert sorted(p.name for p in (tmp_path / "checkpoint").iterdir()) == ["model.safetensors", "state.json"]
    assert isinstance(json.loads((tmp_path / "checkpoint" / "state.json").read_text()), dict)


# --------------------------------------------------------------------------- atomicity


def survives(run: Path, update: int) -> None:
    """The checkpoint of `update` is there, whole, and the next save works."""
    assert has_checkpoint(run)
    assert load_checkpoint(run, agent_after(0))["update"] == update
    save_checkpoint(run, agent_after(0), {"update": update + 1})
    assert load_checkpoint(run, agent_after(0))["update"] == update + 1
    assert [p.name for p in run.iterdir()] == ["checkpoint"]


class Killed(BaseException):
    """As if the process had ended here: no handler for errors runs."""


@pytest.mark.parametrize("step", ["weights", "state", "first rename", "second rename", "cleaning up"])
def test_a_kill_at_any_moment_of_a_save_leaves_a_whole_checkpoint(tmp_path, monkeypatch, step):
    save_checkpoint(tmp_path, agent_after(1), {"update": 1})
    renames = 0

    def die(*args, **kwargs):
        raise Killed

    def rename(self: Path, target: Path) -> Path:
        nonlocal renames
        renames += 1
        if renames == {"first rename": 1, "second rename": 2}[step]:
            raise Killed
        os.rename(self, target)
        return target

    def rmtree(path: Path, ignore_errors: bool) -> None:
        if path.name.endswith(".old") and path.exists():
            raise Killed
        subprocess.run(["rm", "-rf", str(path)], check=True)

    with monkeypatch.context() as patch:
        if step == "weights":
            patch.setattr(module, "save_file", die)
        elif step == "state":
            patch.setattr(Path, "write_text", die)
        elif step == "cleaning up":
            patch.setattr(module.shutil, "rmtree", rmtree)
        else:
            patch.setattr(Path, "rename", rename)
        with pytest.raises(Killed):
            save_checkpoint(tmp_path, agent_after(2), {"update": 2})
    survives(tmp_path, 2 if step == "cleaning up" else 1)


def test_a_second_kill_after_a_kill_between_the_renames_still_leaves_one(tmp_path, monkeypatch):
    save_checkpoint(tmp_path, agent_after(1), {"update": 1})
    (tmp_path / "checkpoint").rename(tmp_path / "checkpoint.old")  # where the first kill left it

    def die(*args, **kwargs):
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(Path, "rename", die)
        with pytest.raises(Killed):
            save_checkpoint(tmp_path, agent_after(2), {"update": 2})
    survives(tmp_path, 1)


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), SafetensorError("I/O error: no space")])
@pytest.mark.parametrize("writer", ["weights", "state"])
def test_a_full_disk_is_reported_and_the_previous_checkpoint_survives(tmp_path, monkeypatch, error, writer):
    save_checkpoint(tmp_path, agent_after(1), {"update": 1})

    def full(*args, **kwargs):
        raise error

    with monkeypatch.context() as patch:
        if writer == "weights":
            patch.setattr(module, "save_file", full)
        else:
            patch.setattr(Path, "write_text", full)
        with pytest.raises(InputError, match="free some space"):
            save_checkpoint(tmp_path, agent_after(2), {"update": 2})
    survives(tmp_path, 1)


@pytest.fixture
def small_disk(tmp_path):
    """A file system of 400 KiB; only root can mount one."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = (
        os.geteuid() == 0
        and not subprocess.run(
            ["mount", "-t", "tmpfs", "-o", "size=400k", "tmpfs", str(disk)], capture_output=True
        ).returncode
    )
    if not mounted:
        pytest.skip("a small tmpfs can only be mounted by root with the right to mount")
    yield disk
    subprocess.run(["umount", str(disk)], check=True)


def test_a_disk_that_is_really_full(small_disk):
    run = small_disk / "run"
    run.mkdir()
    save_checkpoint(run, agent_after(0), {"update": 1})
    (small_disk / "ballast").write_bytes(b"x" * free_bytes(small_disk))
    with pytest.raises(InputError, match="previous checkpoint is intact"):
        save_checkpoint(run, agent_after(0), {"update": 2})
    (small_disk / "ballast").unlink()
    survives(run, 1)


def free_bytes(path: Path) -> int:
    status = os.statvfs(path)
    return status.f_bavail * status.f_frsize - 8192


# ------------------------------------------------------------------------------ errors


def test_no_checkpoint(tmp_path):
    assert not has_checkpoint(tmp_path)
    with pytest.raises(InputError, match="holds no checkpoint"):
        load_checkpoint(tmp_path, agent_after(0))


def test_a_checkpoint_of_another_agent(tmp_path):
    save_checkpoint(tmp_path, agent_after(0), {})
    with pytest.raises(InputError, match="agent 'fosp', not 'bc'"):
        load_checkpoint(tmp_path, agent_after(0, agent="bc"))


def test_a_checkpoint_of_another_observation_space(tmp_path):
    save_checkpoint(tmp_path, agent_after(0), {})
    with pytest.raises(InputError, match=r"vector.*\(2,\).*\(3,\)"):
        load_checkpoint(tmp_path, tiny_agent(spaces={"vector": (3,)}))


def test_a_checkpoint_of_other_sizes(tmp_path):
    agent = agent_after(0)
    save_checkpoint(tmp_path, agent, {})
    save_config(agent.config, tmp_path / "config.yaml")
    with pytest.raises(InputError, match=f"behaviour.units 8, not {agent.config.behaviour.units}"):
        load_checkpoint(tmp_path, agent_after(0, behaviour__units=8))


def test_a_checkpoint_of_another_version(tmp_path):
    save_checkpoint(tmp_path, agent_after(0), {})
    path = tmp_path / "checkpoint" / "state.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"version": 99}))
    with pytest.raises(InputError, match="version 99"):
        load_checkpoint(tmp_path, agent_after(0))


@pytest.mark.parametrize("name", ["model.safetensors", "state.json"])
@pytest.mark.parametrize("damage", ["truncated", "garbage", "empty"])
def test_a_damaged_checkpoint_names_the_file(tmp_path, name, damage):
    save_checkpoint(tmp_path, agent_after(0), {})
    path = tmp_path / "checkpoint" / name
    content = path.read_bytes()
    path.write_bytes({"truncated": content[: len(content) // 2], "garbage": b"\xff" * 100, "empty": b""}[damage])
    with pytest.raises(InputError, match=name) as caught:
        load_checkpoint(tmp_path, agent_after(0))
    assert "\n" not in str(caught.value)


# -------------------------------------------------------------------------------- logs


def write_lines(path: Path, *entries: dict) -> None:
    with path.open("a") as file:
        file.writelines(json.dumps(entry) + "\n" for entry in entries)


def read_lines(path: Path) -> list[dict]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_logs_go_back_to_the_checkpoint(tmp_path):
    metrics, evaluations = tmp_path / "metrics.jsonl", tmp_path / "evaluations.jsonl"
    write_lines(metrics, {"update": 3, "x": 1}, {"update": 4, "x": 2})
    write_lines(evaluations, {"update": 4, "agent": "fosp"})
    save_checkpoint(tmp_path, agent_after(0), {"update": 4})
    write_lines(metrics, {"update": 4, "x": "again"}, {"update": 5, "x": 3})
    write_lines(evaluations, {"update": 0, "agent": "random"}, {"update": 6, "agent": "fosp"})
    for path in (metrics, evaluations):
        with path.open("a") as file:
            file.write('{"update": 7, "half a li')
    rewind_logs(tmp_path)
    assert read_lines(metrics) == [{"update": 3, "x": 1}, {"update": 4, "x": 2}]
    assert read_lines(evaluations) == [{"update": 4, "agent": "fosp"}, {"update": 0, "agent": "random"}]
    rewind_logs(tmp_path)
    assert len(read_lines(metrics)) == 2


def test_without_a_checkpoint_a_resumed_run_starts_its_metrics_afresh(tmp_path):
    write_lines(tmp_path / "metrics.jsonl", {"update": 3})
    write_lines(tmp_path / "evaluations.jsonl", {"update": 0}, {"update": 3})
    rewind_logs(tmp_path)
    assert read_lines(tmp_path / "metrics.jsonl") == []
    assert read_lines(tmp_path / "evaluations.jsonl") == [{"update": 0}]


def test_logs_that_lost_their_end_are_left_alone(tmp_path):
    """After a power cut the log may be shorter than the checkpoint says: nothing is invented."""
    write_lines(tmp_path / "metrics.jsonl", {"update": 3}, {"update": 4})
    save_checkpoint(tmp_path, agent_after(0), {"update": 4})
    (tmp_path / "metrics.jsonl").write_text('{"update": 3}\n')
    rewind_logs(tmp_path)
    assert read_lines(tmp_path / "metrics.jsonl") == [{"update": 3}]
