"""The SafeReach scene as MuJoCo XML. World frame: the robot's base; x forward, y left, z up from the table's top."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import numpy as np

from fosp.envs.reach import arm
from fosp.envs.reach.pose import CENTRE, HALF_WIDTH
from fosp.envs.reach.tasks import ReachTask, Shape
from fosp.envs.xml import numbers
from fosp.errors import InputError

TIMESTEP = 0.002  # seconds
CAMERA = "front"
CAMERA_POSITION, CAMERA_TARGET = np.array([0.96, 0.0, 0.38]), np.array([0.475, 0.0, 0.06])
CAMERA_FOV = 42  # degrees: the square in the middle of a RealSense D435's colour picture
LOOKS = ("primitive", "mesh")

_GREEN, _RED = "0.05 0.55 0.15 1", "0.85 0.06 0.05 1"
_LINE = 0.01  # metres: width of the white lines
_MESHES = (*(f"link{number}" for number in range(8)), "hand", "finger")


def obstacle(number: int) -> str:
    """The name of an obstacle's body."""
    return f"obstacle{number}"


def scene_xml(task: ReachTask, robot_visual: str) -> str:
    """Table, lines, arm, obstacles and target; the objects stand in the origin until they are placed.

    Objects at rest sleep, as MuJoCo calls it, until something touches them: three times as many physics steps a second.
    """
    names = [obstacle(number) for number in range(task.obstacles)]
    objects = "".join(_free(name, task.obstacle, _GREEN, 0.08, "0.6 0.005 0.0005") for name in names)
    objects += _free("target", task.target, _RED, 0.15, "0.8 0.01 0.001")
    touches = "".join(
        f'<contact name="touch_{name}" subtree1="{arm.ARM}" body2="{name}" data="found"/>'
        for name in (*names, "target")
    )
    meshes = robot_visual == "mesh"
    assets = "".join(f'<mesh name="{name}" file="{name}.stl"/>' for name in _MESHES) if meshes else ""
    return f"""<mujoco model="SafeReach">
  <compiler angle="radian"/>
  <option timestep="{TIMESTEP}" integrator="implicitfast" cone="elliptic" impratio="10"><flag sleep="enable"/></option>
  <statistic center="0.5 0 0" extent="1"/>
  <visual>
    <map znear="0.01"/>
    <headlight ambient="0.35 0.35 0.35" diffuse="0.25 0.25 0.25" specular="0.05 0.05 0.05"/>
  </visual>
  <default>
    {arm.DEFAULTS}
    <default class="object"><geom contype="2" conaffinity="7" condim="6" solref="0.01 1"/></default>
    <default class="line"><geom type="box" contype="0" conaffinity="0" rgba="0.97 0.97 0.97 1"/></default>
  </default>
  <asset>
    <texture type="skybox" builtin="gradient" rgb1="0.55 0.57 0.60" rgb2="0.30 0.31 0.33" width="64" height="384"/>
    {assets}
  </asset>
  <worldbody>
    <light directional="true" pos="0.8 -0.35 1.2" dir="-0.3 0.35 -1" diffuse="0.55 0.55 0.55" specular="0.1 0.1 0.1"/>
    <light directional="true" dir="0.2 -0.6 -1" diffuse="0.2 0.2 0.2" specular="0 0 0" castshadow="false"/>
    <camera name="{CAMERA}" fovy="{CAMERA_FOV}" pos="{numbers(CAMERA_POSITION)}" xyaxes="{numbers(_camera_axes())}"/>
    <geom type="plane" pos="0.35 0 -0.75" size="3 3 3" contype="0" conaffinity="0" rgba="0.32 0.31 0.30 1"/>
    <geom type="box" pos="0.35 0 -0.02" size="0.5 0.6 0.02" contype="4" conaffinity="3" friction="0.6"
          rgba="0.36 0.34 0.33 1"/>
    {_lines()}
    {arm.bodies(meshes)}
    {objects}
  </worldbody>
  <actuator>{arm.servos()}</actuator>
  <sensor>{touches}</sensor>
</mujoco>"""


def arm_xml() -> str:
    """The arm alone, for kinematics."""
    return (
        f'<mujoco model="Panda"><compiler angle="radian"/><default>{arm.DEFAULTS}</default>'
        f"<worldbody>{arm.bodies(meshes=False)}</worldbody></mujoco>"
    )


def mesh_files(robot_visual: str) -> dict[str, bytes]:
    """The files that ``scene_xml`` names: none for the look of primitives.

    Raises:
        InputError: if the look is unknown or the package that brings the meshes is not installed.
    """
    if robot_visual not in LOOKS:
        raise InputError(f"robot_visual={robot_visual!r} is unknown: use one of {', '.join(LOOKS)}.")
    if robot_visual == "primitive":
        return {}
    package = importlib.util.find_spec("gymnasium_robotics")
    if package is None or package.origin is None:
        raise InputError("robot_visual='mesh' needs the package gymnasium-robotics: pip install 'fosp[mesh]'.")
    folder = Path(package.origin).parent / "envs/assets/kitchen_franka/franka_assets/meshes/collision"
    return {f"{name}.stl": (folder / f"{name}.stl").read_bytes() for name in _MESHES}


def _free(name: str, shape: Shape, colour: str, mass: float, friction: str) -> str:
    return (
        f'<body name="{name}"><freejoint name="{name}"/><geom class="object" type="{shape.kind}" '
        f'size="{numbers(shape.size)}" mass="{mass}" friction="{friction}" rgba="{colour}"/></body>'
    )


def _lines() -> str:
    """The border of the workspace on the table, to be seen only."""
    x, y = CENTRE
    along, across = f"{HALF_WIDTH + _LINE / 2} {_LINE / 2} 0.0004", f"{_LINE / 2} {HALF_WIDTH + _LINE / 2} 0.0004"
    return "".join(
        f'<geom class="line" pos="{x} {y + side * HALF_WIDTH} 0.0004" size="{along}"/>'
        f'<geom class="line" pos="{x + side * HALF_WIDTH} {y} 0.0004" size="{across}"/>'
        for side in (-1, 1)
    )


def _camera_axes() -> np.ndarray:
    """The camera's x and y axes: it looks from its position at its target, upright."""
    back = CAMERA_POSITION - CAMERA_TARGET
    right = np.cross([0.0, 0.0, 1.0], back)
    up = np.cross(back, right)
    return np.concatenate([right / np.linalg.norm(right), up / np.linalg.norm(up)])
