"""The robots: bodies, actuators and sensors as MuJoCo XML."""

import math
from abc import ABC, abstractmethod
from typing import Any, ClassVar

from fosp.envs.navigation.profiles import Profile
from fosp.envs.xml import numbers, z_rotation

RED = "0.7412 0.0431 0.1843 1"
BLUE = "0.0039 0.1529 0.3961 1"

_COMMON_SENSORS = """
    <accelerometer name="accelerometer" site="agent"/>
    <velocimeter name="velocimeter" site="agent"/>
    <gyro name="gyro" site="agent"/>
    <magnetometer name="magnetometer" site="agent"/>"""


class Robot(ABC):
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

    @abstractmethod
    def parts(self, profile: Profile) -> str:
        """XML inside the root body: cameras, joints, geoms, children."""

    @abstractmethod
    def extras(self) -> str:
        """XML outside the world body: actuators, sensors, assets, exclusions."""

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


class Racecar(Robot):
    """A front-steered car with driven rear wheels; only Race uses it.

    The chassis collides as a box with the extent, mass and inertia of the original's mesh.
    """

    name = "Racecar"
    description = "a steered car: speed of the rear axle, steering angle (2 m/s)"
    timestep = 0.004
    density = 5.0
    height = 0.05
    geoms = ()
    control_low = (-20.0, -0.785)
    control_high = (20.0, 0.785)
    integrator = "RK4"

    def geom_ids(self, model: Any) -> list[int]:
        root = model.body("agent").id
        return [geom for geom in range(model.ngeom) if model.body_rootid[model.geom_bodyid[geom]] == root]

    def parts(self, profile: Profile) -> str:
        place = 'pos="0.10 0 0.1"' if profile.rear_camera else 'pos="0.20 0 0.05"'
        cameras = f'<camera name="vision" {place} euler="1.57 -1.57 0" fovy="{90 if profile.rear_camera else 45}"/>'
        if profile.rear_camera:
            cameras += f'<camera name="vision_back" {place} euler="1.57 1.57 0" fovy="90"/>'
        bar = 'type="box" size="0.0165 0.0875 0.015" pos="0.39 0 0.04"'
        return f"""{cameras}
      <freejoint name="root"/>
      <site name="agent" type="sphere" size="0.032" pos="0.02 0 0" rgba="1 0 0 0.1"/>
      <body name="pos_change" pos="-0.16 0 0">
        <geom {bar} rgba="{BLUE}"/>
        <geom {bar} rgba="{BLUE}" contype="0" conaffinity="0" mass="0"/>
        <body name="car_body">
          <inertial pos="0.15558 -0.000383 0" mass="0.0242799" diaginertia="5.7e-5 3.29e-4 3.73e-4"/>
          <geom type="box" pos="0.1625 0 0" size="0.2025 0.1 0.03" rgba="{RED}"/>
        </body>
        {self._front_wheel("left", 0.1, -0.0225)}
        {self._front_wheel("right", -0.1, 0.0225)}
        <body name="diff_ring">
          <inertial pos="0 0 0" mass="0.0637" diaginertia="0.04411 0.02467 0.02467"/>
          <geom type="cylinder" size="0.025 0.005" pos="0 0.025 0" euler="1.5707963 0 0" rgba="{BLUE}"/>
        </body>
        <body name="diff_spiderA"><inertial {_PART}/></body>
        <body name="diff_spiderB"><inertial {_PART}/></body>
        <body>
          <joint name="diff_ring" type="hinge" axis="0 1 0"/>
          {self._rear_wheel("A", 1)}
          {self._rear_wheel("B", -1)}
        </body>
        <body name="diff2_ring" pos="0.32 0 0">
          <inertial pos="0 0 0" mass="0.0637" diaginertia="0.04411 0.02467 0.02467"/>
        </body>
        {"".join(f'<body name="diff2_{p}" pos="0.32 0 0"><inertial {_PART}/></body>' for p in _FRONT_PARTS)}
      </body>"""

    @staticmethod
    def _front_wheel(side: str, y: float, offset: float) -> str:
        return f"""
        <body name="{side}_steering_hinge" pos="0.325 {y} 0" quat="0.707105 0 0.707108 0">
          <inertial pos="0 0 0" mass="0.1" diaginertia="4e-6 4e-6 4e-6"/>
          <joint name="{side}_steering" type="hinge" axis="-1 0 0" limited="true" range="-0.785 0.785"/>
          <body name="{side}_front_wheel" quat="0.707105 0.707108 0 0">
            <inertial pos="0 0 {offset}" quat="0.5 0.5 -0.5 0.5" mass="0.34055"
                      diaginertia="4.1226e-4 2.6046e-4 2.6046e-4"/>
            <joint name="{side}_front_wheel" type="hinge" axis="0 0 -1"/>
            <geom type="cylinder" size="0.05 0.0225" pos="0 0 {offset}" rgba="{BLUE}"/>
          </body>
        </body>"""

    @staticmethod
    def _rear_wheel(side: str, sign: int) -> str:
        return f"""
          <body name="diff_side{side}">
            <inertial pos="0 {0.105201 * sign} 0" mass="0.39655" diaginertia="0.0450921 0.0256521 0.0250823"/>
            <geom type="cylinder" size="0.05 0.0225" pos="0 {0.1225 * sign} 0" euler="1.5707963 0 0" rgba="{BLUE}"/>
          </body>"""

    def extras(self) -> str:
        return f"""
  <contact>
    <exclude body1="car_body" body2="left_front_wheel"/>
    <exclude body1="car_body" body2="right_front_wheel"/>
  </contact>
  <equality><joint joint1="left_steering" joint2="right_steering"/></equality>
  <actuator>
    <velocity name="drive" joint="diff_ring" kv="1" forcelimited="true" forcerange="-1 1" ctrllimited="true"
              ctrlrange="-20 20"/>
    <position name="steer" joint="left_steering" kp="1" forcelimited="true" forcerange="-1 1" ctrllimited="true"
              ctrlrange="-0.785 0.785"/>
  </actuator>
  <sensor>{_COMMON_SENSORS}</sensor>"""


_PART = 'pos="0 0 0" mass="0.056" diaginertia="0.04411 0.02467 0.02467"'
_FRONT_PARTS = ("spiderA", "spiderB", "sideA", "sideB")

ROBOTS: dict[str, Robot] = {robot.name: robot for robot in (Point(), Car(), Racecar())}
