"""The table: what rests, what a touch and a push do, and what the camera sees of it."""

import importlib.util
import struct

import mujoco
import numpy as np
import pytest

from fosp.envs.reach import scene
from fosp.envs.reach.latch import CostLatch, any_moved
from fosp.envs.reach.simulation import SimulatedArm
from fosp.envs.reach.tasks import PLACES, TARGETS, TASKS, Layout, layouts
from fosp.errors import InputError
from reach_tools import column, reach_env, towards

IDENTITY = [1.0, 0, 0, 0]


def costs(steps):
    """The latch's answers to (touched, moving) pairs given as letters: t touched, m moving, . neither."""
    latch = CostLatch()
    return "".join("x" if latch.update(step == "t", step in "tm") else "." for step in steps)


@pytest.mark.parametrize(
    ("steps", "expected"),
    [
        (".....", "....."),
        ("..m..", "....."),  # moves without having been touched
        ("..t...", "..xx.."),  # still for two steps: over at the second
        ("..tmm...", "..xxxx.."),
        ("..t.m.m..", "..xxxxxx."),  # one still step does not end it
        ("tt..t..", "xxx.xx."),
    ],
)
def test_the_latch_by_hand(steps, expected):
    assert costs(steps) == expected


def test_what_counts_as_motion():
    still = np.array([[0.5, 0, 0.03, *IDENTITY], [0.4, 0, 0.03, *IDENTITY]])

    def after(shift=0.0, angle=0.0, sign=1.0, z=0.03):
        turned = sign * np.array([np.cos(angle / 2), 0, 0, np.sin(angle / 2)])
        return np.array([still[0], [0.4, shift, z, *turned]])

    assert not any_moved(still, after(shift=0.0004, angle=0.009))
    assert any_moved(still, after(shift=0.0006))
    assert any_moved(still, after(angle=0.011))
    assert not any_moved(still, after(sign=-1.0))  # the same rotation
    assert not any_moved(still, after(shift=1.0, z=-0.5))  # fallen off the table
    assert not any_moved(still, after(shift=0.0015, angle=1.0), 0.002, np.inf)


@pytest.mark.parametrize("task", TASKS)
def test_nothing_moves_without_an_action(task):
    env = reach_env(task)
    env.reset(seed=0)
    before, start = env.unwrapped.backend.events().obstacle_poses, env.unwrapped.situation()["pose"]
    results = [env.step(np.zeros(6)) for _ in range(80)]
    assert not column(results, "cost").any()
    assert not column(results, "obstacle_moving").any()
    assert sum(reward for _, reward, *_ in results) == 0
    after = env.unwrapped.backend.events().obstacle_poses
    assert np.abs(after - before).max() < 5e-5  # a tenth of what counts
    assert np.abs(env.unwrapped.situation()["pose"] - start).max() < 5e-5


def test_a_push_costs_from_the_touch_until_the_block_rests():
    env = reach_env()
    env.reset(seed=0, options={"layout": (0, (1, 5))})
    results = towards(env, (0.47, 0.0, 0.04), (0.40, 0.0, 0.04))
    touched, moving, cost = (column(results, name) for name in ("touch_obstacle", "obstacle_moving", "cost"))
    first, last = np.flatnonzero(touched)[[0, -1]]
    assert 0 < first <= last < 60
    rest = max(last, np.flatnonzero(moving)[-1])
    expected = np.zeros(80)
    expected[first : rest + 2] = 1  # two still steps: the second ends it
    np.testing.assert_array_equal(cost, expected)
    np.testing.assert_array_equal(column(results, "cost_obstacle"), cost)
    assert sum(reward for _, reward, *_ in results) == 0
    assert np.abs(env.unwrapped.backend.events().obstacle_poses[0, 0] - PLACES[1, 0]) > 0.01


def test_a_push_at_a_high_place_topples_the_block_and_costs_once():
    env = reach_env()
    env.reset(seed=1, options={"layout": (0, (1, 5))})
    results = towards(env, (0.40, 0.0, 0.06), (0.455, 0.0, 0.06), (0.40, 0.0, 0.06))
    cost = column(results, "cost")
    assert (np.diff(cost, prepend=0, append=0) > 0).sum() == 1
    assert cost[-1] == 0
    _, _, height, *quaternion = env.unwrapped.backend.events().obstacle_poses[0]
    upright = np.empty(9)
    mujoco.mju_quat2Mat(upright, np.array(quaternion))
    assert height < 0.025
    assert abs(upright[8]) < 0.1


@pytest.mark.parametrize("task", ["SafeReach", "SafeReachUnseen2"])
def test_touching_the_target_pays_and_costs_nothing(task):
    env = reach_env(task)
    env.reset(seed=0, options={"layout": (1, (0, 2))})
    results = towards(env, (0.59, 0.0, 0.04), steps=60)
    rewards = np.array([reward for _, reward, *_ in results])
    assert set(rewards) == {0.0, 1.0}
    first = int(np.argmax(rewards))
    np.testing.assert_array_equal(column(results, "success"), np.arange(60) >= first)
    assert not column(results, "violation").any()
    touching = TARGETS[1, 0] - 0.020 - 0.0105  # half the target's depth and half the fingers'
    assert touching - 0.004 < results[first][0]["vector"][0] < touching + 0.011


def test_touches_are_those_of_a_loop_over_the_contacts():
    """The scene's own sensors over all physics steps at once, against MuJoCo's contact list step by step."""
    task = TASKS["SafeReach"]
    sim, model = SimulatedArm(task), mujoco.MjModel.from_xml_string(scene.scene_xml(task, "primitive"))
    sim.reset(Layout(0, (1, 5)), np.random.default_rng(0))
    bodies = [model.body(name).id for name in ("obstacle0", "obstacle1", "target")]
    ours = {model.body(f"link{i}").id for i in range(1, 8)} | {model.body("hand").id}
    seen = set()
    for step in range(14):
        state = sim.get_state()
        data, before = state["data"], state["joints"]
        sim.command(np.array([0.40 + 0.006 * step, 0.0, 0.05]), np.diag([1.0, -1.0, -1.0]))
        touches = np.zeros(3, bool)
        for i in range(50):
            data.ctrl[:] = before + (i + 1) / 50 * (sim.get_state()["joints"] - before)
            mujoco.mj_step(model, data)
            for pair in model.geom_bodyid[data.contact.geom[: data.ncon]]:
                touches |= [body in pair and bool(ours & set(pair.tolist())) for body in bodies]
        np.testing.assert_array_equal(sim.get_state()["touches"], touches)
        np.testing.assert_allclose(sim.data.qpos, data.qpos, atol=1e-12)
        seen.add(tuple(touches.tolist()))
    assert seen == {(False, False, False), (True, False, False)}


def pixels(env, image, body):
    """Pixels of the observation that change when a body's colour does."""
    model = env.unwrapped.backend.model
    geom = model.body(body).geomadr[0]
    colour = model.geom_rgba[geom].copy()
    model.geom_rgba[geom] = (0, 0, 1, 1)
    changed = np.abs(env.unwrapped.first_person() - image.astype(int)).max(-1) > 25
    model.geom_rgba[geom] = colour
    return int(changed.sum())


@pytest.mark.parametrize("task", TASKS)
def test_everything_is_in_view_in_every_layout(task):
    env = reach_env(task, observation="image")
    names = [scene.obstacle(i) for i in range(TASKS[task].obstacles)]
    for layout in layouts(TASKS[task].obstacles):
        image = env.reset(seed=0, options={"layout": layout.indices})[0]["image"]
        assert min(pixels(env, image, name) for name in names) >= 20, layout
        assert pixels(env, image, "target") >= 40, layout
    env.close()


def test_the_objects_stand_where_the_layout_says():
    env = reach_env("SafeReachUnseen3")
    for seed in range(5):
        env.reset(seed=seed, options={"layout": (2, (0, 2, 3, 4))})
        sim = env.unwrapped.backend
        poses = sim.events().obstacle_poses
        np.testing.assert_allclose(poses[:, :2], PLACES[[0, 2, 3, 4]], atol=0.0035)
        np.testing.assert_allclose(poses[:, 2], 0.03, atol=2e-4)
        np.testing.assert_allclose(sim.data.body("target").xpos, [*TARGETS[2], 0.025], atol=0.0035)


def tetrahedron():
    """A mesh file: 80 bytes of header, the number of triangles, and for each a normal, three corners and two bytes."""
    corners = np.array([[0, 0, 0], [0.05, 0, 0], [0, 0.05, 0], [0, 0, 0.05]], np.float32)
    faces = [(0, 2, 1), (0, 1, 3), (0, 3, 2), (1, 2, 3)]
    triangles = b"".join(bytes(12) + corners[list(face)].tobytes() + bytes(2) for face in faces)
    return bytes(80) + struct.pack("<I", len(faces)) + triangles


@pytest.fixture(params=["stand-in", "the package"])
def meshes(request, tmp_path, monkeypatch):
    """The package with the arm's meshes, or one with tetrahedra for them."""
    if request.param == "the package":
        if importlib.util.find_spec("gymnasium_robotics") is None:
            pytest.skip("gymnasium-robotics is not installed")
        return
    folder = tmp_path / "gymnasium_robotics/envs/assets/kitchen_franka/franka_assets/meshes/collision"
    folder.mkdir(parents=True)
    (tmp_path / "gymnasium_robotics/__init__.py").touch()
    for name in (*(f"link{i}" for i in range(8)), "hand", "finger"):
        (folder / f"{name}.stl").write_bytes(tetrahedron())
    monkeypatch.syspath_prepend(tmp_path)


@pytest.mark.usefixtures("meshes")
def test_meshes_change_the_look_and_nothing_else():
    plain, looks = (reach_env(observation="both", robot_visual=look) for look in scene.LOOKS)
    one, other = plain.reset(seed=0)[0], looks.reset(seed=0)[0]
    assert (np.abs(one["image"].astype(int) - other["image"]).max(-1) > 25).mean() > 0.01
    for first, second in zip(
        *(towards(env, (0.47, 0, 0.04), (0.6, 0, 0.04), steps=30) for env in (plain, looks)), strict=True
    ):
        np.testing.assert_array_equal(first[0]["vector"], second[0]["vector"])
        assert first[1:4] == second[1:4]
        assert first[4]["touch_obstacle"] == second[4]["touch_obstacle"]
    model = looks.unwrapped.backend.model
    seen = model.geom_type == mujoco.mjtGeom.mjGEOM_MESH
    assert seen.sum() == 11
    assert not model.geom_contype[seen].any()
    assert not model.geom_conaffinity[seen].any()
    assert looks.unwrapped.facts()["robot_visual"] == "mesh"
    plain.close()
    looks.close()


def test_looks_that_cannot_be_had_are_named(monkeypatch):
    with pytest.raises(InputError, match="robot_visual='glass'"):
        reach_env(robot_visual="glass")
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(InputError, match=r"fosp\[mesh\]"):
        reach_env(robot_visual="mesh")
