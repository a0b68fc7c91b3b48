"""The arm's kinematics and how it follows commands."""

import mujoco
import numpy as np
import pytest

from fosp.envs.reach import arm, kinematics
from fosp.envs.reach.kinematics import InverseKinematics
from fosp.envs.reach.pose import HIGH, LEASH, LOW, from_pose, moved, to_pose
from fosp.envs.reach.scene import arm_xml
from fosp.envs.reach.simulation import START_POSE, SimulatedArm
from fosp.envs.reach.tasks import TASKS, Layout
from fosp.errors import InputError

# a, d (metres), alpha (radians) of the manufacturer's table in Craig's convention; the last row is the flange
TABLE = [
    (0, 0.333, 0),
    (0, 0, -np.pi / 2),
    (0, 0.316, np.pi / 2),
    (0.0825, 0, np.pi / 2),
    (-0.0825, 0.384, -np.pi / 2),
    (0, 0, np.pi / 2),
    (0.088, 0, np.pi / 2),
    (0, 0.107, 0),
]


def forward(joints):
    """Homogeneous transform of the tool centre point from the table."""
    pose = np.eye(4)
    for (a, d, alpha), theta in zip(TABLE, [*joints, -np.pi / 4], strict=True):  # the hand is turned by -45 degrees
        ca, sa, ct, st = np.cos(alpha), np.sin(alpha), np.cos(theta), np.sin(theta)
        pose = pose @ [
            [ct, -st, 0, a],
            [st * ca, ct * ca, -sa, -d * sa],
            [st * sa, ct * sa, ca, d * ca],
            [0, 0, 0, 1],
        ]
    return pose @ [[1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 1, 0.1034], [0, 0, 0, 1]]


def test_forward_kinematics_are_those_of_the_table():
    model = mujoco.MjModel.from_xml_string(arm_xml())
    data, rng = mujoco.MjData(model), np.random.default_rng(0)
    for _ in range(20):
        data.qpos[:] = rng.uniform(arm.LOW, arm.HIGH)
        mujoco.mj_kinematics(model, data)
        expected = forward(data.qpos)
        np.testing.assert_allclose(data.site(arm.TCP).xpos, expected[:3, 3], atol=1e-9)
        np.testing.assert_allclose(data.site(arm.TCP).xmat.reshape(3, 3), expected[:3, :3], atol=1e-9)


def test_the_start_joints_point_straight_down_at_the_start():
    pose = forward(arm.START_JOINTS)
    np.testing.assert_allclose(pose[:3, 3], START_POSE[:3], atol=2e-4)
    np.testing.assert_allclose(pose[:3, :3], np.diag([1, -1, -1]), atol=2e-4)


def test_poses_go_there_and_back_without_a_jump():
    rng = np.random.default_rng(0)
    for pose in rng.uniform(LOW, HIGH, (50, 6)):
        np.testing.assert_allclose(to_pose(*from_pose(pose)), pose, atol=1e-12)
    # pointing down and turned a little to either side: the numbers stay small and change sign
    left, right = (to_pose(np.zeros(3), from_pose(np.array([0, 0, 0, 0, 0, s]))[1])[5] for s in (1e-3, -1e-3))
    assert left == pytest.approx(1e-3)
    assert right == pytest.approx(-1e-3)
    # 0.1 rad about base z: the tool's x axis turns towards y
    _, rotation = from_pose(np.array([0, 0, 0, 0, 0, 0.1]))
    np.testing.assert_allclose(rotation[:, 0], [np.cos(0.1), np.sin(0.1), 0])


def test_actions_move_the_command_within_leash_and_workspace():
    middle = np.array([0.5, 0.0, 0.045, 0, 0, 0])
    action = np.array([1, -1, 0.5, 1, 0, -0.5])
    expected = middle + np.array([0.010, -0.010, 0.005, 0.03, 0, -0.015])
    np.testing.assert_allclose(moved(middle, action, middle, 0.1), expected)
    np.testing.assert_allclose(moved(middle, action, middle, 0.05), (middle + expected) / 2)
    command = middle
    for _ in range(30):  # an arm that does not move: the leash, in height the workspace
        command = moved(command, np.ones(6), middle, 0.1)
    np.testing.assert_allclose(command, np.minimum(middle + LEASH, HIGH))
    command = middle
    for _ in range(30):  # an arm that follows
        command = moved(command, -np.ones(6), command, 0.1)
    np.testing.assert_allclose(command, LOW)


def simulate(sim, actions):
    """Follows actions with the objects out of the way; returns commands, poses, targets and joint velocities."""
    sim.reset(Layout(1, (0, 4)), np.random.default_rng(0))
    for i, joint in enumerate(sim._objects):
        joint.qpos[:2] = (0.0, 0.4 + 0.07 * i)
    command = to_pose(*sim.tcp())
    rows = []
    for action in actions:
        command = moved(command, action, to_pose(*sim.tcp()), 0.1)
        sim.command(*from_pose(command))
        rows.append((command, to_pose(*sim.tcp()), sim._joints, sim.data.qpos[:7].copy(), sim.data.qvel[:7].copy()))
    return [np.array(parts) for parts in zip(*rows, strict=True)]


def test_the_arm_follows_within_its_limits():
    """500 steps of new full-scale signs every time, 500 that each go on for 40 steps, into the workspace's corners."""
    rng = np.random.default_rng(1)
    signs = rng.choice([-1.0, 1.0], (500, 6))
    corners = np.repeat(rng.choice([-1.0, 1.0], (13, 6)), 40, axis=0)[:500]
    commands, poses, targets, joints, speeds = simulate(SimulatedArm(TASKS["SafeReach"]), [*signs, *corners])
    assert np.linalg.norm((poses - commands)[:, :3], axis=1).max() < 0.010
    assert np.linalg.norm((poses - commands)[:, :3], axis=1).mean() < 0.005
    assert np.abs((poses - commands)[:, 3:]).max() < 0.03
    assert (joints > arm.LOW).all()
    assert (joints < arm.HIGH).all()
    assert (np.abs(np.diff(targets, axis=0)) / 0.1 <= 0.9 * arm.SPEEDS + 1e-9).all()
    assert (np.abs(speeds) <= arm.SPEEDS).all()
    assert np.ptp(commands, axis=0) == pytest.approx(HIGH - LOW)  # it has been everywhere


def stray(posture_cost, monkeypatch):
    """Largest distance of any joint from its start over 1000 steps into corners of the workspace."""
    monkeypatch.setattr(kinematics, "POSTURE_COST", posture_cost)
    solver, rng = InverseKinematics(0.1), np.random.default_rng(2)
    joints, command, farthest = arm.START_JOINTS, START_POSE, 0.0
    for i in range(1000):
        if i % 40 == 0:
            action = rng.choice([-1.0, 1.0], 6)
        command = moved(command, action, command, 0.1)
        joints = solver.follow(joints, *from_pose(command))
        farthest = max(farthest, np.abs(joints - arm.START_JOINTS).max())
    return farthest


def test_the_posture_cost_keeps_the_arm_from_straying(monkeypatch):
    kept = stray(kinematics.POSTURE_COST, monkeypatch)
    assert kept < 1.3
    assert stray(1e-4, monkeypatch) > kept + 0.15


def test_control_rates_that_do_not_fit_are_named():
    for control_hz in (7.0, 0.0, -10.0, 1000.0):
        with pytest.raises(InputError, match="control_hz"):
            SimulatedArm(TASKS["SafeReach"], control_hz=control_hz)


def test_twice_the_rate_has_half_the_steps():
    slow, fast = (SimulatedArm(TASKS["SafeReach"], control_hz=hz) for hz in (10.0, 20.0))
    for sim, steps in ((slow, 5), (fast, 10)):
        sim.reset(Layout(1, (0, 2)), np.random.default_rng(0))
        command = to_pose(*sim.tcp())
        for _ in range(steps):
            command = moved(command, np.array([1.0, 0, 0, 0, 0, 0]), to_pose(*sim.tcp()), 1 / sim.control_hz)
            sim.command(*from_pose(command))
    np.testing.assert_allclose(to_pose(*slow.tcp()), to_pose(*fast.tcp()), atol=2e-3)


def test_without_mink_the_sentence_names_the_extra(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "mink", None)
    with pytest.raises(InputError, match=r"fosp\[reach\]"):
        SimulatedArm(TASKS["SafeReach"])
