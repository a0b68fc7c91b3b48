"""Assembles the report: one HTML file that carries everything it shows."""

from __future__ import annotations

import os
from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path

from fosp.errors import InputError
from fosp.report import episodes, metrics, sections
from fosp.report.runs import DatasetSummary, Run, load_run
from fosp.version import __version__

# Moves a line along the chart while the video plays.
_PLAYHEAD = """
const video = document.querySelector("video"), film = document.querySelector(".film");
if (video && film) {
  const head = film.querySelector(".playhead"), first = +film.dataset.first, last = +film.dataset.last;
  const move = () => {
    head.style.display = "block";
    head.style.left = 100 * (first + (last - first) * video.currentTime / video.duration) + "%";
    if (!video.paused) requestAnimationFrame(move);
  };
  for (const name of ["play", "seeked"]) video.addEventListener(name, move);
}
"""


def write_report(paths: Sequence[Path], out: Path, *, dataset: DatasetSummary | None = None) -> Path:
    """Write the page of the run directories `paths` to `out` and return `out`.

    The dataset shown is `dataset`, or else the one saved with the first run that has it. Raises `InputError` where a
    directory is no run or a file in it cannot be read.
    """
    if not paths:
        raise InputError("A report needs at least one run directory.")
    if out.is_dir():
        raise InputError(f"{out} is a directory: name the file to write, such as {out / 'report.html'}.")
    runs = [load_run(path) for path in paths]
    summary = dataset or next((run.dataset for run in runs if run.dataset), None)
    text = render(runs, summary)
    out.parent.mkdir(parents=True, exist_ok=True)
    part = out.with_name(out.name + ".part")
    part.write_text(text, encoding="utf-8")
    os.replace(part, out)
    return out


def render(runs: Sequence[Run], summary: DatasetSummary | None) -> str:
    """The whole page."""
    parts = [
        ("results", "Results", sections.results(runs)),
        ("episode", "An evaluation episode", episodes.film(runs)),
        ("curves", "Learning curves", sections.curves(runs)),
        ("data", "The dataset", sections.dataset(summary) + episodes.contact_sheet(summary)),
        ("predictions", "Open-loop predictions", episodes.predictions(runs)),
        ("training", "Training", metrics.training(runs)),
        ("settings", "Settings", sections.settings(runs)),
    ]
    links = "".join(f'<a href="#{name}">{title}</a>' for name, title, _ in parts)
    body = "".join(f'<section id="{name}"><h2>{title}</h2>{content}</section>' for name, title, content in parts)
    style = files("fosp.report").joinpath("page.css").read_text(encoding="utf-8")
    envs = ", ".join(sorted({run.config.env.id for run in runs}))
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{envs}: FOSP report</title><style>{style}</style></head><body><main>"
        f"{sections.header(runs)}<nav>{links}</nav>{body}"
        f"<footer>Written by fosp {__version__}. This page loads nothing from elsewhere.</footer>"
        f"</main><script>{_PLAYHEAD}</script></body></html>\n"
    )
