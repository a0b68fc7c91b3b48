"""What a loop tells about itself while it runs, and three ways to show it.

A loop calls `start` once per phase, `update` as it goes and `close` at its end; it never prints. Figures such as
``return_`` (shown as "return") and ``cost`` are the latest values and stay on show until they are replaced.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import Protocol, TextIO

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, ProgressColumn, Task, TaskID, TextColumn, TimeRemainingColumn
from rich.progress import Progress as RichBar
from rich.text import Text


class Progress(Protocol):
    """What the loops call. `start` may be called again for the next phase; it ends the one before."""

    def start(self, total: int, label: str, done: int = 0) -> None:
        """Begin a phase of `total` steps named `label`, of which `done` were done before."""

    def update(self, n: int = 1, **figures: float) -> None:
        """Count `n` more steps (0 is allowed) and show the latest `figures`."""

    def close(self) -> None:
        """End the phase; safe to call twice."""


class SilentProgress:
    """Shows nothing."""

    def start(self, total: int, label: str, done: int = 0) -> None:
        """Ignore."""

    def update(self, n: int = 1, **figures: float) -> None:
        """Ignore."""

    def close(self) -> None:
        """Ignore."""


class RichProgress:
    """A bar with count, rate, time left and the latest figures; for terminals."""

    def __init__(self, console: Console | None = None) -> None:
        self._console = console or Console(stderr=True)
        self._bar: RichBar | None = None
        self._task = TaskID(0)
        self._figures: dict[str, float] = {}

    def start(self, total: int, label: str, done: int = 0) -> None:
        """Begin a phase of `total` steps named `label`, of which `done` were done before."""
        self.close()
        self._figures = {}
        self._bar = RichBar(
            TextColumn("{task.description}"),
            BarColumn(bar_width=24),
            MofNCompleteColumn(),
            _RateColumn(),
            TimeRemainingColumn(elapsed_when_finished=True),
            TextColumn("{task.fields[figures]}", style="cyan"),
            console=self._console,
        )
        self._task = self._bar.add_task(label, total=total, completed=done, figures="")
        self._bar.start()

    def update(self, n: int = 1, **figures: float) -> None:
        """Count `n` more steps and show the latest `figures`."""
        if self._bar is None:
            raise RuntimeError("Progress.update before Progress.start")
        self._figures.update(figures)
        self._bar.update(self._task, advance=n, figures=format_figures(self._figures))

    def close(self) -> None:
        """Leave the finished bar on the screen."""
        if self._bar is not None:
            self._bar.stop()
            self._bar = None


class LineProgress:
    """The same facts as plain lines, one every `every` seconds and one at the end; for logs and pipes."""

    def __init__(
        self, stream: TextIO | None = None, *, every: float = 15.0, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._stream = stream or sys.stderr
        self._every = every
        self._clock = clock
        self._label = ""
        self._total = self._done = self._before = self._shown = 0
        self._begin = self._last = 0.0
        self._figures: dict[str, float] = {}
        self._open = False

    def start(self, total: int, label: str, done: int = 0) -> None:
        """Begin a phase of `total` steps named `label`, of which `done` were done before."""
        self.close()
        self._label, self._total, self._done, self._before, self._shown = label, total, done, done, -1
        self._figures = {}
        self._begin = self._last = self._clock()
        self._open = True

    def update(self, n: int = 1, **figures: float) -> None:
        """Count `n` more steps and print a line when the last one is old enough."""
        self._done += n
        self._figures.update(figures)
        if self._clock() - self._last >= self._every:
            self._print()

    def close(self) -> None:
        """Print the last line of the phase."""
        if self._open and self._shown != self._done:
            self._print()
        self._open = False

    def _print(self) -> None:
        now = self._clock()
        rate = (self._done - self._before) / max(now - self._begin, 1e-9)
        left = f"{format_seconds((self._total - self._done) / rate)} left" if rate and self._done < self._total else ""
        parts = [f"{self._label} {self._done}/{self._total}", f"{rate:.1f}/s", left, format_figures(self._figures)]
        print("  ".join(part for part in parts if part), file=self._stream, flush=True)
        self._last, self._shown = now, self._done


def make_progress(console: Console | None = None) -> Progress:
    """A bar where standard error is a terminal, plain lines where it is not."""
    console = console or Console(stderr=True)
    return RichProgress(console) if console.is_terminal else LineProgress()


def format_figures(figures: dict[str, float]) -> str:
    """``{"return_": 3.14159, "cost": 12}`` as ``return 3.14  cost 12``."""
    return "  ".join(f"{name.rstrip('_').replace('_', ' ')} {value:.3g}" for name, value in figures.items())


def format_seconds(seconds: float) -> str:
    """Seconds as ``m:ss`` or ``h:mm:ss``."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"


class _RateColumn(ProgressColumn):
    """Steps per second, measured over the last half minute."""

    def render(self, task: Task) -> Text:
        speed = task.finished_speed or task.speed
        return Text("" if speed is None else f"{speed:.1f}/s", style="dim")
