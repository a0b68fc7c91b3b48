import io

import pytest
from rich.console import Console

from fosp.training.progress import LineProgress, RichProgress, SilentProgress, format_figures, format_seconds


class Clock:
    """A clock that moves when told."""

    def __init__(self):
        self.now = 100.0

    def __call__(self):
        return self.now


def test_lines_tell_rate_time_left_and_the_latest_figures():
    clock, stream = Clock(), io.StringIO()
    progress = LineProgress(stream, every=10, clock=clock)
    progress.start(40, "collect")
    clock.now += 5
    progress.update(5, return_=1.0)
    clock.now += 5
    progress.update(5, return_=2.5, cost=12)
    progress.close()
    assert stream.getvalue().splitlines() == ["collect 10/40  1.0/s  0:30 left  return 2.5  cost 12"]


def test_what_was_done_before_counts_but_not_as_speed():
    clock, stream = Clock(), io.StringIO()
    progress = LineProgress(stream, every=10, clock=clock)
    progress.start(100, "pretrain", 60)
    clock.now += 10
    progress.update(20)
    progress.close()
    assert stream.getvalue().splitlines() == ["pretrain 80/100  2.0/s  0:10 left"]


def test_the_last_line_of_a_phase_is_printed_once():
    clock, stream = Clock(), io.StringIO()
    progress = LineProgress(stream, every=10, clock=clock)
    progress.start(2, "a")
    clock.now += 1
    progress.update(2)
    progress.start(1, "b")
    clock.now += 1
    progress.update()
    progress.close()
    progress.close()
    assert stream.getvalue().splitlines() == ["a 2/2  2.0/s", "b 1/1  1.0/s"]


def test_the_bar_shows_count_rate_and_figures():
    stream = io.StringIO()
    progress = RichProgress(Console(file=stream, force_terminal=True, width=120, color_system=None))
    progress.start(4, "pretrain")
    progress.update(3, return_=7.25, cost=0)
    progress.update(1)
    progress.close()
    shown = stream.getvalue()
    for text in ("pretrain", "4/4", "return 7.25  cost 0", "/s"):
        assert text in shown


def test_a_bar_that_was_not_started_says_so():
    with pytest.raises(RuntimeError, match="start"):
        RichProgress(Console(file=io.StringIO())).update()


def test_silence():
    progress = SilentProgress()
    progress.start(1, "x")
    progress.update(5, cost=1)
    progress.close()


def test_formats():
    assert format_figures({"return_": 3.14159, "new_share": 0.5}) == "return 3.14  new share 0.5"
    assert format_seconds(59.6) == "1:00"
    assert format_seconds(3725) == "1:02:05"
