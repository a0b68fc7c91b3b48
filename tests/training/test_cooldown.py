"""Step sizes that fall towards the end of offline training."""

from __future__ import annotations

import pytest
import torch

from fosp.config import change
from fosp.errors import InputError
from fosp.training.interrupts import Interrupted
from fosp.training.offline import pretrain, step_share
from fosp.training.online import finetune, train
from resuming import InterruptAfter, assert_same_run, settings
from tiny import play, write_dataset

RATES = {
    "world_model__learning_rate": 1e-4,
    "behaviour__actor_learning_rate": 2e-4,
    "behaviour__critic_learning_rate": 3e-4,
    "behaviour__reach_learning_rate": 4e-4,
}


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return write_dataset(tmp_path_factory.mktemp("cooldown") / "line", [play(i, None) for i in range(4)])


@pytest.fixture
def rates(monkeypatch):
    """The step sizes with which Adam moved the world model, the actor and so on, in turn."""
    seen, step = [], torch.optim.Adam.step

    def spy(adam, *args, **more):
        seen.append(float(adam.param_groups[0]["lr"]))
        return step(adam, *args, **more)

    monkeypatch.setattr(torch.optim.Adam, "step", spy)
    return seen


def test_shares_worked_by_hand():
    assert [step_share(i, 8, 0.5) for i in range(8)] == pytest.approx([1, 1, 1, 1, 1, 0.75, 0.5, 0.25])
    assert [step_share(i, 4, 1.0) for i in range(4)] == pytest.approx([1, 0.75, 0.5, 0.25])
    assert [step_share(i, 4, 0.1) for i in range(4)] == [1, 1, 1, 1]


def test_every_network_takes_smaller_steps_towards_the_end_and_fine_tuning_full_ones(data, rates, tmp_path):
    config = settings(
        training__offline_updates=4,
        training__cooldown=0.5,
        **RATES,
    )
    pretrain(config, [data], tmp_path / "run")
    full = list(RATES.values())
    assert rates == pytest.approx([share * rate for share in (1, 1, 1, 0.5) for rate in full])
    rates.clear()
    finetune(change(config, {"training.online_frames": 20}), tmp_path / "run", tmp_path / "online")
    assert rates
    assert set(rates) == set(full)


def test_model_and_behaviour_come_to_rest_one_after_the_other(data, rates, tmp_path):
    config = settings(
        training__model_updates=4,
        training__offline_updates=2,
        training__cooldown=0.5,
        **RATES,
    )
    pretrain(config, [data], tmp_path / "run")
    model = [share * 1e-4 for share in (1, 1, 1, 0.5)]
    behaviour = [share * rate for share in (1, 1) for rate in (2e-4, 3e-4, 4e-4)]
    assert rates == pytest.approx(model + behaviour)


def test_fine_tuning_has_one_step_size_of_its_own_and_training_from_scratch_has_not(data, rates, tmp_path):
    config = settings(training__offline_updates=2, training__finetuning_learning_rate=7e-5, training__online_frames=40)
    pretrain(config, [data], tmp_path / "run")
    train(change(config, {"training.prefill_episodes": 1}), tmp_path / "direct")
    assert 7e-5 not in rates
    rates.clear()
    with pytest.raises(Interrupted):
        finetune(config, tmp_path / "run", tmp_path / "online", progress=InterruptAfter(30))
    finetune(config, tmp_path / "run", tmp_path / "online", resume=True)
    assert len(rates) > 4
    assert set(rates) == {7e-5}


def test_a_step_size_that_would_not_count_is_refused(data, tmp_path):
    config = settings(training__offline_updates=1, training__finetuning_learning_rate=7e-5)
    pretrain(config, [data], tmp_path / "run")
    anew = change(config, {"behaviour.actor_learning_rate": 2e-5})
    with pytest.raises(InputError, match=r"behaviour\.actor_learning_rate is 2e-05, but training\.finetuning_learning"):
        finetune(anew, tmp_path / "run", tmp_path / "online")
    own = change(anew, {"training.finetuning_learning_rate": 0.0, "training.online_frames": 20})
    finetune(own, tmp_path / "run", tmp_path / "online")


def test_a_run_that_was_interrupted_cools_down_alike(data, tmp_path):
    config = settings(training__cooldown=0.7)
    pretrain(config, [data], tmp_path / "whole")
    with pytest.raises(Interrupted):
        pretrain(config, [data], tmp_path / "halves", progress=InterruptAfter(6))
    pretrain(config, [], tmp_path / "halves", resume=True)
    assert_same_run(tmp_path / "whole", tmp_path / "halves")


def test_a_share_beyond_the_whole_is_refused():
    with pytest.raises(InputError, match=r"cooldown is 1\.5"):
        settings(training__cooldown=1.5)
