"""Draws the pictures of docs/environments.md: ``python docs/images/draw.py [folder of the original's pictures]``."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from fosp.envs import make_env

HERE = Path(__file__).parent
TASKS = {
    "goal": ("SafetyPointGoal1-v0", 3),
    "goal_car": ("SafetyCarGoal2-v0", 3),
    "button": ("SafetyPointButton1-v0", 3),
    "push": ("SafetyPointPush2-v0", 3),
    "fading": ("SafetyPointFadingEasy2-v0", 3),
    "race": ("SafetyPointRace2-v0", 3),
    "race_racecar": ("SafetyRacecarRace1-v0", 3),
    "building_goal": ("SafetyPointBuildingGoal2-v0", 3),
}
TEXTURED = ("race", "race_racecar", "building_goal")
SCENE, GAP = 320, 4
VIEW = (SCENE - GAP) // 2


def enlarged(picture: np.ndarray, size: int, how: Image.Resampling = Image.Resampling.NEAREST) -> Image.Image:
    """A square picture at another size."""
    return Image.fromarray(picture).resize((size, size), how)


def draw_task(name: str, env_id: str, seed: int) -> None:
    """Scene from outside, and front and back view, after 40 frames at rest."""
    env = make_env(env_id, render_mode="rgb_array", action_repeat=40)
    env.reset(seed=seed)
    image = env.step(np.zeros(2))[0]["image"]
    sheet = Image.new("RGB", (SCENE + GAP + VIEW, SCENE), "white")
    sheet.paste(enlarged(env.render(), SCENE, Image.Resampling.LANCZOS), (0, 0))
    sheet.paste(enlarged(image[..., :3], VIEW), (SCENE + GAP, 0))
    sheet.paste(enlarged(image[..., 3:], VIEW), (SCENE + GAP, VIEW + GAP))
    colours = 200 if name not in TEXTURED else 48  # textures do not compress; no picture takes more than 60 kB
    sheet.quantize(colours).save(HERE / f"task_{name}.png", optimize=True)
    env.close()


def draw_comparison(originals: Path) -> None:
    """One seed of every recorded task: the original's front and back view above ours."""
    names = sorted({p.name.split("-seed")[0] for p in originals.glob("*-github-vision.png")})
    font = ImageFont.load_default(size=11)
    cell = 96
    sheet = Image.new("RGB", (len(names) * (2 * cell + 10), 2 * cell + 20), "white")
    for column, name in enumerate(names):
        env = make_env(f"{name}-v0")
        ours = env.reset(seed=2)[0]["image"]
        env.close()
        left = column * (2 * cell + 10)
        ImageDraw.Draw(sheet).text((left, 2), re.sub("^Safety", "", name), fill="black", font=font)
        for i, camera in enumerate(("vision", "vision_back")):
            original = np.asarray(Image.open(originals / f"{name}-seed002-github-{camera}.png").convert("RGB"))
            sheet.paste(enlarged(original, cell), (left + i * cell, 18))
            sheet.paste(enlarged(ours[..., 3 * i : 3 * i + 3], cell), (left + i * cell, 20 + cell))
    sheet.quantize(200).save(HERE / "beside_the_original.png", optimize=True)


if __name__ == "__main__":
    for task, (env_id, seed) in TASKS.items():
        draw_task(task, env_id, seed)
    if len(sys.argv) > 1:
        draw_comparison(Path(sys.argv[1]))
