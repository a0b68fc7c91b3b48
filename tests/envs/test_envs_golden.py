"""Our tasks against traces of the genuine Safety-Gymnasium."""

import re

import golden
import mujoco
import numpy as np
import pytest
from golden import SHARED, TOLERANCE, Trace

HERE = golden.FIXTURES
needs_shared = pytest.mark.skipif(not SHARED.is_dir(), reason=f"the recorded traces are not at {SHARED}")
needs_recorded_mujoco = pytest.mark.skipif(
    mujoco.__version__ != "3.17.0", reason="the traces were recorded on MuJoCo 3.17.0, whose last bits differ elsewhere"
)

ALL = sorted(SHARED.glob("Safety*.npz"))
EXACT = [p for p in ALL if "mj3.17" in p.name and "Race" not in p.name and "Building" not in p.name]
SCENERY = [p for p in ALL if re.search("(Point|Car)(Race|Building)", p.name)]
RACECAR = [p for p in ALL if "Racecar" in p.name]
OLD = [p for p in ALL if "mj2.3.3" in p.name]
LAYOUTS = sorted(SHARED.glob("layouts-*.npz"))


def names(paths):
    return [path.stem for path in paths]


@needs_recorded_mujoco
@pytest.mark.parametrize("path", sorted(HERE.glob("*.npz")), ids=names(sorted(HERE.glob("*.npz"))))
def test_trace_in_the_repository(path):
    golden.check_whole_trace(Trace(path))


@pytest.mark.parametrize("path", sorted(HERE.glob("*.npz")), ids=names(sorted(HERE.glob("*.npz"))))
def test_layout_and_first_steps_on_any_mujoco(path):
    trace = Trace(path)
    simulation = trace.simulation()
    simulation.reset(trace.meta["seed"])
    golden.check_reset(trace, simulation)
    lidar = simulation.robot.sensors
    np.testing.assert_allclose(simulation.observe()[lidar:], trace["reset_obs"][lidar:], rtol=0, atol=1e-9)
    # A Car's wheels begin exactly on the ground: from MuJoCo 4 on other points of them touch it in the first step.
    tolerance = 1e-2 if "Car" in path.name and int(mujoco.__version__.split(".")[0]) >= 4 else 1e-4
    for i in range(3):
        simulation.step(trace["actions"][i])
        np.testing.assert_allclose(simulation.world.robot_position, trace["agent_pos"][i], rtol=0, atol=tolerance)


@needs_shared
@needs_recorded_mujoco
@pytest.mark.parametrize("path", EXACT, ids=names(EXACT))
def test_every_value_of_every_step(path):
    golden.check_whole_trace(Trace(path))


@needs_shared
@needs_recorded_mujoco
@pytest.mark.parametrize("task", ["PointGoal1", "PointFadingHard2", "CarPush1", "PointButton0"])
def test_both_profiles_give_the_same_numbers_where_the_sheet_says_so(task):
    golden.check_whole_trace(Trace(SHARED / f"Safety{task}-seed001-mj3.17.npz"), profile="github")


@needs_shared
@needs_recorded_mujoco
@pytest.mark.parametrize("path", SCENERY, ids=names(SCENERY))
def test_replacement_scenery_changes_nothing_before_it_is_touched(path):
    """Race and BuildingGoal have our own collision shapes, so the traces agree until something of them is touched."""
    trace = Trace(path)
    simulation = trace.simulation()
    simulation.reset(trace.meta["seed"])
    golden.check_reset(trace, simulation)
    np.testing.assert_allclose(simulation.observe(), trace["reset_obs"], rtol=0, atol=TOLERANCE)
    # vases settle onto the ground on another shape: their lidar readings shift by less than 0.1 mm of 3 m
    tolerance = 1e-4 if "BuildingGoal" in path.name and "BuildingGoal0" not in path.name else TOLERANCE
    contact_entry = (
        list(trace["cost_names"]).index("cost_static_geoms_contact")
        if ("cost_static_geoms_contact" in trace["cost_names"])
        else None
    )
    compared = 0
    for i, action in enumerate(trace["actions"]):
        result = simulation.step(action)
        ours = _touches_anything_solid(simulation.world)
        theirs = contact_entry is not None and trace["costs"][i, contact_entry] > 0
        moved = np.abs(simulation.observe() - trace["obs"][i]).max() > tolerance
        # a touch within the ten substeps of a frame can be over at its end: it shows in the next frame at the latest
        if ours or theirs or (moved and _closest(simulation.world) < 0.03):
            break
        np.testing.assert_allclose(simulation.observe(), trace["obs"][i], rtol=0, atol=tolerance)
        golden.check_step(trace, i, result, simulation)
        compared += 1
    assert compared >= 50


def _solid(world):
    """Scenery of every level, and vases."""
    bodies = [name for name in (world.model.body(i).name for i in range(world.model.nbody)) if _is_solid(name)]
    ids = [world.model.body(name).id for name in bodies]
    return np.flatnonzero(np.isin(world.model.geom_bodyid, ids))


def _is_solid(name):
    return re.match("walls|box|light|machine|vase", name) is not None


def _touches_anything_solid(world):
    return _closest(world) <= 0.0


def _closest(world):
    """Smallest distance in metres between a robot geom and scenery or vase, by MuJoCo's own distance."""
    pairs = [(int(a), int(b)) for a in world.geoms("robot") for b in _solid(world)]
    return min(mujoco.mj_geomDistance(world.model, world.data, a, b, 0.05, None) for a, b in pairs)


@needs_shared
@needs_recorded_mujoco
@pytest.mark.parametrize("path", RACECAR, ids=names(RACECAR))
def test_racecar_drives_like_the_original(path):
    """The chassis is a stand-in: layouts are equal, and the path stays within 2 cm until the first contact."""
    trace = Trace(path)
    simulation = trace.simulation()
    simulation.reset(trace.meta["seed"])
    golden.check_reset(trace, simulation)
    contact = trace["costs"][:, list(trace["cost_names"]).index("cost_static_geoms_contact")]
    steps = int(np.argmax(contact > 0)) if (contact > 0).any() else len(contact)
    assert steps >= 30
    for i in range(min(steps, 100)):
        simulation.step(trace["actions"][i])
        np.testing.assert_allclose(simulation.world.robot_position, trace["agent_pos"][i], rtol=0, atol=0.02)


@needs_shared
@pytest.mark.parametrize("path", OLD, ids=names(OLD))
def test_layouts_of_the_originals_own_mujoco(path):
    trace = Trace(path)
    simulation = trace.simulation()
    simulation.reset(trace.meta["seed"])
    golden.check_reset(trace, simulation)
    lidar = simulation.robot.sensors
    np.testing.assert_allclose(simulation.observe()[lidar:], trace["reset_obs"][lidar:], rtol=0, atol=1e-9)


@needs_shared
@pytest.mark.parametrize("path", LAYOUTS, ids=names(LAYOUTS))
def test_twenty_layouts_in_a_row(path):
    match = re.match(r"layouts-Safety(Point|Car|Racecar)(.+)-seeds", path.name)
    trace = Trace(path)
    assert (trace.robot, trace.task) == match.groups()
    simulation = trace.simulation("github" if "github" in path.name else "pypi")
    sensors = simulation.robot.sensors
    for i, seed in enumerate(trace["seed"]):
        simulation.reset(int(seed))
        world = simulation.world
        sampled = golden.layout_array(world.sampled_layout, trace["layout_names"])
        np.testing.assert_array_equal(sampled, trace["layout_sampled_xy"][i])
        np.testing.assert_array_equal(golden.layout_array(world.layout, trace["layout_names"]), trace["layout_xy"][i])
        assert world.heading == trace["agent_rot"][i]
        assert golden.peek(simulation) == trace["rng_peek"][i]
        np.testing.assert_allclose(simulation.observe()[sensors:], trace["reset_obs"][i, sensors:], rtol=0, atol=1e-9)
        if "goal_button" in trace:
            assert simulation.task.target_button == trace["goal_button"][i]
