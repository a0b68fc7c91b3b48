"""Pretraining on another run's world model: it stays as it is, whatever agent learns on it."""

from __future__ import annotations

import pytest
import torch
from safetensors.torch import load_file

from fosp.errors import InputError
from fosp.training.interrupts import Interrupted
from fosp.training.offline import pretrain
from fosp.training.online import finetune
from resuming import InterruptAfter, assert_same_run, settings
from tiny import play, write_dataset


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    root = tmp_path_factory.mktemp("fixed")
    data = write_dataset(root / "line", [play(i, 0.9 if i % 2 else None) for i in range(6)])
    pretrain(settings(agent="bc"), [data], root / "bc")
    return root


def weights(run, part):
    tensors = load_file(run / "checkpoint" / "model.safetensors")
    return {name: value for name, value in tensors.items() if name.startswith(f"agent/{part}.")}


@pytest.mark.parametrize("agent", ["fosp", "bc", "dreamer", "safe_dreamer", "recovery_rl"])
def test_the_world_model_stays_and_the_behaviour_learns(source, tmp_path, agent):
    config = settings(agent=agent, training__world_model=str(source / "bc"), training__model_updates=9)  # of no account
    fresh = settings(agent=agent, training__world_model=str(source / "bc"), training__offline_updates=1)
    pretrain(config, [source / "line"], tmp_path / "run")
    pretrain(fresh, [source / "line"], tmp_path / "fresh")
    before, after = weights(source / "bc", "world_model"), weights(tmp_path / "run", "world_model")
    assert before.keys() == after.keys()
    assert all(torch.equal(before[name], after[name]) for name in before)
    learned, first = weights(tmp_path / "run", "actor"), weights(tmp_path / "fresh", "actor")
    assert any(not torch.equal(learned[name], first[name]) for name in learned)


def test_the_world_models_optimiser_comes_with_it(source, tmp_path):
    """Or else fine-tuning would begin with Adam's full first steps, away from what the actor was trained on."""

    def moments(run):
        tensors = load_file(run / "checkpoint" / "model.safetensors")
        return {name: value for name, value in tensors.items() if name.startswith("optimiser/world_model/")}

    pretrain(settings(training__world_model=str(source / "bc")), [source / "line"], tmp_path / "run")
    before, after = moments(source / "bc"), moments(tmp_path / "run")
    assert before
    assert before.keys() == after.keys()
    assert all(torch.equal(before[name], after[name]) for name in before)


def test_fine_tuning_learns_the_world_model_again(source, tmp_path):
    config = settings(training__world_model=str(source / "bc"))
    pretrain(config, [source / "line"], tmp_path / "run")
    finetune(config, tmp_path / "run", tmp_path / "online")
    before, after = weights(tmp_path / "run", "world_model"), weights(tmp_path / "online", "world_model")
    assert any(not torch.equal(before[name], after[name]) for name in before)


def test_the_frozen_actors_own_model_stays_and_comes_back_on_resuming(source, tmp_path):
    pretrain(settings(), [source / "line"], tmp_path / "run")
    config = settings(behaviour__expansion_model="own")
    finetune(config, tmp_path / "run", tmp_path / "online")
    with pytest.raises(Interrupted):
        finetune(config, tmp_path / "run", tmp_path / "again", progress=InterruptAfter(40))
    finetune(config, tmp_path / "run", tmp_path / "again", resume=True)
    assert_same_run(tmp_path / "online", tmp_path / "again")
    offline, online = weights(tmp_path / "run", "world_model"), weights(tmp_path / "again", "world_model")
    frozen = weights(tmp_path / "again", "frozen_model")
    assert all(map(torch.equal, offline.values(), frozen.values()))
    assert not all(map(torch.equal, online.values(), frozen.values()))


def test_resuming_does_not_need_the_other_run(source, tmp_path):
    (tmp_path / "bc").symlink_to(source / "bc")
    config = settings(training__world_model=str(tmp_path / "bc"))
    pretrain(config, [source / "line"], tmp_path / "whole")
    with pytest.raises(Interrupted):
        pretrain(config, [source / "line"], tmp_path / "run", progress=InterruptAfter(4))
    (tmp_path / "bc").unlink()
    pretrain(config, [], tmp_path / "run", resume=True)
    assert_same_run(tmp_path / "whole", tmp_path / "run")


def test_a_model_of_other_sizes_is_refused_by_name(source, tmp_path):
    config = settings(training__world_model=str(source / "bc"), world_model__units=24)
    with pytest.raises(InputError, match=r"world model in .*model\.safetensors cannot be taken over"):
        pretrain(config, [source / "line"], tmp_path / "run")
