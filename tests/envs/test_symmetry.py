"""The mirror: physics and pictures of what is done the other way round."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from fosp.config import change, preset
from fosp.data.replay import Replay
from fosp.envs import make_env
from fosp.envs.navigation.lidar import lidar
from fosp.envs.reach.tasks import PLACES, TARGETS
from fosp.envs.symmetry import mirror_of, mirrored
from fosp.errors import InputError
from fosp.training.data import draw
from tiny import play


def other_side(place, places):
    return int(np.argmin(np.linalg.norm(places - np.array([place[0], -place[1]]), axis=1)))


def seen(mirror, **rows):
    """A sequence of one step in the mirror, as arrays."""
    batch = {key: torch.as_tensor(np.asarray(value))[None, None] for key, value in rows.items()}
    return {key: value[0, 0].numpy() for key, value in mirrored(batch, torch.tensor([True]), mirror).items()}


def test_safe_reach_in_the_mirror_is_safe_reach():
    """Mirrored actions on the mirrored layout move the arm, and are seen, as the mirror says."""
    mirror, env = mirror_of("SafeReachUnseen1-v0"), make_env("SafeReach-v0", observation="both")
    layout = (2, (0, 4))
    across = (other_side(TARGETS[2], TARGETS), tuple(other_side(PLACES[i], PLACES) for i in layout[1]))
    assert across == (0, (2, 4))
    rng = np.random.default_rng(0)
    actions = np.repeat(rng.uniform(-1, 1, (5, 6)), 4, 0).astype(np.float32)
    tracks = []
    for where, flip in ((layout, False), (across, True)):
        observation, _ = env.reset(seed=1, options={"layout": where})
        track = [observation]
        for action in actions:
            track.append(env.step(seen(mirror, action=action)["action"] if flip else action)[0])
        tracks.append(track)
    ours, theirs = tracks
    for one, other in zip(ours, theirs, strict=True):
        expected = seen(mirror, action=actions[0], **one)
        start = seen(mirror, action=actions[0], **ours[0])["vector"] - theirs[0]["vector"]  # the start's jitter
        np.testing.assert_allclose(expected["vector"] - start, other["vector"], atol=2e-3)
        table = slice(30, None)  # above it is the arm, whose shell is not the same on both sides
        right, wrong = (np.abs(x["image"][table].astype(float) - other["image"][table]).mean() for x in (expected, one))
        assert right < 0.4 * wrong
    moved = ours[-1]["vector"] - ours[0]["vector"]
    assert np.abs(moved[[1, 3, 5]]).min() > 0.01  # so that a wrong sign would show
    env.close()


def test_the_point_turns_the_other_way():
    env_id = "SafetyPointGoal0-v0"
    mirror = mirror_of(env_id)
    ends = []
    for flip in (False, True):
        env = make_env(env_id, observation="vector")
        env.reset(seed=3)
        before = env.unwrapped.privileged()
        action = np.array([0.9, 0.3], np.float32)
        for _ in range(10):
            env.step(seen(mirror, action=action)["action"] if flip else action)
        after = env.unwrapped.privileged()
        ahead = np.array([np.cos(before["heading"]), np.sin(before["heading"])])
        path = after["position"] - before["position"]
        ends.append((path @ ahead, ahead[0] * path[1] - ahead[1] * path[0], after["heading"] - before["heading"]))
        env.close()
    (along, aside, turned), (also_along, other_aside, other_turned) = ends
    assert abs(turned) > 0.05
    assert (also_along, other_aside, other_turned) == pytest.approx((along, -aside, -turned), rel=0.1, abs=2e-3)


def test_half_of_the_sequences_are_mirrored_whole_and_the_rest_is_as_it_was():
    replay = Replay(100, {"image": (4, 6, 3)}, 2)
    rng = np.random.default_rng(0)
    image = rng.integers(0, 255, (31, 4, 6, 3), dtype=np.uint8)
    episode = play(0, 0.5)
    episode = type(episode)(
        **{
            **vars(episode),
            "observations": {"image": image[: len(episode) + 1]},
            "actions": np.repeat(episode.actions[:, :1], 2, 1),
        }
    )
    replay.add(episode)
    config = change(preset("test"), {"training.sequence_length": 4, "training.mirror": "auto"})
    assert config.env.id == "SafetyPointGoal1-v0"
    batch, asked, plain, elsewhere = (
        draw(replay, change(config, changes), 200, np.random.default_rng(5))
        for changes in (
            {},
            {"training.mirror": "on"},
            {"training.mirror": "off"},
            {"env.id": "SafetyCarGoal1-v0"},
        )
    )
    assert torch.equal(batch["image"], asked["image"])
    assert torch.equal(plain["image"], elsewhere["image"])  # auto, where no mirror is known
    same = (batch["image"] == plain["image"]).flatten(1).all(1)
    flipped = (batch["image"] == plain["image"].flip(3)).flatten(1).all(1)
    assert torch.equal(same, ~flipped)
    assert 70 < int(flipped.sum()) < 130
    torch.testing.assert_close(batch["action"][flipped], plain["action"][flipped] * torch.tensor([1.0, -1.0]))
    torch.testing.assert_close(batch["action"][same], plain["action"][same])
    for key in ("reward", "cost", "is_first", "is_terminal"):
        assert torch.equal(batch[key], plain[key])


def test_what_the_points_sensors_and_lidar_say_in_the_mirror():
    """Lidar of objects on the other side of the robot; sensors along the other way round, whose compass turns as far
    the other way (its needle has no other side, so that only differences can be compared)."""
    env_id = "SafetyPointGoal1-v0"
    mirror, runs = mirror_of(env_id), []
    actions = np.repeat(np.random.default_rng(0).uniform(-1, 1, (2, 2)), 4, 0).astype(np.float32)
    for flip in (False, True):
        env = make_env(env_id, observation="vector")
        rows = [env.reset(seed=5)[0]["vector"]]
        for action in actions:
            rows.append(env.step(seen(mirror, action=action)["action"] if flip else action)[0]["vector"])
        world = env.unwrapped.simulation.world
        if not flip:
            bodies = [world.positions(name).copy() for name in world.groups]
            offset = (np.concatenate(bodies) - world.robot_position) @ world.robot_matrix.reshape(3, 3)
            ring = np.repeat(np.arange(len(bodies)), [len(b) for b in bodies])
            across = lidar(np.zeros(3), np.eye(3).ravel(), offset * [1, -1, 1], ring, len(bodies))
            expected = seen(mirror, action=actions[0], vector=rows[-1])["vector"]
            np.testing.assert_allclose(expected[12:], across.ravel(), atol=1e-4)
            rows = [seen(mirror, action=actions[0], vector=row)["vector"] for row in rows]
        runs.append(np.stack(rows))
        env.close()
    ours, theirs = runs
    assert np.abs(ours[:, [1, 4, 8]]).max(0).min() > 0.1  # so that a wrong sign would show
    np.testing.assert_allclose(ours[:, :9], theirs[:, :9], atol=0.01)
    turned = [np.unwrap(np.arctan2(run[:, 10], run[:, 9])) for run in runs]
    assert np.ptp(turned[0]) > 0.3
    np.testing.assert_allclose(turned[0] - turned[0][0], turned[1] - turned[1][0], atol=0.02)


def test_where_no_symmetry_is_known_that_is_said():
    with pytest.raises(InputError, match="turn it off"):
        mirror_of("CartPole-v1")


def test_the_arm_itself_has_the_symmetry_of_its_tasks():
    assert mirror_of("franka:arm.yaml") == mirror_of("SafeReach-v0")
