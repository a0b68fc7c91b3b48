"""What is logged: averages since the last line, no NaN in the JSON, a clock that goes on, the same names as events."""

from __future__ import annotations

import json
import math

import pytest
import torch

from fosp.errors import InputError
from fosp.training.interrupts import stop_on_signal
from fosp.training.metrics import MetricsWriter
from fosp.training.offline import pretrain
from tiny import play, tiny_config, write_dataset


def lines(run):
    return [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]


def test_averages_are_means_since_the_last_ones(tmp_path):
    with MetricsWriter(tmp_path, phase="offline") as metrics:
        assert metrics.averages() == {}
        for value in (1.0, 2.0, 6.0):
            metrics.add({"a": torch.tensor(value), "b": torch.tensor(-value)})
        assert metrics.averages() == pytest.approx({"a": 3.0, "b": -3.0})
        metrics.add({"a": torch.tensor(5.0)})
        metrics.add({})
        metrics.add({"b": torch.tensor(1.0)})
        assert metrics.averages() == {"a": 5.0, "b": 1.0}  # each over the updates that had it


def test_a_line_is_json_with_phase_update_frames_and_seconds(tmp_path):
    with MetricsWriter(tmp_path, phase="online") as metrics:
        metrics.write(12, 400, {"loss/actor": 0.5, "bad": math.nan, "worse": math.inf})
    (line,) = lines(tmp_path)
    assert line.pop("seconds") >= 0
    assert line == {"phase": "online", "update": 12, "frames": 400, "loss/actor": 0.5, "bad": None, "worse": None}
    assert any(path.name.startswith("events") for path in (tmp_path / "tensorboard").iterdir())


def test_the_clock_goes_on_when_a_run_is_resumed(tmp_path):
    (tmp_path / "metrics.jsonl").write_text('{"phase": "offline", "update": 3, "frames": 0, "seconds": 1000.0}\n')
    with MetricsWriter(tmp_path, phase="offline", resume_at=3) as metrics:
        metrics.write(4, 0, {})
    assert len(lines(tmp_path)) == 2
    assert 1000 <= lines(tmp_path)[1]["seconds"] < 1060


def test_signals_are_caught_only_in_the_main_thread():
    import threading

    requests = []

    def inside() -> None:
        with stop_on_signal() as request:
            requests.append(request.requested)

    thread = threading.Thread(target=inside)
    thread.start()
    thread.join()
    assert requests == [False]


# ----------------------------------------------------------------- bad input to a loop


def test_a_run_directory_is_not_overwritten_and_not_invented(tmp_path):
    dataset = write_dataset(tmp_path / "data", [play(0, None)])
    config = tiny_config({"training.offline_updates": 1, "training.evaluation_episodes": 1})
    pretrain(config, [dataset], tmp_path / "run")
    with pytest.raises(InputError, match="already holds a run"):
        pretrain(config, [dataset], tmp_path / "run")
    with pytest.raises(InputError, match="not a run directory"):
        pretrain(config, [dataset], tmp_path / "nowhere", resume=True)
    with pytest.raises(InputError, match="no dataset"):
        pretrain(config, [], tmp_path / "other")


def test_a_dataset_without_the_observation_asked_for(tmp_path):
    dataset = write_dataset(tmp_path / "data", [play(0, None)])
    with pytest.raises(InputError, match="has no image observations"):
        pretrain(tiny_config(observation="image"), [dataset], tmp_path / "run")
