import base64
import dataclasses
import json
import os
import re
from html.parser import HTMLParser

import imageio.v2 as imageio
import numpy as np
import pytest

from data_toys import make_episode, write
from fake_runs import fake_run, fake_summary
from fosp.errors import InputError
from fosp.report.charts import spans
from fosp.report.metrics import merged
from fosp.report.page import write_report
from fosp.report.pictures import difference, mp4, resized, side_by_side, strip, views
from fosp.report.runs import load_run, load_summary, summarise_datasets
from fosp.report.style import ACCENT, figure, to_svg

VOID = {"meta", "img", "br", "link", "input"}


class Checker(HTMLParser):
    """Collects ids, references and unbalanced tags."""

    def __init__(self):
        super().__init__()
        self.stack, self.ids, self.references, self.problems = [], [], [], []

    def handle_starttag(self, tag, attributes):
        values = dict(attributes)
        self.ids += [values["id"]] if "id" in values else []
        self.references += [values[name] for name in ("href", "src", "xlink:href") if name in values]
        if tag not in VOID:
            self.stack.append(tag)

    def handle_endtag(self, tag):
        if not self.stack or self.stack.pop() != tag:
            self.problems.append(tag)


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    root = tmp_path_factory.mktemp("runs")
    runs = [
        fake_run(root / "bc", agent="bc", pictures=False),
        fake_run(root / "offline"),
        fake_run(root / "online", phase="online"),
    ]
    write(root / "data", make_episode(0))
    summary = runs[0] / "dataset.json"
    dataclasses.replace(load_summary(summary), paths=(str(root / "data"),)).save(summary)
    return write_report(runs, root / "report.html").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def parsed(page):
    checker = Checker()
    checker.feed(page)
    return checker


def test_the_page_is_well_formed(parsed):
    assert parsed.problems == []
    assert parsed.stack == []


def test_the_page_loads_nothing_from_elsewhere(page, parsed):
    assert all(reference.startswith(("#", "data:")) for reference in parsed.references)
    without_data = re.sub(r"data:[\w/]+;base64,[\w+/=]+", "", page)
    assert "://" not in without_data
    assert "@import" not in without_data
    assert not re.search(r"url\((?!#)", without_data)


def test_links_and_markers_point_at_something_unambiguous(parsed):
    assert len(parsed.ids) == len(set(parsed.ids))
    assert {reference[1:] for reference in parsed.references if reference.startswith("#")} <= set(parsed.ids)


def test_the_page_shows_every_part(page):
    texts = (
        "FOSP, after fine-tuning",
        "Behaviour cloning",
        "Dataset behaviour: unsafe",
        "unsafe (20)",
        "Predicted probability",
        "difference",
        "Example CPU",
        "behaviour.horizon",
        "data:video/mp4",
    )
    for text in texts:
        assert text in page
    assert 'class="absent"' not in page


def test_charts_follow_the_theme(page):
    assert not re.search(r"#0[1-6]0[1-6]0[1-6]\b", page)
    assert "prefers-color-scheme: dark" in page


def test_missing_parts_are_named_in_one_line_each(tmp_path):
    run = fake_run(tmp_path / "run", pictures=False, metrics=False)
    for name in ("evaluations.jsonl", "dataset.json", "machine.json"):
        (run / name).unlink()
    page = write_report([run], tmp_path / "report.html").read_text(encoding="utf-8")
    assert page.count('class="absent"') == 7
    assert "<svg" not in page


def test_a_dataset_given_by_hand_wins(tmp_path):
    run = fake_run(tmp_path / "run", pictures=False, metrics=False)
    summary = fake_summary(np.random.default_rng(0), episodes=30)
    assert "unsafe (10)" in write_report([run], tmp_path / "report.html", dataset=summary).read_text(encoding="utf-8")


def test_the_contact_sheet_shows_the_median_episode_of_each_behaviour(tmp_path):
    episodes = [make_episode(i, behaviour=("safe", "unsafe")[i % 2]) for i in range(6)]
    write(tmp_path / "data", *episodes)
    run = fake_run(tmp_path / "run", pictures=False, metrics=False)
    summary = summarise_datasets([tmp_path / "data"])
    summary.save(run / "dataset.json")  # as training leaves it: the page finds the data by itself
    page = write_report([run], tmp_path / "report.html").read_text(encoding="utf-8")
    headings = re.findall(r"<h3>(.*?): return (\S+), cost (\S+)</h3>", page)
    assert [name for name, _, _ in headings] == ["safe", "unsafe"]
    for name, total, _ in headings:
        returns = sorted(e.total_reward for e in episodes if e.behaviour == name)
        assert float(total) == pytest.approx(returns[1], rel=0.01)
    sheet = page[page.index("<h3>safe") : page.index("One episode of each behaviour")]
    marks, shown = re.findall(r"<i( class=cost)?>(\d+)</i>", sheet), 16
    chosen = [
        next(e for e in episodes if e.behaviour == name and e.total_reward == pytest.approx(float(total), rel=0.01))
        for name, total, _ in headings
    ]
    assert len(marks) == 2 * shown
    for number, (mark, step) in enumerate(marks):
        assert bool(mark) == bool(chosen[number // shown].costs[int(step)] > 0)
    assert ".columns i.cost" in page


def test_damaged_data_do_not_keep_the_page_from_being_written(tmp_path):
    write(tmp_path / "data", make_episode(0))
    run = fake_run(tmp_path / "run", pictures=False, metrics=False)
    summarise_datasets([tmp_path / "data"]).save(run / "dataset.json")
    for file in (tmp_path / "data").rglob("*.hdf5"):
        os.truncate(file, 100)
    page = write_report([run], tmp_path / "report.html").read_text(encoding="utf-8")
    assert re.search(r"No pictures of the data: .*is truncated or damaged", page)


def test_without_the_data_the_page_says_how_to_show_them(tmp_path):
    write(tmp_path / "data", make_episode(0))
    run = fake_run(tmp_path / "run", pictures=False, metrics=False)
    summarise_datasets([tmp_path / "data"]).save(run / "dataset.json")
    (tmp_path / "data").rename(tmp_path / "elsewhere")
    page = write_report([run], tmp_path / "report.html").read_text(encoding="utf-8")
    assert "No pictures of the data" in page
    assert "safe (1)" in page


def test_names_are_escaped(tmp_path):
    run = fake_run(tmp_path / "<b>&run", pictures=False, metrics=False)
    assert "<b>&run" not in write_report([run], tmp_path / "report.html").read_text(encoding="utf-8")


def test_bad_directories_and_artifacts_are_named(tmp_path):
    with pytest.raises(InputError, match="not a run directory"):
        write_report([tmp_path], tmp_path / "report.html")
    run = fake_run(tmp_path / "run", metrics=False)
    film = run / "artifacts" / "film.npz"
    for damaged in (b"nonsense", film.read_bytes()[:4000]):
        film.write_bytes(damaged)
        with pytest.raises(InputError, match=r"film\.npz"):
            write_report([run], tmp_path / "report.html")


def test_svg_keeps_its_numbers_and_carries_its_own_ids():
    with figure(300, 200) as chart:
        chart.subplots().plot([0, 1], [0, 1], "o", color=ACCENT)
        chart.text(0.5, 0.5, "3.14159")
        one, two = to_svg(chart, "one", "a < b"), to_svg(chart, "two", "")
    assert "var(--accent)" in one
    assert ">3.14159<" in one
    assert 'aria-label="a &lt; b"' in one
    assert 'viewBox="0 0 300 200"' in one
    assert not set(re.findall(r'id="([^"]+)"', one)) & set(re.findall(r'id="([^"]+)"', two))


def test_pictures_lie_where_they_should():
    frames = np.arange(2 * 4 * 4 * 6, dtype=np.uint8).reshape(2, 4, 4, 6)
    (_, front), (_, rear) = views(frames)
    assert np.array_equal(rear, frames[..., 3:])
    image = np.asarray(strip(front, gap=1))
    assert image.shape == (4, 9, 4)
    assert np.array_equal(image[:, 5:, :3], front[1])
    assert (image[:, 4] == 0).all()
    same = difference(front, front)
    assert (same == 128).all()
    assert difference(np.uint8([0]), np.uint8([255])) == 255
    assert difference(np.uint8([255]), np.uint8([0])) == 0


def test_the_video_has_every_frame(tmp_path):
    frames = np.zeros((12, 33, 64, 3), np.uint8)
    frames[6:] = 255
    (tmp_path / "film.mp4").write_bytes(base64.b64decode(mp4(frames, fps=25).partition(",")[2]))
    read = imageio.mimread(tmp_path / "film.mp4")
    assert len(read) == 12
    assert read[0].shape == (32, 64, 3)
    assert read[2].mean() < 10
    assert read[9].mean() > 245


def test_cameras_side_by_side_and_pictures_made_smaller():
    seen = np.zeros((2, 8, 8, 6), np.uint8)
    seen[..., 3:] = 200
    frames = side_by_side(seen, scale=2)
    assert frames.shape == (2, 16, 32, 3)
    assert (frames[:, :, :16] == 0).all()
    assert (frames[:, :, 16:] == 200).all()
    small = resized(frames, 4)
    assert small.shape == (2, 4, 8, 3)
    assert (small[:, :, 4:] == 200).all()


def test_an_episode_without_pictures_or_estimates_is_still_shown(tmp_path):
    run = fake_run(tmp_path / "run", metrics=False)
    scene = np.zeros((20, 32, 32, 3), np.uint8)
    np.savez(run / "artifacts" / "film.npz", scene=scene, cost=np.zeros(20), reward=np.ones(20))
    page = write_report([run], tmp_path / "report.html").read_text(encoding="utf-8")
    assert "data:video/mp4" in page
    assert "return 20.0, cost 0.00" in page
    assert "Predicted probability" not in page


def test_metrics_measured_once_are_a_table_and_missing_values_are_no_points(tmp_path):
    run = fake_run(tmp_path / "run", pictures=False, metrics=False)
    rows = [
        {"phase": "offline", "update": i, "frames": 0, "seconds": 1.0, "loss/a": None if i == 2 else i}
        for i in range(4)
    ]
    rows[-1]["calibration/violation_error"] = 0.125
    (run / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert load_run(run).series("offline", "loss/a")[0].tolist() == [0, 1, 3]
    page = write_report([run], tmp_path / "report.html").read_text(encoding="utf-8")
    assert "<td>violation error</td><td>0.12</td>" in page


def test_merged_takes_means_over_equal_places():
    x, y = merged(np.array([2.0, 1, 2]), np.array([1.0, 5, 3]))
    assert x.tolist() == [1, 2]
    assert y.tolist() == [5, 2]


def test_spans_of_cost():
    assert spans(np.array([1, 1, 0, 0, 1]) > 0) == [(0, 2), (4, 5)]
    assert spans(np.zeros(3) > 0) == []
