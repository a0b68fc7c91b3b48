"""Sections made of pictures: open-loop predictions, one evaluation episode, and a contact sheet of the data."""

from __future__ import annotations

import html
from collections.abc import Sequence
from pathlib import Path
from zipfile import BadZipFile

import numpy as np

from fosp.data import Dataset
from fosp.errors import InputError
from fosp.report import charts, pictures
from fosp.report.markup import absent, figure, number
from fosp.report.runs import DatasetSummary, Run

STRIP_COLUMNS = 16
FILM_COLUMNS = 10
FPS = 25


def predictions(runs: Sequence[Run]) -> str:
    """Open-loop predictions beside the truth, of the last run that has them."""
    path = next((p for run in reversed(runs) if (p := run.path / "artifacts" / "open_loop.npz").exists()), None)
    if path is None:
        return absent("No open-loop predictions were saved with these runs.")
    with _archive(path, "truth", "prediction", "context") as data:
        truth, prediction, context = data["truth"], data["prediction"], int(data["context"])
    steps = truth.shape[1]
    shown = np.unique(np.linspace(0, steps - 1, min(STRIP_COLUMNS, steps)).round().astype(int))
    blocks = []
    for sequence in range(min(2, len(truth))):
        real, imagined = dict(pictures.views(truth[sequence])), dict(pictures.views(prediction[sequence]))
        for view in real:
            one, two = real[view][shown], imagined[view][shown]
            blocks.append(f"<h3>Sequence {sequence + 1}, {view}</h3>")
            rows = (("truth", one), ("prediction", two), ("difference", pictures.difference(one, two)))
            blocks.append(_strip(rows, [(str(step), step >= context) for step in shown]))
    caption = (
        f"<b>What the model of {html.escape(path.parent.parent.name)} sees coming.</b> Numbers are agent steps. "
        f"For the first {context} (gray) it is given the pictures and reconstructs them; "
        "from then on (blue) it is given the actions only. "
        "Difference: prediction minus truth, mid-gray where they agree."
    )
    return figure("".join(blocks), caption)


def film(runs: Sequence[Run]) -> str:
    """One evaluation episode: video, strip, and predictions under it; of the last run that has one."""
    path = next((p for run in reversed(runs) if (p := run.path / "artifacts" / "film.npz").exists()), None)
    if path is None:
        return absent("No evaluation episode was recorded with these runs; fosp evaluate --video records one.")
    with _archive(path, "cost", "reward") as data:
        cost, reward = data["cost"], data["reward"]
        frames, scene, violation = (data.get(name) for name in ("frames", "scene", "violation"))
    steps = len(cost)
    shown = np.unique(np.linspace(0, steps - 1, min(FILM_COLUMNS, steps)).round().astype(int))
    rows, video = [], scene
    if scene is not None:
        rows.append(("outside", pictures.resized(scene[shown], 128)))
    if frames is not None:
        rows += [(view, picture[shown]) for view, picture in pictures.views(frames)]
        video = pictures.side_by_side(frames) if video is None else video
    if video is None:
        return absent(f"The episode in {path} was recorded without pictures.")
    svg, (first, last) = charts.film_chart(violation, cost, reward)
    caption = (
        f"<b>One evaluation episode of {html.escape(path.parent.parent.name)}</b>, mean action: {steps} agent steps, "
        f"return {number(float(reward.sum()))}, cost {number(float(cost.sum()))}; {FPS} steps a second in the video. "
        "Shaded: steps with cost."
    )
    if violation is not None:
        caption += " A useful p(s) rises before the shade begins."
    return (
        f'<video controls muted playsinline preload="metadata" src="{pictures.mp4(video, FPS)}"></video>'
        + f'<div class="scroll">{_strip(rows, [(str(step), bool(cost[step] > 0)) for step in shown], "cost")}</div>'
        + f'<figure><div class="scroll"><div class="film" data-first="{first:.5f}" data-last="{last:.5f}">{svg}'
        + f'<div class="playhead"></div></div></div><figcaption>{caption}</figcaption></figure>'
    )


def contact_sheet(summary: DatasetSummary | None) -> str:
    """Of each behaviour in the data the episode of median return, in pictures."""
    found = [Path(path) for path in summary.paths if Path(path).is_dir()] if summary else []
    try:
        blocks = _typical_episodes([Dataset(path) for path in found])
    except InputError as error:  # the runs can be shown without their data
        return absent(f"No pictures of the data: {html.escape(str(error))}")
    if not blocks:
        return absent("No pictures of the data: they lie elsewhere, or hold none; fosp report --dataset names them.")
    caption = (
        "<b>One episode of each behaviour</b>, that of median return. Numbers are agent steps, marked where the step "
        "had a cost."
    )
    return figure("".join(blocks), caption)


def _typical_episodes(datasets: Sequence[Dataset]) -> list[str]:
    """Heading and pictures of each behaviour's episode of median return, from those datasets that have pictures."""
    episodes: dict[str, list[tuple[float, Dataset, int]]] = {}
    for dataset in (dataset for dataset in datasets if "image" in dataset.observation_spec):
        for index, known in enumerate(dataset.summaries()):
            episodes.setdefault(known.behaviour, []).append((known.total_reward, dataset, index))
    blocks = []
    for behaviour, candidates in sorted(episodes.items()):
        ordered = sorted(candidates, key=lambda candidate: candidate[0])
        _, dataset, index = ordered[(len(ordered) - 1) // 2]
        episode = dataset.read(index, ["image"])
        shown = np.unique(np.linspace(0, len(episode) - 1, min(STRIP_COLUMNS, len(episode))).round().astype(int))
        totals = f"return {number(episode.total_reward)}, cost {number(episode.total_cost)}"
        blocks.append(f"<h3>{html.escape(behaviour)}: {totals}</h3>")
        rows = [(view, picture[shown]) for view, picture in pictures.views(episode.observations["image"])]
        blocks.append(_strip(rows, [(str(step), bool(episode.costs[step] > 0)) for step in shown], "cost"))
    return blocks


def _strip(rows: Sequence[tuple[str, np.ndarray]], columns: Sequence[tuple[str, bool]], mark: str = "open") -> str:
    head = "".join(f"<i{f' class={mark}' if marked else ''}>{label}</i>" for label, marked in columns)
    body = "".join(
        f'<span>{label}</span><img alt="{label}" src="{pictures.png(pictures.strip(frames))}">'
        for label, frames in rows
    )
    return f'<div class="strip"><span>agent step</span><div class="columns">{head}</div>{body}</div>'


def _archive(path: Path, *names: str) -> np.lib.npyio.NpzFile:
    try:
        data = np.load(path, allow_pickle=False)
    except (OSError, ValueError, BadZipFile) as error:
        raise InputError(f"{path} cannot be read ({error}); delete it and evaluate again.") from None
    missing = [name for name in names if name not in data.files]
    if missing:
        raise InputError(f"{path} lacks {', '.join(missing)}; delete it and evaluate again.")
    return data
