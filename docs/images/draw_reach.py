"""Draws the pictures of docs/safe_reach.md: ``python docs/images/draw_reach.py DATASET``, one of the teleoperator."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
from draw import HERE, enlarged
from PIL import Image, ImageDraw, ImageFont

from fosp.data import Dataset, Episode
from fosp.envs import make_env
from fosp.envs.behaviours import make_behaviour
from fosp.envs.reach.operator import PROPORTIONS
from fosp.envs.reach.tasks import TASKS

SIZE, GAP = 480, 8
TILE, LEFT, TOP = 116, 126, 24
STEPS = (0, 10, 20, 30, 40, 50, 60, 79)
SHOWN = 3  # which episode of each class
FONT = ImageFont.load_default(size=15)
INK = (30, 30, 30)


def save(sheet: Image.Image, name: str) -> None:
    sheet.quantize(256, dither=Image.Dither.NONE).save(HERE / f"{name}.png", optimize=True)


def draw_scene() -> None:
    """On the way to the target: from outside, and as the camera sees it."""
    env = make_env("SafeReach-v0", render_mode="rgb_array")
    env.reset(seed=0, options={"layout": (2, (1, 5))})
    operator = make_behaviour("safe-success", 3)
    operator.reset(env)
    for _ in range(14):
        observation, *_ = env.step(operator.act(env))
    outside, camera = Image.fromarray(env.render()), enlarged(observation["image"], SIZE)
    env.close()
    sheet = Image.new("RGB", (2 * SIZE + GAP, SIZE), "white")
    sheet.paste(outside, (0, 0))
    sheet.paste(camera, (SIZE + GAP, 0))
    save(sheet, "reach_scene")
    save(outside.crop((0, 130, 480, 450)), "task_reach")


def draw_tasks() -> None:
    """The first picture of each task."""
    side = 232
    sheet = Image.new("RGB", (len(TASKS) * (side + GAP) - GAP, side + TOP), "white")
    for i, (name, task) in enumerate(TASKS.items()):
        env = make_env(f"{name}-v0")
        places = (0, 4) if task.obstacles == 2 else (0, 2, 4, 5)
        image = env.reset(seed=0, options={"layout": (1, places)})[0]["image"]
        env.close()
        sheet.paste(enlarged(image, side), (i * (side + GAP), TOP))
        ImageDraw.Draw(sheet).text((i * (side + GAP), 3), name, fill=INK, font=FONT)
    save(sheet, "reach_tasks")


def tile(episode: Episode, step: int) -> Image.Image:
    """A picture, framed red if the step to it cost, with a green bar if it was rewarded."""
    picture = enlarged(np.asarray(episode.observations["image"][step]), TILE)
    draw = ImageDraw.Draw(picture)
    if step and episode.costs[step - 1] > 0:
        draw.rectangle((0, 0, TILE - 1, TILE - 1), outline=(255, 40, 40), width=4)
    if step and episode.rewards[step - 1] > 0:
        draw.rectangle((0, TILE - 7, TILE - 1, TILE - 1), fill=(40, 200, 80))
    return picture


def draw_classes(dataset: Dataset) -> None:
    """An episode of each class, as rows of pictures."""
    behaviours = [summary.behaviour for summary in dataset.summaries()]
    sheet = Image.new("RGB", (LEFT + len(STEPS) * (TILE + GAP), TOP + len(PROPORTIONS) * (TILE + GAP)), "white")
    draw = ImageDraw.Draw(sheet)
    for column, step in enumerate(STEPS):
        draw.text((LEFT + column * (TILE + GAP), 3), f"step {step}", fill=INK, font=FONT)
    for row, name in enumerate(PROPORTIONS):
        episode = dataset[[i for i, behaviour in enumerate(behaviours) if behaviour == name][SHOWN]]
        top = TOP + row * (TILE + GAP)
        text = f"{name}\nreturn {episode.total_reward:.0f}\ncost {episode.total_cost:.0f}"
        draw.text((2, top + 30), text, fill=INK, font=FONT)
        for column, step in enumerate(STEPS):
            sheet.paste(tile(episode, step), (LEFT + column * (TILE + GAP), top))
    save(sheet, "reach_classes")


if __name__ == "__main__":
    draw_scene()
    draw_tasks()
    draw_classes(Dataset(Path(sys.argv[1])))
