"""Devices that are not here: the vendors' calling conventions over the simulated arm, and time that passes in steps.

Names, arguments and conventions are those of panda-python 1.1.1, pyrealsense2 2.59 and pyspacemouse 2.1.0, which
`test_vendors.py` compares with the packages where they are installed.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from enum import StrEnum
from types import ModuleType, SimpleNamespace

import gymnasium
import mujoco
import numpy as np

from fosp.envs.reach.simulation import SimulatedArm
from fosp.envs.reach.tasks import PLACES, TARGETS, TASKS, Layout, draw_layout
from fosp.hardware.operator import OBSTACLE, TARGET

MARGIN = 125  # columns of a frame beside its middle square
SCALE = 5  # pixels of a frame for each of the agent's


class World:
    """Arm, table, camera and clock; and the person, who does as asked and says what is touched."""

    def __init__(self, task: str = "SafeReach") -> None:
        self.task, self.arm = TASKS[task], SimulatedArm(TASKS[task])
        self.target: tuple[np.ndarray, np.ndarray] | None = None  # where the impedance control pulls
        self.now, self.seed = 0.0, 0
        self.seeds: Iterator[int] = iter(())  # of episodes to come, in place of `seed`
        self.requests: list[str] = []
        self.holding, self.error, self.force, self.blind = True, "", 0.0, False
        self.controlled = self.connected = self.filming = self.at_terminal = False
        self.sent: list[np.ndarray] = []

    # the clock of ReachEnv
    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds
        assert self.controlled
        self.arm.command(*self.target)

    # the person
    def confirm(self, request: str) -> None:
        self.requests.append(request)
        if (found := re.search(r"target at (\(.*?\)), obstacles at (.*) cm", request)) is None:
            return
        (target,), places = (numbers(part) for part in found.groups())
        self.seed = next(self.seeds, self.seed)
        layout = Layout(closest(target, TARGETS), tuple(closest(place, PLACES) for place in places))
        rng, _ = gymnasium.utils.seeding.np_random(self.seed)  # things stand as the simulation of this seed puts them
        assert draw_layout(self.task, rng) == layout
        self.arm.reset(layout, rng)

    def held(self) -> bool:
        return self.holding

    def said(self, key: str) -> bool:
        events = self.arm.events()
        return {TARGET: events.touch_target, OBSTACLE: events.touch_obstacle}[key]

    def close(self) -> None:
        self.at_terminal = False

    @property
    def free(self) -> bool:
        """Whether all devices were given back."""
        return not any((self.controlled, self.filming, self.at_terminal))


def numbers(text: str) -> list[np.ndarray]:
    return [np.array([float(x) for x in pair.split(",")]) for pair in re.findall(r"\((.*?)\)", text)]


def closest(centimetres: np.ndarray, places: np.ndarray) -> int:
    return int(np.argmin(np.linalg.norm(places - centimetres / 100, axis=1)))


def install(monkeypatch, world: World) -> None:
    """The vendors' packages, speaking to `world`, and the person at the terminal."""

    class CartesianImpedance:
        def __init__(self, impedance=None, damping_ratio=1.0, nullspace_stiffness=0.5, filter_coeff=1.0):
            assert impedance.shape == (6, 6)

        def set_control(self, position, orientation, q_nullspace=None):
            assert position.shape == (3,)
            assert orientation.shape == (4,)
            assert q_nullspace.shape == (7,)
            matrix = np.empty(9)
            mujoco.mju_quat2Mat(matrix, np.roll(orientation, 1))  # x, y, z, w
            world.target = position.copy(), matrix.reshape(3, 3)
            world.sent.append(position.copy())

    class Panda:
        def __init__(self, hostname, name="panda", realtime_config=None):
            if hostname != "10.0.0.1":
                raise RuntimeError("libfranka: Connection to FCI refused")
            world.connected = True

        def recover(self):
            world.error = ""

        def raise_error(self):
            if world.error:
                raise RuntimeError(world.error)

        def move_to_joint_position(self, positions, speed_factor=0.2):
            assert not world.controlled
            return True

        def start_controller(self, controller):
            world.controlled = True

        def stop_controller(self):
            world.controlled = False

        def get_pose(self):
            pose = np.eye(4)
            pose[:3, 3], pose[:3, :3] = world.arm.tcp()
            return pose

        def get_state(self):
            return SimpleNamespace(O_F_ext_hat_K=[world.force, 0, 0, 0, 0, 0])

    class Pipeline:
        def start(self, config):
            if config.serial not in ("", "42"):
                raise RuntimeError("No device connected")
            world.filming = True

        def stop(self):
            world.filming = False

        def wait_for_frames(self, timeout_ms=5000):
            if world.blind:
                raise RuntimeError(f"Frame didn't arrive within {timeout_ms}")
            middle = np.kron(world.arm.picture(), np.ones((SCALE, SCALE, 1), np.uint8))
            frame = np.pad(middle, ((0, 0), (MARGIN, MARGIN), (0, 0)))
            return SimpleNamespace(get_color_frame=lambda: SimpleNamespace(get_data=lambda: frame))

    class RealSenseConfig:
        serial = ""

        def enable_device(self, serial):
            self.serial = serial

        def enable_stream(self, stream_type, width, height, format, framerate):
            assert (stream_type, format) == ("colour", "rgb8")

    class AxisConvention(StrEnum):
        ROS = "ros"

    class Puck:
        def read(self):
            return SimpleNamespace(t=0.0, x=0.5, y=-0.02, z=0.0, roll=0.0, pitch=0.03, yaw=-0.25, buttons=[0, 0])

    def module(name, **content):
        made = ModuleType(name)
        vars(made).update(content)
        monkeypatch.setitem(sys.modules, name, made)
        return made

    controllers = module("panda_py.controllers", CartesianImpedance=CartesianImpedance)
    module("panda_py", Panda=Panda, controllers=controllers)
    module(
        "pyrealsense2",
        pipeline=Pipeline,
        config=RealSenseConfig,
        stream=SimpleNamespace(color="colour"),
        format=SimpleNamespace(rgb8="rgb8"),
    )
    module("pyspacemouse", open=lambda axis_convention=None: Puck(), AxisConvention=AxisConvention)

    def sit_down():
        world.at_terminal = True
        return world

    monkeypatch.setattr("fosp.hardware.franka.TerminalOperator", sit_down)
    monkeypatch.setattr("fosp.envs.reach.env.time", world)
