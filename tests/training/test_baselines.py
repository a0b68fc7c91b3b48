"""Every agent that learns in a world model: offline, then online, from scratch, and resumed as if never stopped."""

from __future__ import annotations

from operator import attrgetter

import pytest

from fosp.training.interrupts import Interrupted
from fosp.training.offline import pretrain
from fosp.training.online import finetune, train
from resuming import InterruptAfter, assert_same_episodes, assert_same_run, lines, settings
from tiny import play, tiny_agent, write_dataset

PLANS = {
    "agent": "safe_dreamer",
    "safe_dreamer__plan_samples": 8,
    "safe_dreamer__plan_elites": 3,
    "safe_dreamer__plan_actor_samples": 2,
    "safe_dreamer__plan_horizon": 3,
    "safe_dreamer__plan_iterations": 2,
}
AGENTS = {
    "bc": {"agent": "bc"},
    "dreamer": {"agent": "dreamer"},
    "safe_dreamer": {"agent": "safe_dreamer"},
    "recovery_rl": {
        "agent": "recovery_rl",
        "recovery_rl__plan_samples": 8,
        "recovery_rl__plan_elites": 3,
        "recovery_rl__plan_horizon": 3,
        "recovery_rl__threshold": 0.05,
    },
    "osrp": PLANS | {"safe_dreamer__variant": "osrp"},
    "osrp_lag": PLANS | {"safe_dreamer__variant": "osrp_lag"},
}


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    return write_dataset(tmp_path_factory.mktemp("data") / "line", [play(i, 0.9 if i % 2 else None) for i in range(6)])


@pytest.fixture(scope="module", params=AGENTS)
def made(request, dataset, tmp_path_factory):
    """Settings, and the runs of an agent that nothing interrupted."""
    config, root = settings(**AGENTS[request.param]), tmp_path_factory.mktemp(request.param)
    pretrain(config, [dataset], root / "offline")
    finetune(config, root / "offline", root / "online")
    train(config, root / "direct")
    return config, root


def test_all_losses_stay_finite_and_are_logged(made):
    _, root = made
    for run in ("offline", "online", "direct"):
        logged = [entry for entry in lines(root / run) if "loss/actor" in entry]
        assert logged
        assert all(abs(value) < 1e6 for entry in logged for key, value in entry.items() if key.startswith("loss/"))


def test_interrupted_pretraining_resumes_exactly(made, dataset, tmp_path):
    config, root = made
    with pytest.raises(Interrupted):
        pretrain(config, [dataset], tmp_path / "run", progress=InterruptAfter(4))
    pretrain(config, [], tmp_path / "run", resume=True)
    assert_same_run(root / "offline", tmp_path / "run")


def test_interrupted_finetuning_resumes_exactly(made, tmp_path):
    config, root = made
    with pytest.raises(Interrupted):
        finetune(config, root / "offline", tmp_path / "run", progress=InterruptAfter(30))
    finetune(config, root / "offline", tmp_path / "run", resume=True)
    assert_same_run(root / "online", tmp_path / "run")
    assert_same_episodes(root / "online", tmp_path / "run")


@pytest.mark.parametrize(
    ("agent", "setting", "value", "name"),
    [
        ("safe_dreamer", "behaviour.multiplier", 3.0, "multiplier.multiplier"),
        ("safe_dreamer", "safe_dreamer.penalty", 0.05, "multiplier.penalty"),
        ("recovery_rl", "recovery_rl.temperature", 0.7, "temperature.alpha"),
        ("fosp", "behaviour.price", 9.0, "price"),
        ("fosp", "behaviour.multiplier", 3.0, "multiplier.multiplier"),
        ("fosp", "behaviour.penalty", 0.07, "multiplier.penalty"),
    ],
)
def test_what_a_checkpoint_holds_gives_way_to_a_setting_that_was_changed(agent, setting, value, name):
    before = settings(agent=agent)
    changed = tiny_agent({"agent": agent, setting: value})
    read = attrgetter(name)
    start = float(read(tiny_agent({"agent": agent})))
    for buffer in (read(changed),) if name != "temperature.alpha" else (changed.temperature.log_alpha.data,):
        buffer.fill_(0.25)  # as a checkpoint would
    changed.change_settings(changed.config)
    assert float(read(changed)) != pytest.approx(value)
    changed.change_settings(before)
    assert float(read(changed)) == pytest.approx(value) != start
