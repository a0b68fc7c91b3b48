"""What the declared grids expand to."""

from __future__ import annotations

import dataclasses

import pytest

from fosp.cli import main
from fosp.config import flatten, preset
from fosp.envs import list_envs, make_env
from fosp.envs.behaviours import make_behaviour
from fosp.errors import InputError
from fosp.experiments import grids
from fosp.experiments.grids import ABLATIONS, GRIDS, SCALES, STANDARD, Grid, Row
from fosp.experiments.plan import expand, find, narrow, runs
from fosp.experiments.stages import Collect, Evaluated, Finetune, Mix, Pretrain, Reference, Train, WorldModel


def named(stages, kind):
    return [stage.name for stage in stages if isinstance(stage, kind)]


@pytest.mark.parametrize("scale", SCALES)
def test_all_experiments_together_name_no_two_different_stages_alike(scale):
    stages = expand(list(GRIDS.values()), scale)  # raises where they do
    names = [stage.name for stage in stages]
    assert len(set(names)) == len(names)
    for place, stage in enumerate(stages):
        assert set(stage.after) <= set(names[:place])


def test_every_environment_and_setting_exists():
    known = {info.id for info in list_envs()}
    for grid in GRIDS.values():
        for row in grid.rows:
            assert {row.env, row.target or row.env} <= known
            assert row.changes.keys() <= dict(flatten(preset("paper"))).keys()
    settings = dict(flatten(preset("paper")))
    assert all(settings[name] is True for changes in ABLATIONS.values() for name in changes)


def test_the_behaviours_of_every_dataset_can_act_in_its_environment():
    rows = [row for grid in GRIDS.values() for row in grid.rows]
    pairs = {(row.env, name) for row in rows for name, count in row.data.items() if count}
    for env_id in {env_id for env_id, _ in pairs}:
        env = make_env(env_id, observation="vector")
        env.reset(seed=0)
        for name in (name for other, name in pairs if other == env_id):
            behaviour = make_behaviour(name, 0)
            behaviour.reset(env)
            assert env.action_space.contains(behaviour.act(env))


def test_a_row_becomes_a_chain_from_recordings_to_fine_tuning():
    row = Row(group="g", label="l", env="SafetyCarGoal2-v0", data={"safe": 3, "unsafe": 0, "random": 1})
    stages = expand([Grid(name="n", title="t", shows="s", text="x", rows=(row,))], "paper", seeds=[7])
    assert [(type(stage), stage.name, stage.after) for stage in stages] == [
        (Collect, "datasets/CarGoal2/safe", ()),
        (Collect, "datasets/CarGoal2/random", ()),
        (Mix, "datasets/CarGoal2/safe3-random1", ("datasets/CarGoal2/safe", "datasets/CarGoal2/random")),
        (Pretrain, "runs/fosp-CarGoal2-image-safe3-random1-offline-seed7", ("datasets/CarGoal2/safe3-random1",)),
        (
            Finetune,
            "runs/fosp-CarGoal2-image-safe3-random1-online-seed7",
            ("runs/fosp-CarGoal2-image-safe3-random1-offline-seed7",),
        ),
    ]
    offline, online = (stage.config for stage in stages[-2:])
    assert (offline.env.id, offline.env.observation, offline.seed) == ("SafetyCarGoal2-v0", "image", 7)
    assert offline.training.evaluate_every == 12_500
    assert online.training.evaluate_every == 0
    assert online.training.evaluate_at == (0, 20_000, 50_000, 100_000, 200_000, 300_000, 400_000)
    assert dataclasses.replace(offline, training=online.training) == online


def test_a_longer_recording_serves_both_who_need_it():
    rows = tuple(Row(group="g", label=str(n), data={"safe": n}) for n in (2, 9, 4))
    stages = expand([Grid(name="n", title="t", shows="s", text="x", rows=rows)], "paper", seeds=[0])
    (recording,) = (stage for stage in stages if isinstance(stage, Collect))
    assert recording.episodes == 9
    assert [stage.counts for stage in stages if isinstance(stage, Mix)] == [{"safe": 2}, {"safe": 9}, {"safe": 4}]


def test_scales_set_budgets_seeds_and_the_size_of_the_data():
    for scale, seeds, safe, updates in (("test", 1, 2, 20), ("laptop", 1, 200, 6_000), ("paper", 5, 200, 125_000)):
        stages = expand(find(["table1"]), scale, only=["PointPush1"])
        pretrained = [stage for stage in stages if isinstance(stage, Pretrain) and stage.config.agent == "fosp"]
        assert len(pretrained) == seeds
        assert next(stage.episodes for stage in stages if isinstance(stage, Collect)) == safe
        assert [stage.updates for stage in pretrained] == [updates] * seeds
    # Section 7's counting: half a million frames are 62,500 updates.
    tuned = [stage for stage in stages if isinstance(stage, Finetune) and stage.config.agent == "fosp"]
    assert [stage.updates for stage in tuned] == [62_500] * 5


def test_pretraining_is_shared_where_only_fine_tuning_differs():
    stages = expand(find(["learning", "transfer", "table1", "table5"]), "laptop", only=["fosp-PointGoal1-image-"])
    assert "runs/fosp-PointGoal1-image-offline-seed0" in named(stages, Pretrain)
    sources = {stage.name: stage.after[0] for stage in stages if isinstance(stage, Finetune)}
    assert (
        sources["runs/fosp-PointGoal1-image-expansion=False-online-seed0"]
        == sources["runs/fosp-PointGoal1-image-online-seed0"]
        == sources["runs/fosp-PointGoal1-image-to-PointGoal2-online-seed0"]
    )
    ablated = next(stage for stage in stages if "reachability=False-online" in stage.name)
    assert not ablated.config.behaviour.reachability
    assert "reachability=False" in ablated.after[0]


def test_table1_from_vectors_shares_its_pretraining_with_learning_and_has_no_figures_of_the_paper():
    only = ["PointGoal1-vector"]
    table1, learning = (
        set(named(expand(find([name]), "laptop", only=only), Pretrain)) for name in ("table1", "learning")
    )
    assert "runs/fosp-PointGoal1-vector-model_batch_size=16-offline-seed0" in table1 & learning
    assert "runs/recovery_rl-PointGoal1-vector-model_batch_size=16-offline-seed0" in table1 - learning
    assert not any(row.reported for row in GRIDS["table1"].rows if row.observation == "vector")


def test_where_the_scale_says_so_all_agents_of_one_dataset_and_seed_stand_on_one_world_model():
    grid = Grid(
        name="n",
        title="t",
        shows="s",
        text="x",
        rows=(
            Row(group="g", label="a", changes={"behaviour.insample": False}),
            Row(group="g", label="b", agent="safe_dreamer"),
            Row(group="g", label="c", data={"safe": 3}),
            Row(group="g", label="d", observation="vector"),
            Row(group="g", label="e", changes={"world_model.units": 48}),
            Row(group="g", label="f", phases="online"),
        ),
    )
    stages = expand([grid], "laptop", seeds=[0, 1])
    models = {stage.name: stage for stage in stages if isinstance(stage, WorldModel)}
    shared = "models/PointGoal1-image-seed0"
    assert set(models) == {
        f"models/PointGoal1-{which}-seed{seed}"
        for which in ("image", "image-safe3", "vector", "image-units=48")
        for seed in (0, 1)
    }
    standing_on = {stage.name: stage.after[1] for stage in stages if isinstance(stage, Pretrain)}
    assert standing_on["runs/fosp-PointGoal1-image-insample=False-offline-seed0"] == shared
    assert standing_on["runs/safe_dreamer-PointGoal1-image-offline-seed0"] == shared
    assert standing_on["runs/safe_dreamer-PointGoal1-image-offline-seed1"] == "models/PointGoal1-image-seed1"
    assert standing_on["runs/fosp-PointGoal1-image-safe3-offline-seed0"] == "models/PointGoal1-image-safe3-seed0"
    assert models["models/PointGoal1-image-units=48-seed0"].config.world_model.units == 48
    training = models[shared].config.training
    assert (training.model_updates, training.offline_updates) == (SCALES["laptop"].model_updates, 0)
    assert not [stage for stage in expand([grid], "paper") if isinstance(stage, WorldModel)]


def test_settings_of_online_training_leave_pretraining_as_it_is(monkeypatch):
    row = GRIDS["table1"].rows[0]
    before = runs(row, "laptop", 0)
    scale = dataclasses.replace(SCALES["laptop"], online={"behaviour.cost_limit": 2.5, "training.online_frames": 3_000})
    monkeypatch.setitem(SCALES, "laptop", scale)
    after = runs(row, "laptop", 0)
    assert after.offline == before.offline
    assert after.online.config.behaviour.cost_limit == 2.5
    assert after.online.config.training.online_frames == 3_000


def test_direct_online_has_twice_the_budget_and_no_data():
    stages = expand(find(["table5"]), "paper", seeds=[0], only=["PointPush1-image-direct"])
    (direct,) = (stage for stage in stages if isinstance(stage, Train))
    assert direct.after == ()
    assert direct.config.training.online_frames == 1_000_000
    assert 500_000 in direct.config.training.evaluate_at
    assert not direct.config.behaviour.expansion


def test_on_policy_agents_have_the_papers_ten_million_frames_beside_half_a_million_of_planning():
    """An update after each round of eight episodes of a thousand frames."""
    stages = expand(find(["table2"]), "paper", seeds=[0], only=["PointGoal1"])
    made = {stage.config.agent: stage for stage in stages if isinstance(stage, Train)}
    assert {agent: stage.config.training.online_frames for agent, stage in made.items()} == {
        "safe_dreamer": 500_000, "cpo": 10_000_000, "ppo_lagrangian": 10_000_000,
    }  # fmt: skip
    assert made["safe_dreamer"].updates == 62_500
    assert made["cpo"].updates == made["ppo_lagrangian"].updates == 1_250


def test_transfer_changes_the_environment_of_fine_tuning_only():
    row = next(row for row in find(["transfer"])[0].rows if row.target == "SafetyPointFadingEasy1-v0")
    made = runs(row, "laptop", 0)
    assert made.offline.config.env.id == "SafetyPointGoal1-v0"
    assert made.online.config.env.id == "SafetyPointFadingEasy1-v0"


def test_references_are_evaluated_once_whatever_the_seeds():
    stages = expand(find(["learning"]), "paper", seeds=[3, 4])
    references = [stage for stage in stages if isinstance(stage, Reference)]
    assert [(stage.name, stage.config.agent) for stage in references] == [
        ("runs/random-PointGoal1", "behaviour:random"),
        ("runs/safe-PointGoal1", "behaviour:safe"),
        ("runs/unsafe-PointGoal1", "behaviour:unsafe"),
    ]


def test_an_agent_entered_among_the_methods_takes_the_place_of_its_row_from_the_paper(monkeypatch):
    def methods():
        return {row.label: row.phases for row in grids._compared("SafetyPointGoal1-v0")}

    assert methods()["DreamerV3"] == "offline to online"
    monkeypatch.delitem(grids.METHODS, "dreamer")
    assert methods()["DreamerV3"] == "reported"


def test_only_keeps_rows_by_the_names_of_their_runs():
    stages = expand(find(["learning"]), "laptop", only=["bc-PointGoal1-vector"])
    assert named(stages, Evaluated) == ["runs/bc-PointGoal1-vector-model_batch_size=16-offline-seed0"]
    assert len(named(stages, Collect)) == len(STANDARD)


def test_a_report_keeps_the_rows_that_a_run_with_the_same_words_has():
    grid = narrow(GRIDS["table1"], "laptop", [], ["PointPush1"])
    assert {row.env for row in grid.rows} == {"SafetyPointPush1-v0"}
    wanted = expand(find(["table1"]), "laptop", only=["PointPush1"])
    assert [stage.name for stage in expand([grid], "laptop")] == [stage.name for stage in wanted]


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        ([], "no experiment is named: choose of learning, table1"),
        (["table9"], "no experiment 'table9'"),
        (["race", "--only", "CarGoal7"], "no run of race has CarGoal7 in its name"),
        (["strange"], "experiment strange names 'sac', which is not installed: fosp, random, bc, "),
    ],
)
def test_bad_input_is_one_line_and_exit_code_2(words, complaint, monkeypatch, capsys, tmp_path):
    row = Row(group="g", label="l", agent="sac")
    monkeypatch.setitem(GRIDS, "strange", Grid(name="strange", title="t", shows="s", text="x", rows=(row,)))
    assert main(["experiment", "status", *words, "--out", str(tmp_path)]) == 2
    assert complaint in capsys.readouterr().err


def test_an_unknown_scale_is_named():
    with pytest.raises(InputError, match="no scale 'huge'"):
        expand(find(["race"]), "huge")


def test_safereach_is_fine_tuned_by_forty_trajectories_on_unseen_tasks():
    stages = expand(find(["safereach"]), "laptop")
    tuned = [stage for stage in stages if isinstance(stage, Finetune) and stage.config.agent == "fosp"]
    assert [stage.config.env.id for stage in tuned] == [f"SafeReachUnseen{i}-v0" for i in (1, 2, 3)]
    for stage in tuned:
        config = stage.config
        assert (config.env.action_repeat, config.env.time_limit, config.env.observation) == (1, 80, "both")
        assert config.training.online_frames == 40 * 80
        assert config.training.evaluate_at == (0, 40 * 80 // 2)
        assert stage.updates == 40 * config.training.updates_per_episode == 40 * 30
        assert (config.world_model.learning_rate, config.training.finetuning_learning_rate) == (1e-4, 0.0)
        assert stage.after == tuned[0].after  # one pretrained agent for all
    learned = [stage for stage in stages if isinstance(stage, Pretrain | WorldModel)]
    assert {stage.config.world_model.learning_rate for stage in learned} == {1e-3}  # the lower one is for online only
    clones = [stage for stage in stages if isinstance(stage, Finetune) and stage.config.agent == "bc"]
    assert [(stage.config.training.online_frames, stage.updates) for stage in clones] == [(0, 0)] * 3
    recorded = {stage.behaviour: stage.episodes for stage in stages if isinstance(stage, Collect)}
    assert recorded == {"safe-success": 120, "safe-failure": 30, "unsafe-success": 40, "unsafe-failure": 10}


def test_a_shared_model_may_learn_from_more_than_its_agent():
    """Behaviour cloning on SafeReach sees safe successes, on the world model of all episodes."""
    stages = {stage.name: stage for stage in expand(find(["safereach"]), "laptop", seeds=[0])}
    (model,) = named(stages.values(), WorldModel)
    (dataset,) = stages[model].after
    assert stages[dataset].counts == grids.TELEOPERATED
    (cloning,) = (stage for stage in stages.values() if isinstance(stage, Pretrain) and stage.config.agent == "bc")
    assert cloning.after[1] == model
    assert stages[cloning.after[0]].counts == {"safe-success": 120}


def test_a_shared_model_may_be_trained_otherwise_than_its_agents():
    stages = {stage.name: stage for stage in expand(find(["learning"]), "laptop", seeds=[0])}
    models = {name: stages[name].config.training.batch_size for name in named(stages.values(), WorldModel)}
    assert sorted(models.values()) == [8, 16]
    agents = [stage for stage in stages.values() if isinstance(stage, Pretrain | Finetune)]
    assert {stage.config.training.batch_size for stage in agents} == {8}
    of_vectors = [stage for stage in agents if stage.config.env.observation == "vector"]
    assert all("model_batch_size=16" in stage.name for stage in of_vectors)  # none is taken for one on the usual model
    # Of each observation four are pretrained, whole and without three components; two are tuned in several ways.
    sources = [stage.after[0] for stage in agents if isinstance(stage, Finetune)]
    assert sorted(sources.count(source) for source in set(sources)) == [1] * 4 + [2] * 2 + [4] * 2


def test_a_longer_fine_tuning_is_not_taken_for_the_usual_one():
    names = [
        stage.name
        for grid in ("table1", "learning")
        for stage in expand(find([grid]), "laptop", only=["fosp-PointGoal1-vector-model_batch_size=16-online"])
        if isinstance(stage, Finetune)
    ]
    assert names == [
        "runs/fosp-PointGoal1-vector-model_batch_size=16-online-seed0",
        "runs/fosp-PointGoal1-vector-model_batch_size=16-online-frames=2-seed0",
    ]
