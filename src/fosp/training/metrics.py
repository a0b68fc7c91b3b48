"""Metrics as JSON lines and TensorBoard events, under the same names."""

from __future__ import annotations

import json
import math
import time
from collections import Counter
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType

import torch
from torch import Tensor
from torch.utils.tensorboard import SummaryWriter

from fosp import parallel
from fosp.data.storage import read_jsonl
from fosp.training.alone import alone_in_run


class MetricsWriter:
    """Writes ``metrics.jsonl`` and ``tensorboard/`` of a run, and keeps it from other processes until it is closed.

    On resuming, its clock goes on from the last line (see `checkpoint.rewind_logs`), and events from `resume_at` on
    are replaced. Of several processes that train one run, all accumulate and the first writes the mean.
    """

    def __init__(self, run: Path, *, phase: str, resume_at: int | None = None) -> None:
        self.path, self.phase = run / "metrics.jsonl", phase
        self.seconds = 0.0
        if rows := read_jsonl(self.path):
            self.seconds = rows[-1].get("seconds", 0.0)
        self._held = ExitStack()
        if parallel.is_main():
            self._held.enter_context(alone_in_run(run))
        self._events = SummaryWriter(str(run / "tensorboard"), purge_step=resume_at) if parallel.is_main() else None
        self._since = time.monotonic()
        self._sums: dict[str, Tensor] = {}
        self._counts: Counter[str] = Counter()

    def add(self, metrics: Mapping[str, Tensor]) -> None:
        """Accumulate scalars of one update, without waiting for the device; an update may have none."""
        if not metrics:
            return
        new = [value.detach().double() for value in metrics.values()]
        for name, value in zip(metrics, new, strict=True):
            if name not in self._sums:
                self._sums[name] = torch.zeros_like(value)
        torch._foreach_add_([self._sums[name] for name in metrics], new)
        self._counts.update(metrics.keys())

    def averages(self) -> dict[str, float]:
        """Mean of each scalar since the last call, over the updates that had it, and a fresh start; all processes must
        call it."""
        if not self._sums:
            return {}
        # Some agents count on the CPU what they learn on another device.
        device = max((total.device for total in self._sums.values()), key=lambda device: device.type != "cpu")
        means = [total.to(device) / self._counts[name] for name, total in self._sums.items()]
        values = dict(zip(self._sums, parallel.average(torch.stack(means)).tolist(), strict=True))
        self._sums, self._counts = {}, Counter()
        return values

    def write(self, update: int, frames: int, figures: Mapping[str, float]) -> None:
        """One line, and one event per figure at step `update`."""
        if self._events is None:
            return
        seconds = self.seconds + time.monotonic() - self._since
        line = {"phase": self.phase, "update": update, "frames": frames, "seconds": round(seconds, 3)}
        clean = {name: value if math.isfinite(value) else None for name, value in figures.items()}
        with self.path.open("a") as file:
            file.write(json.dumps(line | clean) + "\n")
        for name, value in figures.items():
            self._events.add_scalar(name, value, update)

    def close(self) -> None:
        """Flush the events, and let the run go."""
        if self._events is not None:
            self._events.close()
        self._held.close()

    def __enter__(self) -> MetricsWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
