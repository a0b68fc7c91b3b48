"""First-person pictures against the genuine renderer's."""

import re
from pathlib import Path

import imageio.v3 as imageio
import numpy as np
import pytest

from fosp.envs import make_env

PICTURES = sorted((Path(__file__).parents[1] / "fixtures" / "pictures").glob("*.png"))
SHARED = Path(__file__).resolve().parents[3] / "shared" / "golden" / "images"
SHARED_PICTURES = sorted(SHARED.glob("*.png"))


def check_picture(env, path):
    seed, camera = re.search(r"seed(\d+)-\w+?-(vision|vision_back)\.png", path.name).groups()
    env.reset(seed=int(seed))
    first = 3 * (camera == "vision_back")
    ours = env.unwrapped.first_person()[..., first : first + 3].astype(float)
    theirs = imageio.imread(path)[..., :3].astype(float)
    difference = np.abs(ours - theirs)
    assert difference.mean() <= 1.0
    assert (difference.max(-1) > 12).mean() <= 0.005


def environment_of(path):
    name, profile = re.match(r"(Safety\w+?)-seed\d+-(github|pypi)-", path.name).groups()
    return make_env(f"{name}-v0", profile=profile)


@pytest.mark.parametrize("path", PICTURES, ids=[p.stem for p in PICTURES])
def test_pictures_in_the_repository(path):
    env = environment_of(path)
    check_picture(env, path)
    env.close()


@pytest.mark.skipif(not SHARED_PICTURES, reason=f"the recorded pictures are not at {SHARED}")
@pytest.mark.parametrize("task", sorted({re.match(r"(.*)-seed", p.name).group(1) for p in SHARED_PICTURES}))
@pytest.mark.parametrize("profile", ["github", "pypi"])
def test_every_recorded_picture(task, profile):
    paths = [p for p in SHARED_PICTURES if p.name.startswith(f"{task}-") and f"-{profile}-" in p.name]
    assert len(paths) >= 3
    env = environment_of(paths[0])
    for path in paths:
        check_picture(env, path)
    env.close()


def test_the_picture_would_differ_without_its_objects():
    """The comparison notices a missing object: the limits are not so wide that anything passes."""
    path = next(p for p in PICTURES if p.name == "SafetyPointGoal1-seed000-github-vision.png")
    env = environment_of(path)
    env.reset(seed=0)
    model = env.unwrapped.simulation.world.model
    model.geom_rgba[env.unwrapped.simulation.world.geoms("hazards"), 3] = 0.0
    ours = env.unwrapped.first_person()[..., :3].astype(float)
    difference = np.abs(ours - imageio.imread(path)[..., :3])
    assert (difference.max(-1) > 12).mean() > 0.005
    env.close()
