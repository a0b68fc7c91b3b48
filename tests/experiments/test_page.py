"""Reports of runs that were made up, so that every figure on the page is known."""

from __future__ import annotations

import json
import re

import pytest
from made_up import line, make_up
from matplotlib.figure import Figure

from fosp.cli import main
from fosp.config import change, save_config
from fosp.errors import InputError
from fosp.experiments import cluster, estimates, grids
from fosp.experiments.cluster import do_all
from fosp.experiments.grids import GRIDS
from fosp.experiments.outcomes import gather
from fosp.experiments.page import write_page
from fosp.experiments.plan import expand, runs
from fosp.experiments.stages import Collect, Evaluated, Online, Pretrain, Reference
from fosp.training.alone import alone_in
from fosp.training.progress import SilentProgress

SEEDS = (0, 1, 2)
GOAL1 = "SafetyPointGoal1-v0"


def table(page: str, group: str, signal: str) -> dict[str, list[str]]:
    """Cells of one table by the label of their line; the heading under its signal."""
    section = page.partition(f"## {group}\n")[2].partition("\n## ")[0]
    block = next(part for part in section.strip().split("\n\n") if part.startswith(f"| {signal} |"))
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in block.splitlines()]
    return {row[0]: row[1:] for row in rows if row[0] != "---"}


def page_of(name, root, seeds=SEEDS, scale="test"):
    return write_page(GRIDS[name], scale, seeds, root, root / "page.md").read_text()


@pytest.fixture(autouse=True)
def _quick(monkeypatch):
    """Intervals are tested elsewhere."""
    monkeypatch.setattr(estimates, "RESAMPLES", 200)


@pytest.fixture(scope="module")
def compared(tmp_path_factory):
    """Table 1 with PointGoal1 finished by FOSP (rewards 10, 11, 12 a seed), and by behaviour cloning for two seeds."""
    root = tmp_path_factory.mktemp("table1")
    for row in GRIDS["table1"].rows:
        for seed in SEEDS:
            made = runs(row, "test", seed)
            if row.observation == "vector":
                continue
            if row.env == GOAL1 and row.agent == "fosp":
                make_up(root, made.offline, 10 + seed, 4)
                make_up(root, made.online, 20 + seed, 1)
            elif row.env == GOAL1 and row.agent == "bc" and seed < 2:
                make_up(root, made.offline, 5 + seed, 30)
    return root


def test_cells_hold_the_interquartile_mean_of_the_seeds_and_the_papers_figure(compared):
    page = page_of("table1", compared)
    reward, cost = table(page, "PointGoal1", "Reward"), table(page, "PointGoal1", "Cost")
    assert reward["Reward"] == ["before online training", "1,000 frames (paper: 500,000)"]
    assert reward["FOSP"] == [
        "11.0 [10.0, 12.0]<br><small>paper 18.7</small>",
        "21.0 [20.0, 22.0]<br><small>paper 21.5</small>",
    ]
    assert cost["FOSP"] == [
        "4.00 [4.00, 4.00]<br><small>paper 1.40</small>",
        "1.00 [1.00, 1.00]<br><small>paper 0.20</small>",
        "0.25 [0.25, 0.25]",
    ]
    # An agent without online phase has no figure there; one that has not been run, the paper's alone.
    assert reward["Behaviour cloning"] == ["5.50 [5.00, 6.00] (2 of 3 seeds)", ""]
    assert reward["DreamerV3"] == ["missing<br><small>paper 17.4</small>", "missing<br><small>paper 25.8</small>"]


def test_what_was_not_run_is_missing(compared):
    page = page_of("table1", compared)
    assert table(page, "CarGoal2", "Reward")["FOSP"][0] == "missing<br><small>paper 10.1</small>"
    assert table(page, "CarGoal2", "Cost")["FOSP"][2] == "missing"
    planned = {stage.name for stage in expand([GRIDS["table1"]], "test", SEEDS) if isinstance(stage, Evaluated)}
    assert f"| Finished | 8 of {len(planned)} runs, 4.0 hours |" in page
    pictures = re.findall(r"!\[.*?\]\((.*?)\)", page)
    assert pictures == ["page/pointgoal1.svg"]
    assert (compared / "page" / "pointgoal1.svg").read_text().startswith("<?xml")


def test_machine_code_date_seeds_and_command_are_told(compared):
    page = page_of("table1", compared)
    for fact in ("Example CPU, 2 cores, 8 GiB", "commit 0123456789ab", "2026-11-23", "| 0; 1; 2 |", "--seeds 0 1 2`"):
        assert fact in page


def test_an_unfinished_run_is_drawn_but_not_tabled(tmp_path):
    made = runs(GRIDS["race"].rows[0], "test", 0)
    make_up(tmp_path, made.offline, 10, 4)
    make_up(tmp_path, made.online, 20, 1, share=0.5)
    (ours, *_) = gather(GRIDS["race"], "test", (0,), tmp_path)
    assert ours.cell(1).found == ()
    assert ours.curve("online").x == (0, 100, 200, 300, 400, 500)
    assert [points[0][0] for points in ours.curve("online").returns] == [0, 2, 4, 6, 8, 10]
    assert ours.curve("offline").x == tuple(range(1001, 1011))
    assert table(page_of("race", tmp_path, (0,)), "PointRace2", "Reward")["FOSP"] == ["10.0 [10.0, 10.0]", "missing"]


def test_curves_stop_where_a_seed_has_no_more_points(tmp_path):
    for seed, share in ((0, 1.0), (1, 0.3)):
        make_up(tmp_path, runs(GRIDS["race"].rows[1], "test", seed).offline, 10, 4, share=share)
    outcome = gather(GRIDS["race"], "test", (0, 1), tmp_path)[1]
    assert outcome.curve("offline").x == (1001, 1002, 1003)
    assert outcome.curve("online") is None


def test_fine_tuning_and_direct_training_stand_side_by_side_at_the_papers_marks(tmp_path):
    tuned, direct = (runs(row, "paper", 0) for row in GRIDS["table5"].rows[:2])
    make_up(tmp_path, tuned.offline, 10, 4)
    make_up(tmp_path, tuned.online, 20, 1)
    make_up(tmp_path, direct.online, 30, 2)
    reward = table(page_of("table5", tmp_path, (0,), "paper"), "PointGoal1", "Reward")
    frames = ("20,000", "50,000", "100,000", "300,000", "500,000", "1,000,000")
    assert reward["Reward"] == ["before online training", *(f"{number} frames" for number in frames)]
    ours = {label: [cell.split(" ")[0] for cell in cells] for label, cells in reward.items()}
    # 20,000 frames are first reached by the evaluation at 50,000, a tenth of the budget.
    assert ours["Fine-tuned"] == ["10.0", "2.00", "2.00", "4.00", "12.0", "20.0", ""]
    assert ours["Direct online"] == ["", "3.00", "3.00", "3.00", "9.00", "15.0", "30.0"]
    assert [re.search(r"paper ([\d.]+)", cell)[1] for cell in reward["Direct online"][-2:]] == ["14.7", "18.6"]


def test_transfer_begins_with_the_agent_in_the_new_task(tmp_path):
    made = runs(GRIDS["transfer"].rows[0], "test", 0)
    make_up(tmp_path, made.offline, 10, 4)
    make_up(tmp_path, made.online, 20, 1)
    reward = table(page_of("transfer", tmp_path, (0,)), "PointGoal1 to PointGoal2", "Reward")
    assert [cell.split(" ")[0] for cell in reward["FOSP"]] == ["0.00", "20.0"]


def test_references_stand_in_the_table_and_in_both_groups(tmp_path):
    references = [stage for stage in expand([GRIDS["learning"]], "test") if isinstance(stage, Reference)]
    for stage, reward in zip(references, (1.0, 18.0, 23.0), strict=True):
        make_up(tmp_path, stage, reward, 3)
    page = page_of("learning", tmp_path, ())
    for group in ("From pictures", "From vectors"):
        assert table(page, group, "Reward")["Behaviour safe (privileged state)"] == ["18.0 [18.0, 18.0]", "", ""]


def test_datasets_are_drawn_side_by_side_before_and_after_fine_tuning(tmp_path, monkeypatch):
    """Figure 6: five ratios of safe to unsafe episodes, of which the last is not fine-tuned yet."""
    rows = [row for row in GRIDS["ablation-data"].rows if row.group == "Safe and unsafe episodes"]
    for number, row in enumerate(rows):
        made = runs(row, "test", 0)
        make_up(tmp_path, made.offline, 10 + number, 40 - number)
        if number < 4:
            make_up(tmp_path, made.online, 20 + number, 4 - number)
    drawn = {}
    monkeypatch.setattr(Figure, "savefig", lambda figure, path, **_: drawn.update({path.name: figure}))
    page = page_of("ablation-data", tmp_path, (0,))
    pictures = re.findall(r"!\[.*?\]\((.*?)\)", page)
    assert pictures == ["page/safe-and-unsafe-episodes-compared.svg", "page/safe-and-unsafe-episodes.svg"]
    reward, cost = drawn["safe-and-unsafe-episodes-compared.svg"].axes
    lines = {axes: {line.get_label(): line.get_xydata().T.tolist() for line in axes.lines} for axes in (reward, cost)}
    assert lines[reward] == {"offline": [[0, 1, 2, 3, 4], [10, 11, 12, 13, 14]],
                             "fine-tuned": [[0, 1, 2, 3], [20, 21, 22, 23]]}  # fmt: skip
    assert lines[cost] == {
        "offline": [[0, 1, 2, 3, 4], [40, 39, 38, 37, 36]],
        "fine-tuned": [[0, 1, 2, 3], [4, 3, 2, 1]],
    }
    assert [label.get_text() for label in cost.get_xticklabels()] == [row.label for row in rows]
    page = page_of("ablation-modules", tmp_path, (0,))
    assert "-compared" not in page


def test_probability_of_improvement_is_over_what_both_have_finished(tmp_path):
    """FOSP earns 20 and 21. One ablation earns 10 and 11 (always less), one 21 and 20 (half), one has one seed only."""
    rows = [row for row in GRIDS["ablation-modules"].rows if row.observation == "image"]
    for row, rewards in zip(rows, ((20, 21), (10, 11), (21, 20), (5,), ()), strict=True):
        for seed, reward in enumerate(rewards):
            made = runs(row, "test", seed)
            if not (tmp_path / made.offline.name).exists():
                make_up(tmp_path, made.offline, reward, 4)
            make_up(tmp_path, made.online, reward, 1)
    page = page_of("ablation-modules", tmp_path, (0, 1))
    section = page.partition("## Probability of improvement\n")[2]
    assert rows[1].label + " | 1.00 [1.00, 1.00] | 0.50 [0.50, 0.50] | PointGoal2 |" in section
    assert rows[2].label + " | 0.50 [" in section
    assert rows[3].label not in section
    assert "All tasks together" not in page
    assert "Probability" not in page_of("ablation-modules", tmp_path, (0,))


def test_all_tasks_together_are_shares_of_the_papers_reward(tmp_path):
    """FOSP earns half of the paper's reward in every task and seed."""
    for row in GRIDS["table1"].rows:
        if row.agent == "fosp" and row.reported:
            for seed in (0, 1):
                made = runs(row, "test", seed)
                make_up(tmp_path, made.offline, 1, 4)
                make_up(tmp_path, made.online, row.reported[1][0] / 2, 3)
    section = page_of("table1", tmp_path, (0, 1)).partition("## All tasks together\n")[2]
    assert "| FOSP | 0.50 [0.50, 0.50] | 3.00 [3.00, 3.00] |" in section
    assert "Behaviour cloning" not in section


def test_status_tells_shares(tmp_path, capsys):
    stages = [stage for stage in expand([GRIDS["race"]], "test") if isinstance(stage, Evaluated)]
    make_up(tmp_path / "test", stages[0], 10, 4)
    make_up(tmp_path / "test", stages[1], 10, 4, share=0.3)
    assert main(["experiment", "status", "race", "--scale", "test", "--out", str(tmp_path)]) == 0
    shown = capsys.readouterr().out
    everything = expand([GRIDS["race"]], "test")
    assert f" done  {stages[0].name}" in shown
    assert f"  30%  {stages[1].name}" in shown
    assert f"1 of {len(everything)} done" in shown


def test_a_run_is_done_only_with_its_last_long_evaluation(tmp_path):
    stage = next(stage for stage in expand([GRIDS["race"]], "laptop") if isinstance(stage, Pretrain))
    run = make_up(tmp_path, stage, 10, 4)
    assert stage.share_done(tmp_path) == 1
    *shorter, last = (run / "evaluations.jsonl").read_text().splitlines(keepends=True)
    for other in ("", last.replace('"seeds": [1000000', '"seeds": [1100000'), last.replace("Race2", "Race1")):
        (run / "evaluations.jsonl").write_text("".join([*shorter, other]))
        assert stage.share_done(tmp_path) == 0.99


def test_what_is_evaluated_beside_an_experiment_is_not_taken_for_its_own(tmp_path):
    """A hundred tests on other layouts, as the docs have them made."""
    made = runs(GRIDS["race"].rows[0], "test", 0)
    run = make_up(tmp_path, made.offline, 10, 4)
    more = line(made.offline, 1010, 0, 77.0, 66.0, 100)
    more["seeds"] = [*range(1_100_000, 1_100_100)]
    with (run / "evaluations.jsonl").open("a") as file:
        file.write(json.dumps(more) + "\n")
    make_up(tmp_path, made.online, 20, 1)
    reward = table(page_of("race", tmp_path, (0,)), "PointRace2", "Reward")
    assert [cell.split(" ")[0] for cell in reward["FOSP"]] == ["10.0", "20.0"]


def test_a_run_of_other_settings_is_refused_and_named(tmp_path):
    stage = next(stage for stage in expand([GRIDS["race"]], "test") if isinstance(stage, Online))
    run = make_up(tmp_path, stage, 10, 4)
    save_config(change(stage.config, {"behaviour.gamma": 0.5}), run / "config.yaml")
    with pytest.raises(InputError, match=r"was made with behaviour\.gamma = 0\.5, not 0\.98"):
        stage.share_done(tmp_path)
    save_config(change(stage.config, {"device": "cuda"}), run / "config.yaml")
    assert stage.share_done(tmp_path) == 1


def test_finished_stages_never_reach_ray(tmp_path, monkeypatch):
    def unwanted(*args):
        raise AssertionError("Ray was started")

    monkeypatch.setattr(cluster, "_ray", unwanted)
    stages = [stage for stage in expand([GRIDS["race"]], "test") if isinstance(stage, Evaluated)]
    for stage in stages:
        make_up(tmp_path, stage, 10, 4)
    assert do_all(stages, tmp_path, SilentProgress()) == {}
    with pytest.raises(AssertionError):
        do_all([*expand([GRIDS["race"]], "test")], tmp_path, SilentProgress())


def test_without_ray_or_beside_another_run_there_is_one_clear_sentence(tmp_path, monkeypatch):
    stages = [stage for stage in expand([GRIDS["race"]], "test") if isinstance(stage, Collect)]
    with alone_in(tmp_path, "by a test"), pytest.raises(InputError, match="already running in"):
        do_all(stages, tmp_path, SilentProgress())

    def absent(name):
        raise ModuleNotFoundError(name)

    monkeypatch.setattr(cluster, "import_module", absent)
    with pytest.raises(InputError, match=r"pip install 'fosp\[experiments\]'"):
        do_all(stages, tmp_path, SilentProgress())


def test_a_training_takes_a_gpu_where_there_is_one_and_no_more_than_there_is():
    machine = {"CPU": 2.0}
    assert cluster._gpu_share(machine, 1, None, True) == 0
    assert cluster._gpu_share(machine | {"GPU": 4.0}, 1, None, True) == 1
    assert cluster._gpu_share(machine | {"GPU": 4.0}, 1, 0.25, True) == 0.25
    assert cluster._gpu_share(machine, 8, 1, False) == 1  # a cluster may grow
    with pytest.raises(InputError, match="4 CPUs and 0 GPUs, but this machine has 2 and 0"):
        cluster._gpu_share(machine, 4, None, True)
    with pytest.raises(InputError, match="1 CPUs and 1 GPUs"):
        cluster._gpu_share(machine, 1, 1, True)


def test_list_tells_what_there_is(capsys):
    assert main(["experiment", "list", "--scale", "paper"]) == 0
    shown = capsys.readouterr().out
    assert all(name in shown for name in grids.GRIDS)
    assert "14,687,500" in shown  # learning: 50 pretrainings, 55 fine-tunings of 125,000 updates and 25 of half as many


def test_safereach_counts_tests_with_a_success_and_with_a_violation(tmp_path):
    """3 tests of each of 3 seeds, 2 at the end: all succeed but the first; those of one seed have a cost."""
    unseen = next(row for row in GRIDS["safereach"].rows if (row.agent, row.target) == ("fosp", "SafeReachUnseen1-v0"))
    for seed in SEEDS:
        make_up(tmp_path, runs(unseen, "test", seed).online, 30, 5 if seed == 0 else 0)
    page = page_of("safereach", tmp_path)
    success, violation = (table(page, "SafeReachUnseen1", signal) for signal in ("Success", "Violation"))
    assert success["Success"] == ["before", "after 20 trajectories", "after 40 trajectories"]
    # Wilson's intervals of 0 of 9, 9 of 9, 6 of 6 and 2 of 6, by scipy.stats.binomtest.
    assert success["FOSP"] == [
        "0 % [0, 30]<br><small>paper 40.0 %</small>",
        "100 % [70, 100]<br><small>paper 45.0 %</small>",
        "100 % [61, 100]<br><small>paper 65.0 %</small>",
    ]
    assert violation["FOSP"][2] == "33 % [10, 70]<br><small>paper 20.0 %</small>"
    assert table(page, "SafeReachUnseen1", "Reward")["FOSP"][2] == "30.0 [30.0, 30.0]"
    assert table(page, "SafeReach", "Success")["FOSP"] == ["missing"]
