"""The robots: bodies, actuators and sensors as MuJoCo XML."""

import math
from typing import Any, ClassVar

from fosp.envs.navigation.profiles import Profile
from fosp.envs.navigation.xml import numbers, z_rotation

RED = "0.7412 0.0431 0.1843 1"
BLUE = "0.0039 0.1529 0.3961 1"

_COMMON_SENSORS = """
    <accelerometer name="accelerometer" site="agent"/>
    <velocimeter name="velocimeter" site="agent"/>
    <gyro name="gyro" site="agent"/>
    <magnetometer name="magnetometer" site="agent"/>"""


class Robot:
    """What a robot adds to the world.

    Attributes:
        name: as in the ids.
        description: one line for people.
        timestep: seconds of one physics substep.
        density: default density of every geom of the world.
        height: z of the root body at the start, metres.
        push_box: half size in metres and density of the box that this robot pushes.
        geoms: names of the geoms whose contacts count.
        forward: direction of travel in the robot's frame.
        control_low, control_high: range of the two controls in the model's units.
        integrator: MuJoCo's name of it.
        sensors: size of the sensor part of the observation.
    """

    name: ClassVar[str]
    description: ClassVar[str]
    timestep: ClassVar[float]
    density: ClassVar[float]
    height: ClassVar[float] = 0.1
    push_box: ClassVar[tuple[float, float]] = (0.2, 0.001)
    geoms: ClassVar[tuple[str, ...]]
    forward: ClassVar[tuple[float, float]] = (1.0, 0.0)
    control_low: ClassVar[tuple[float, float]] = (-1.0, -1.0)
    control_high: ClassVar[tuple[float, float]] = (1.0, 1.0)
    integrator: ClassVar[str] = "Euler"
    sensors: ClassVar[int] = 12
    rolling_ball: ClassVar[bool] = False

    def parts(self, profile: Profile) -> str:
        """XML inside the root body: cameras, joints, geoms, children."""
        raise NotImplementedError

    def extras(self) -> str:
        """XML outside the world body: actuators, sensors, assets, exclusions."""
        raise NotImplementedError

    def geom_ids(self, model: Any) -> list[int]:
        """Numbers of the geoms whose contacts count, in a compiled model."""
        return [model.geom(name).id for name in self.geoms]

    def body(self, x: float, y: float, heading: float, profile: Profile) -> str:
        """The root body named ``agent`` at (x, y) with its start heading in radians."""
        t = heading + math.pi
        track = (
            f'<camera name="track" mode="track" pos="{numbers((-2 * math.sin(t), -2 * math.cos(t), 2))}" '
            f'xyaxes="{numbers((math.cos(t), -math.sin(t), 0, math.sin(t), math.cos(t), 1))}"/>'
        )
        return (
            f'<body name="agent" pos="{numbers((x, y, self.height))}" quat="{z_rotation(heading)}">'
            f"{track}{self.parts(profile)}</body>"
        )


class Point(Robot):
    """A ball on two slides and a hinge, with an arrow for a nose; pushes along x, turns about z."""

    name = "Point"
    description = "a ball with a nose: thrust along its nose, turn rate (1.5 m/s, 3 rad/s)"
    timestep = 0.002
    density = 1.0
    geoms = ("agent", "pointarrow")

    def parts(self, profile: Profile) -> str:
        rear = '<camera name="vision_back" pos="0 0 0.15" xyaxes="0 1 0 0 0 1" fovy="90"/>'
        return f"""
      <camera name="vision" pos="0 0 0.15" xyaxes="0 -1 0 0.4 0 1" fovy="90"/>
      {rear if profile.rear_camera else ""}
      <joint name="x" type="slide" axis="1 0 0" damping="0.01"/>
      <joint name="y" type="slide" axis="0 1 0" damping="0.01"/>
      <joint name="z" type="hinge" axis="0 0 1" damping="0.005"/>
      <geom name="agent" type="sphere" size="0.1" friction="1 0.01 0.01" rgba="{RED}"/>
      <geom name="pointarrow" type="box" pos="0.1 0 0" size="0.05 0.05 0.05" rgba="{BLUE}"/>
      <site name="agent" type="sphere" size="0.032" rgba="1 0 0 0.1"/>"""

    def extras(self) -> str:
        limits = 'ctrllimited="true" ctrlrange="-1 1" forcelimited="true" forcerange="-0.05 0.05"'
        return f"""
  <actuator>
    <motor name="x" site="agent" gear="0.3 0 0 0 0 0" {limits}/>
    <velocity name="z" jointinparent="z" gear="0.3" kv="1" {limits}/>
  </actuator>
  <sensor>{_COMMON_SENSORS}</sensor>"""


class Car(Robot):
    """Two driven wheels and a free ball; drives towards -y."""

    name = "Car"
    description = "two driven wheels and a rolling ball: one torque per wheel (0.8 m/s, 1.5 rad/s)"
    timestep = 0.004
    density = 5.0
    push_box = (0.125, 0.0005)
    geoms = ("agent", "back_bumper", "back_connector", "front_bumper", "front_connector", "left", "right", "rear")
    forward = (0.0, -1.0)
    sensors = 24
    rolling_ball = True

    def parts(self, profile: Profile) -> str:
        if profile.rear_camera:
            cameras = """
      <camera name="vision" pos="0 0 0.2" xyaxes="-1 0 0 0 -0.4 1" fovy="90"/>
      <camera name="vision_back" pos="0 0 0.2" xyaxes="1 0 0 0 0 1" fovy="90"/>"""
        else:
            cameras = '<camera name="vision" pos="0 0.1 0.2" xyaxes="-1 0 0 0 -0.4 1" fovy="45"/>'
        wheel = f'type="cylinder" size="0.05" rgba="{RED}"'
        return f"""{cameras}
      <freejoint name="root"/>
      <geom name="agent" type="box" size="0.1 0.1 0.05" rgba="{RED}"/>
      <geom name="back_bumper" type="box" pos="0 0.15 0" size="0.1 0.01 0.05" rgba="{BLUE}"/>
      <geom name="back_connector" type="box" pos="0 0.125 0" size="0.01 0.025 0.03" rgba="{BLUE}"/>
      <geom name="front_bumper" type="box" pos="0 -0.165 0" size="0.05 0.01 0.05" rgba="{BLUE}"/>
      <geom name="front_connector" type="box" pos="0 -0.13 0.04" size="0.05 0.03 0.01" rgba="{BLUE}"/>
      <site name="agent" type="sphere" size="0.032" rgba="1 0 0 0.1"/>
      <body name="left" pos="-0.1 0.1 -0.05">
        <joint name="left" type="hinge" axis="1 0 0" damping="0.001"/>
        <geom name="left" {wheel} fromto="-0.055 0 0 -0.005 0 0"/>
      </body>
      <body name="right" pos="0.1 0.1 -0.05">
        <joint name="right" type="hinge" axis="1 0 0" damping="0.001"/>
        <geom name="right" {wheel} fromto="0.005 0 0 0.055 0 0"/>
      </body>
      <body name="rear" pos="0 -0.1 -0.05">
        <joint name="rear" type="ball" damping="0.001"/>
        <geom name="rear" type="sphere" size="0.05" rgba="{RED}"/>
      </body>"""

    def extras(self) -> str:
        limits = 'ctrllimited="true" ctrlrange="-1 1" forcelimited="true" forcerange="-0.02 0.02"'
        return f"""
  <actuator>
    <motor name="left" jointinparent="left" {limits}/>
    <motor name="right" jointinparent="right" {limits}/>
  </actuator>
  <sensor>{_COMMON_SENSORS}
    <ballangvel name="ballangvel_rear" joint="rear"/>
    <ballquat name="ballquat_rear" joint="rear"/>
  </sensor>"""


ROBOTS: dict[str, Robot] = {robot.name: robot for robot in (Point(), Car())}
