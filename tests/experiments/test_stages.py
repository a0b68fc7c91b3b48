"""Stages done one after the other, without Ray."""

from __future__ import annotations

import shutil

import pytest
import torch

from fosp.errors import InputError
from fosp.experiments import grids
from fosp.experiments.grids import Grid, Row, Scale
from fosp.experiments.plan import expand
from fosp.experiments.stages import Pretrain, WorldModel
from fosp.report.runs import load_evaluations
from fosp.training.progress import SilentProgress
from fosp.training.trained import load_trained

SMALL = {
    "env.time_limit": 20,
    "env.action_repeat": 1,
    "training.batch_size": 2,
    "training.sequence_length": 5,
    "training.offline_updates": 6,
    "training.checkpoint_every": 2,
    "training.evaluation_episodes": 1,
}


def stages(monkeypatch, **changes):
    row = Row(group="g", label="l", phases="offline", env="scenery:TinyBothScene-v0", observation="vector",
              data={"random": 3})  # fmt: skip
    scale = Scale(seeds=1, data=1, evaluations=2, episodes=2, model_updates=4, changes=SMALL | changes)
    monkeypatch.setitem(grids.SCALES, "test", scale)
    return expand([Grid(name="n", title="t", shows="s", text="x", rows=(row,))], "test")


def test_a_world_model_is_made_once_and_stands_under_the_agents(monkeypatch, tmp_path):
    monkeypatch.syspath_prepend("tests")
    root = tmp_path / "here"
    todo = stages(monkeypatch)
    for stage in todo:
        assert stage.share_done(root) == 0
        stage.do(root, SilentProgress(), 1)
        assert stage.share_done(root) == 1
    (model,) = (stage for stage in todo if isinstance(stage, WorldModel))
    (offline,) = (stage for stage in todo if isinstance(stage, Pretrain))
    learned, used = (load_trained(root / stage.name).agent.world_model.state_dict() for stage in (model, offline))
    assert all(torch.equal(learned[name], used[name]) for name in learned)
    assert not load_evaluations(root / model.name)  # an agent that has learned nothing yet
    assert len(load_evaluations(root / offline.name)[-1].returns) == 2

    shutil.move(root, tmp_path / "there")  # experiments may be moved
    assert [stage.share_done(tmp_path / "there") for stage in todo] == [1] * len(todo)
    with pytest.raises(InputError, match=r"training.batch_size = 2, not 3"):
        stages(monkeypatch, **{"training.batch_size": 3})[-1].share_done(tmp_path / "there")

    others = stages(monkeypatch, **{"recovery_rl.threshold": 0.2, "on_policy.clip": 0.3})
    assert [stage.share_done(tmp_path / "there") for stage in others] == [1] * len(todo)  # FOSP does not read these
    for stage in stages(monkeypatch, **{"behaviour.horizon": 3}):
        if isinstance(stage, Pretrain):
            with pytest.raises(InputError, match=r"behaviour.horizon = 5, not 3"):
                stage.share_done(tmp_path / "there")
        else:  # a world model knows no behaviour
            assert stage.share_done(tmp_path / "there") == 1
