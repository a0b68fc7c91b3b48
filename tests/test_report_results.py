import dataclasses
import json

import numpy as np
import pytest

from fake_runs import evaluation, fake_run
from fosp.config import load_config, save_config
from fosp.errors import InputError
from fosp.report.results import evaluation_curves, final_results
from fosp.report.runs import load_run


def rewrite(run, lines):
    (run / "evaluations.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))


def test_the_table_takes_the_last_evaluation_and_puts_yardsticks_first(tmp_path):
    runs = [load_run(fake_run(tmp_path / "a", pictures=False)), load_run(fake_run(tmp_path / "b", agent="bc"))]
    labels = [result.label for result in final_results(runs) if result.mode == "mean"]
    assert labels[0] == "Random actions"
    assert labels[-1] == "FOSP, after offline training"
    assert labels.index("Dataset behaviour: safe") < labels.index("Behaviour cloning")
    last = [item for item in runs[0].evaluations if item.agent == "fosp" and item.mode == "mean"][-1]
    ours = next(result for result in final_results(runs) if result.agent == "fosp" and result.mode == "mean")
    assert ours.returns == last.returns


def test_a_row_says_where_a_training_was_stopped(tmp_path):
    run = fake_run(tmp_path / "a", pictures=False)
    config = load_config(run / "config.yaml")
    training = dataclasses.replace(config.training, model_updates=0, offline_updates=20_000)
    save_config(dataclasses.replace(config, training=training), run / "config.yaml")
    labels = [result.label for result in final_results([load_run(run)]) if result.agent == "fosp"]
    assert labels == ["FOSP, after offline training, stopped at 25%",
                      "FOSP, after offline training, sampled actions, stopped at 25%"][: len(labels)]  # fmt: skip


def test_seeds_are_pooled_and_a_shared_yardstick_counts_once(tmp_path):
    runs = [load_run(fake_run(tmp_path / str(seed), seed=seed, pictures=False)) for seed in range(3)]
    results = {(result.agent, result.mode): result for result in final_results(runs)}
    assert len(results["fosp", "mean"].returns) == 30
    assert results["fosp", "mean"].runs == 3
    assert len(results["random", "mean"].returns) == 10


def test_other_settings_are_another_row_named_after_its_run(tmp_path):
    runs = [fake_run(tmp_path / name, pictures=False) for name in ("base", "ablated")]
    config = load_config(runs[1] / "config.yaml")
    behaviour = dataclasses.replace(config.behaviour, reachability=False)
    save_config(dataclasses.replace(config, behaviour=behaviour), runs[1] / "config.yaml")
    labels = [result.label for result in final_results([load_run(run) for run in runs])]
    assert "FOSP, after offline training (base)" in labels
    assert "FOSP, after offline training (ablated)" in labels


def test_curves_count_frames_online_and_updates_offline(tmp_path):
    runs = [load_run(fake_run(tmp_path / "a")), load_run(fake_run(tmp_path / "b", phase="online"))]
    assert evaluation_curves(runs, "offline")[0].x == (0, 1000, 2000, 3000, 4000, 5000)
    assert evaluation_curves(runs, "online")[0].x == (0, 10_000, 20_000, 30_000, 40_000, 50_000)


def test_a_second_longer_evaluation_at_one_point_replaces_the_first(tmp_path):
    run = fake_run(tmp_path / "a", pictures=False, metrics=False)
    rng = np.random.default_rng(0)
    short, long = ({"returns": [x] * n, "costs": [0.0] * n} for x, n in ((1.0, 2), (3.0, 10)))
    lines = [evaluation("fosp", "offline", update, 0, 0, 0, rng) | values for update, values in
             ((5, short), (10, short), (10, long))]  # fmt: skip
    rewrite(run, lines)
    (curve,) = evaluation_curves([load_run(run)], "offline")
    assert [point.mean for point in curve.reward] == [1.0, 3.0]
    assert [point.n for point in curve.reward] == [2, 10]


def test_cost_free_share_and_regret(tmp_path):
    run = fake_run(tmp_path / "a", pictures=False)
    line = evaluation("fosp", "online", 1, 4, 1, 1, np.random.default_rng(0), costs=[0, 0, 3, 1], returns=[1, 2, 3, 4])
    rewrite(run, [line | {"cost_regret": 0.25}])
    (result,) = final_results([load_run(run)])
    assert result.safe_share == 0.5
    assert result.cost_regret.mean == 0.25
    assert result.cost.mean == 1.0


def test_a_line_cut_short_is_left_out_but_a_broken_one_is_an_error(tmp_path):
    run = fake_run(tmp_path / "a", pictures=False)
    whole = (run / "metrics.jsonl").read_text()
    (run / "metrics.jsonl").write_text(whole + '{"phase": "off')
    assert len(load_run(run).metrics) == 100
    (run / "metrics.jsonl").write_text('{"phase": "off\n' + whole)
    with pytest.raises(InputError, match=r"metrics\.jsonl, line 1"):
        load_run(run)


@pytest.mark.parametrize(
    ("change", "complaint"), [({"returns": []}, "pair up"), ({"costs": [1.0]}, "pair up"), ({"agent": None}, "agent")]
)
def test_bad_evaluations_are_named(tmp_path, change, complaint):
    run = fake_run(tmp_path / "a", pictures=False)
    line = evaluation("fosp", "offline", 1, 0, 1, 1, np.random.default_rng(0)) | change
    rewrite(run, [{name: value for name, value in line.items() if value is not None or name == "cost_regret"}])
    with pytest.raises(InputError, match=complaint):
        load_run(run)
