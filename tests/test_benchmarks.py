"""Benchmarks that look at trained agents run on a small one; what they print is measured by them, not here."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import pytest

from fosp.data import Dataset
from fosp.report.runs import load_evaluations
from fosp.training.offline import pretrain
from fosp.training.online import finetune
from tiny import play, tiny_config, write_dataset

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A FOSP with two actors."""
    home = tmp_path_factory.mktemp("runs")
    data = write_dataset(home / "data", [play(i, None) for i in range(4)])
    config = tiny_config(
        {"training.offline_updates": 2, "training.online_frames": 20, "training.evaluation_episodes": 1}
    )
    pretrain(config, [data], home / "offline")
    finetune(config, home / "offline", home / "online")
    return home / "online"


def call(name, words, monkeypatch):
    spec = importlib.util.spec_from_file_location(f"benchmark_{name}", BENCHMARKS / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    monkeypatch.setattr(sys, "argv", [name, *words])
    module.main()


@pytest.mark.parametrize(
    ("name", "words", "rows"),
    [
        ("actors", [], ["frozen actor", "new actor", "both"]),
        (
            "candidates",
            ["--candidates", "3", "--lookahead", "0", "2", "--prices", "1"],
            ["3          0", "3          2"],
        ),
    ],
)
def test_a_benchmark_of_a_trained_agent_runs(run, name, words, rows, monkeypatch, capsys):
    call(name, [str(run), "--episodes", "1", *words], monkeypatch)
    shown = capsys.readouterr().out
    assert all(row in shown for row in rows)


def test_tests_at_two_prices_are_kept_and_compared_in_pairs(run, tmp_path, monkeypatch, capsys):
    words = [str(run), "--episodes", "3", "--candidates", "2", "--prices", "1", "9", "--out", str(tmp_path)]
    call("candidates", words, monkeypatch)
    low, high = (str(tmp_path / f"candidates-2-lookahead-0-price-{price}") for price in (1, 9))
    call("paired", ["--runs", low, "--against", high], monkeypatch)
    shown = capsys.readouterr().out
    means = [line.split()[3] for line in shown.splitlines() if line.split()[:1] == ["2"]]
    assert [f"{low}: {means[0]} /" in shown, f"{high}: {means[1]} /" in shown] == [True, True]
    assert "1 pairs" in shown


def test_the_episodes_of_fine_tuning_are_compared_with_tests_on_their_seeds(run, tmp_path, monkeypatch, capsys):
    (own,) = Dataset(run / "episodes").summaries()
    words = [str(run), "--episodes", "1", "--seed", str(own.seed), "--mode", "sample", "--candidates", "1"]
    call("candidates", [*words, "--prices", "1", "--out", str(tmp_path)], monkeypatch)
    tests = tmp_path / "candidates-1-lookahead-0-price-1"
    (test,) = load_evaluations(tests)
    call("paired", ["--own", "--runs", str(run), "--against", str(tests)], monkeypatch)
    difference = own.total_reward - test.returns[0]
    assert f"reward: {difference:+.2f} ({difference:+.2f} to {difference:+.2f}), 1 pairs" in capsys.readouterr().out
