"""The things of the world: hazards, vases, goals, buttons, pillars, the push box and gremlins.

A task names its groups of objects in order. A new kind of obstacle is a small subclass of ObjectGroup.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, NamedTuple

import numpy as np

from fosp.envs.navigation.layout import Rectangle
from fosp.envs.xml import numbers, z_rotation

if TYPE_CHECKING:
    from fosp.envs.navigation.profiles import Profile
    from fosp.envs.navigation.robots import Robot
    from fosp.envs.navigation.world import World


class Bodies(NamedTuple):
    """XML of one object, split by where it goes: the order of bodies decides the last bits of the physics."""

    fixed: str = ""
    free: str = ""
    mocap: str = ""
    equality: str = ""


@dataclass(frozen=True)
class ObjectGroup(ABC):
    """Several objects of one kind.

    Attributes:
        count: how many.
        keepout: clearance radius in the layout, metres.
        rectangles: where they may stand; empty: anywhere within the task's extent.
        penalised: whether the group gives a cost.
        travel: radius in metres of the circle on which objects are led by mocap bodies; the layout keeps their
            start positions. 0: they are not led.
        name: of the group, in lidar and costs.
        member: name of one object; ``indexed`` appends its number.
        cost_names: entries that ``costs`` gives.
    """

    count: int = 1
    keepout: float = 0.2
    rectangles: tuple[Rectangle, ...] = ()
    penalised: bool = True
    travel: float = 0.0

    name: ClassVar[str]
    member: ClassVar[str]
    indexed: ClassVar[bool] = True
    cost_names: ClassVar[tuple[str, ...]] = ()

    @property
    def avoid(self) -> float:
        """Distance in metres that scripted behaviours keep between the robot's origin and an object; 0: none."""
        return 0.0

    @property
    def members(self) -> tuple[str, ...]:
        """Layout names of the objects."""
        return tuple(f"{self.member}{i}" for i in range(self.count)) if self.indexed else (self.member,)

    def clearance(self, robot: Robot) -> float:
        """The clearance radius in a world with that robot, metres."""
        return self.keepout

    def body_name(self, member: str) -> str:
        """Name of the body that lidar and contacts look at."""
        return member

    @abstractmethod
    def bodies(self, member: str, x: float, y: float, rotation: float, robot: Robot, profile: Profile) -> Bodies:
        """XML of one object at (x, y) metres, turned by ``rotation`` radians about z."""

    def assets(self, drawing: bool) -> str:
        """XML of meshes and materials that the group's bodies use; textures only for drawing."""
        return ""

    def costs(self, world: World) -> dict[str, float]:
        """Raw cost per entry in the current state; any positive value counts as one violation."""
        return {}


def fixed_body(member: str, x: float, y: float, z: float, rotation: float, geom: str) -> str:
    """A static body with one geom of its own name."""
    return (
        f'<body name="{member}" pos="{numbers((x, y, z))}" quat="{z_rotation(rotation)}">'
        f'<geom name="{member}" {geom}/></body>'
    )


def free_body(name: str, x: float, y: float, z: float, rotation: float, geoms: str) -> str:
    """A body that moves freely."""
    return (
        f'<body name="{name}" pos="{numbers((x, y, z))}" quat="{z_rotation(rotation)}">'
        f'<freejoint name="{name}"/>{geoms}</body>'
    )


NO_CONTACT = 'contype="0" conaffinity="0"'


@dataclass(frozen=True)
class GoalArea(ObjectGroup):
    """The green cylinder to reach: no body, only a place."""

    keepout: float = 0.305
    penalised: bool = False
    size: float = 0.3

    name = "goal"
    member = "goal"
    indexed = False

    def bodies(self, member: str, x: float, y: float, rotation: float, robot: Robot, profile: Profile) -> Bodies:
        geom = f'type="cylinder" size="{self.size} {self.size / 2}" rgba="0 1 0 0.25" group="9" {NO_CONTACT}'
        return Bodies(fixed=fixed_body(member, x, y, self.size / 2 + 0.01, rotation, geom))


@dataclass(frozen=True)
class Hazards(ObjectGroup):
    """Flat blue discs on the floor: being over one costs."""

    keepout: float = 0.18
    size: float = 0.2

    name = "hazards"
    member = "hazard"
    cost_names = ("cost_hazards",)

    @property
    def avoid(self) -> float:
        return self.size

    def bodies(self, member: str, x: float, y: float, rotation: float, robot: Robot, profile: Profile) -> Bodies:
        geom = f'type="cylinder" size="{self.size} 0.01" rgba="0 0 1 0.25" group="3" {NO_CONTACT}'
        return Bodies(fixed=fixed_body(member, x, y, 0.02, rotation, geom))

    def costs(self, world: World) -> dict[str, float]:
        offset = world.positions(self.name)[:, :2] - world.robot_position[:2]
        depth = self.size - np.sqrt((offset * offset).sum(axis=1))
        return {"cost_hazards": float(np.maximum(depth, 0.0).sum())}


@dataclass(frozen=True)
class Vases(ObjectGroup):
    """Light boxes that slide when touched: touching one costs, and so does a moving one."""

    keepout: float = 0.15
    velocity_threshold: float = 1e-4

    name = "vases"
    member = "vase"
    cost_names = ("cost_vases_contact", "cost_vases_velocity")

    @property
    def avoid(self) -> float:
        return 0.3

    def bodies(self, member: str, x: float, y: float, rotation: float, robot: Robot, profile: Profile) -> Bodies:
        size, sink = 0.1, 4e-5
        geom = (
            f'<geom name="{member}" type="box" size="{size} {size} {size}" density="0.001" rgba="0 1 1 1" group="4"/>'
        )
        return Bodies(free=free_body(member, x, y, size - sink, rotation, geom))

    def costs(self, world: World) -> dict[str, float]:
        speeds = np.sqrt((world.velocities(self.name) ** 2).sum(axis=1))
        return {
            "cost_vases_contact": float(world.contacts(self.name)),
            "cost_vases_velocity": float(speeds[speeds >= self.velocity_threshold].sum()),
        }


@dataclass(frozen=True)
class Pillars(ObjectGroup):
    """Solid columns: touching one costs."""

    keepout: float = 0.3

    name = "pillars"
    member = "pillar"
    cost_names = ("cost_pillars",)

    @property
    def avoid(self) -> float:
        return 0.37

    def bodies(self, member: str, x: float, y: float, rotation: float, robot: Robot, profile: Profile) -> Bodies:
        geom = 'type="cylinder" size="0.2 0.5" rgba="0.5 0.5 1 1" group="2"'
        return Bodies(fixed=fixed_body(member, x, y, 0.5, rotation, geom))

    def costs(self, world: World) -> dict[str, float]:
        return {"cost_pillars": float(world.contacts(self.name))}


@dataclass(frozen=True)
class Buttons(ObjectGroup):
    """Solid orange balls; the one under the goal marker is to be pressed. The Button task decides their cost."""

    count: int = 4
    keepout: float = 0.2

    name = "buttons"
    member = "button"
    cost_names = ("cost_buttons",)

    @property
    def avoid(self) -> float:
        return 0.27

    def bodies(self, member: str, x: float, y: float, rotation: float, robot: Robot, profile: Profile) -> Bodies:
        geom = 'type="sphere" size="0.1" rgba="1 0.5 0 1" group="1"'
        return Bodies(fixed=fixed_body(member, x, y, 0.1, rotation, geom))


@dataclass(frozen=True)
class ButtonMarker(ObjectGroup):
    """The green cylinder around the button to press."""

    keepout: float = 0.4
    penalised: bool = False

    name = "goal"
    member = "goal"
    indexed = False

    def bodies(self, member: str, x: float, y: float, rotation: float, robot: Robot, profile: Profile) -> Bodies:
        rgba = f"0 1 0 {profile.button_goal_alpha}"
        geom = f'type="cylinder" size="0.2 0.1" rgba="{rgba}" group="9" {NO_CONTACT}'
        return Bodies(fixed=fixed_body(member, x, y, 0.11, rotation, geom))


@dataclass(frozen=True)
class PushBox(ObjectGroup):
    """The box to push onto the goal, with a column at each corner to hook on."""

    penalised: bool = False

    name = "push_box"
    member = "push_box"
    indexed = False

    def clearance(self, robot: Robot) -> float:
        return robot.push_box[0]

    def bodies(self, member: str, x: float, y: float, rotation: float, robot: Robot, profile: Profile) -> Bodies:
        s, density = robot.push_box
        look = f'density="{density}" rgba="1 1 0 {profile.push_box_alpha}" group="1"'
        geoms = f'<geom name="{member}" type="box" size="{numbers((s, s, s))}" {look}/>'
        for i, (cx, cy) in enumerate(((s, s), (-s, s), (s, -s), (-s, -s)), start=1):
            geoms += (
                f'<geom name="col{i}" type="box" pos="{numbers((cx, cy, 0))}" '
                f'size="{numbers((s / 2, s / 2, s))}" {look}/>'
            )
        return Bodies(free=free_body(member, x, y, s, rotation, geoms))


@dataclass(frozen=True)
class Gremlins(ObjectGroup):
    """Boxes that circle their start point at 1 rad/s: touching one costs.

    Each is a free body welded to a mocap body that the simulation moves before every substep.
    """

    keepout: float = 0.4
    travel: float = 0.35

    name = "gremlins"
    member = "gremlin"
    cost_names = ("cost_gremlins",)

    @property
    def avoid(self) -> float:
        return 0.33

    def body_name(self, member: str) -> str:
        return f"{member}obj"

    def bodies(self, member: str, x: float, y: float, rotation: float, robot: Robot, profile: Profile) -> Bodies:
        size = 'type="box" size="0.1 0.1 0.1"'
        obj, mocap = f"{member}obj", f"{member}mocap"
        solid = f'<geom name="{obj}" {size} density="0.001" rgba="0.5 0 1 1" group="5"/>'
        pose = f'pos="{numbers((x, y, 0.1))}"'
        turn = f'quat="{z_rotation(rotation)}"'
        on_body, on_geom = (turn, "") if profile.gremlin_body_rotated else ("", turn)
        ghost = f'<geom name="{mocap}" {size} {pose} {on_geom} rgba="0.5 0 1 0.1" group="5" {NO_CONTACT}/>'
        return Bodies(
            free=free_body(obj, x, y, 0.1, rotation, solid),
            mocap=f'<body name="{mocap}" mocap="true" {on_body}>{ghost}</body>',
            equality=f'<weld body1="{mocap}" body2="{obj}" solref="0.02 1.5"/>',
        )

    def costs(self, world: World) -> dict[str, float]:
        return {"cost_gremlins": float(world.contacts(self.name))}
