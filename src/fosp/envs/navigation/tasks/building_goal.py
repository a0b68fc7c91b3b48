"""BuildingGoal: Goal on a building site. Same rules, entirely different looks, scenery around the field."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import ClassVar

from fosp.envs.navigation.materials import Material
from fosp.envs.navigation.meshes import box_outline, prism, round_outline, solid
from fosp.envs.navigation.objects import (
    NO_CONTACT,
    Bodies,
    GoalArea,
    Hazards,
    ObjectGroup,
    Vases,
    fixed_body,
    free_body,
)
from fosp.envs.navigation.profiles import Profile
from fosp.envs.navigation.robots import Robot
from fosp.envs.navigation.task import Floor, Task

# name, x range, y range, z range in metres, material: the boxes around the original's meshes
_SCENERY: tuple[tuple[str, tuple[float, float], tuple[float, float], tuple[float, float], str], ...] = (
    ("box1", (-4.23, -3.55), (-2.19, -1.52), (-0.01, 0.53), "bricks"),
    ("box2", (3.48, 4.07), (1.87, 2.41), (0.0, 0.53), "concrete"),
    ("box3", (1.80, 2.39), (3.80, 4.30), (0.0, 0.70), "bricks"),
    ("box4", (1.20, 1.79), (3.81, 4.30), (0.0, 0.43), "concrete"),
    ("box5", (-2.22, -1.58), (-4.32, -3.66), (0.0, 0.67), "concrete"),
    ("box6", (-1.52, -0.88), (-4.30, -3.66), (0.0, 0.20), "bricks"),
    ("box7", (3.55, 3.86), (-3.91, -3.49), (0.0, 0.39), "bricks"),
    ("box8", (3.62, 4.24), (-3.45, -3.02), (0.0, 0.19), "concrete"),
    ("box9", (-0.26, 0.26), (-4.16, -3.64), (-0.13, 0.20), "black"),
    ("box11", (-2.65, 0.47), (-8.62, -7.39), (-0.11, 1.20), "green"),
    ("box12", (1.55, 2.46), (-5.75, -4.25), (-0.05, 0.70), "yellow"),
    ("box13", (-8.30, -7.70), (-1.29, -0.71), (0.0, 1.18), "metal"),
    ("box14", (3.44, 4.36), (-2.69, -2.31), (0.0, 0.42), "bricks"),
    ("box15", (3.85, 3.95), (-2.22, -2.18), (-0.08, 0.58), "planks"),
    ("box16", (0.74, 1.46), (-5.18, -4.02), (-0.46, 0.46), "metal"),
    ("light1", (3.49, 3.71), (-0.28, 0.28), (0.0, 1.48), "black"),
    ("machine1", (0.30, 1.70), (4.66, 5.14), (0.0, 1.13), "red"),
    ("machine2", (2.19, 2.82), (3.52, 3.68), (-0.1, 0.99), "yellow"),
    ("machine3", (3.49, 3.75), (1.54, 1.66), (0.0, 0.15), "metal"),
)
_MATERIALS = (
    Material("bricks", "bricks.png"),
    Material("concrete", "concrete.png"),
    Material("metal", "metal.png", specular=0.5, shininess=0.4),
    Material("planks", "planks.png"),
    Material("no_entry", "no_entry.png"),
    Material("parking", "parking.png"),
    Material("black", rgba="0.12 0.12 0.13 1"),
    Material("green", rgba="0.13 0.30 0.17 1"),
    Material("yellow", rgba="0.66 0.51 0.03 1"),
    Material("red", rgba="0.65 0.16 0.10 1"),
)
# hull of the original's vase at half height, in the body's frame
_CABINET = (
    (-0.22, -0.08), (-0.16, -0.12), (0.01, -0.13), (0.13, -0.11), (0.13, 0.11), (0.01, 0.13), (-0.16, 0.12),
    (-0.22, 0.08),
)  # fmt: skip


@cache
def _meshes() -> str:
    parts = []
    for name, (x0, x1), (y0, y1), (z0, z1), _ in _SCENERY:
        if name == "box9":
            parts.append(prism(name, round_outline((x0 + x1) / 2, (y0 + y1) / 2, 0.26, 0.26), z0, z1))
        elif name == "light1":  # a foot that widens towards the lamp
            parts.append(solid(name, [(box_outline(3.58, 3.71, -0.07, 0.06), z0), (box_outline(x0, x1, y0, y1), z1)]))
        else:
            parts.append(prism(name, box_outline(x0, x1, y0, y1), z0, z1, tile=0.5))
    parts.append(prism("cabinet", _CABINET, 0.0, 0.193, tile=0.4))
    parts.append(prism("plate", box_outline(-0.224, 0.224, -0.225, 0.225), 0.0, 0.002, tile=0.45))
    parts.append(prism("pole", round_outline(0.02, 0.22, 0.02, 0.02, 8), -0.10, 1.15))
    parts.append(prism("barrier", box_outline(-0.20, 0.24, 0.25, 0.45), -0.10, 0.95))
    parts.append(prism("sign", box_outline(-0.20, 0.24, 0.195, 0.215), 1.17, 1.61, tile=0.44))
    return "".join(parts)


class MudFloor(Floor):
    """Reddish gravel."""

    def material(self, profile: Profile) -> Material:
        return Material("matplane", "gravel.png", repeat=29)


class SignGoal(GoalArea):
    """The goal as a parking sign before a barrier."""

    def bodies(self, member: str, x: float, y: float, rotation: float, robot: Robot, profile: Profile) -> Bodies:
        body = fixed_body(member, x, y, -0.7, rotation, f'type="mesh" mesh="sign" material="parking" {NO_CONTACT}')
        rest = "".join(
            f'<geom type="mesh" mesh="{mesh}" material="{material}" group="9" {NO_CONTACT}/>'
            for mesh, material in (("pole", "metal"), ("barrier", "black"))
        )
        return Bodies(fixed=body.replace("</body>", f"{rest}</body>"))


class PlateHazards(Hazards):
    """Hazards as no-entry plates on the ground."""

    def bodies(self, member: str, x: float, y: float, rotation: float, robot: Robot, profile: Profile) -> Bodies:
        geom = f'type="mesh" mesh="plate" material="no_entry" group="3" {NO_CONTACT}'
        return Bodies(fixed=fixed_body(member, x, y, 0.02, rotation, geom))


@dataclass(frozen=True)
class CabinetVases(Vases):
    """Vases as metal cabinets with the original's mass and inertia."""

    keepout: float = 0.25
    velocity_threshold: float = 1e-2

    def bodies(self, member: str, x: float, y: float, rotation: float, robot: Robot, profile: Profile) -> Bodies:
        inertia = (
            '<inertial pos="-0.049 -0.0005 0.1049" mass="1.56603e-5" diaginertia="1.1072e-7 1.2319e-7 1.6706e-7"/>'
        )
        geom = f'<geom name="{member}" type="mesh" mesh="cabinet" material="metal" group="4"/>'
        return Bodies(free=free_body(member, x, y, 0.0, rotation, inertia + geom))


class BuildingGoal0(Task):
    """Nothing in the way; the scenery is free to touch."""

    description = "Goal0 on a building site; no costs"
    extent = 1.0
    objects: ClassVar[tuple[ObjectGroup, ...]] = (SignGoal(),)
    floor = MudFloor(size=100.0)

    def scenery_assets(self, drawing: bool) -> str:
        return "".join(material.xml(drawing) for material in _MATERIALS) + _meshes()

    def scenery_bodies(self, profile: Profile) -> str:
        return "".join(
            f'<body name="{name}"><geom name="{name}" type="mesh" mesh="{name}" material="{material}"/></body>'
            for name, _, _, _, material in _SCENERY
        )


class BuildingGoal1(BuildingGoal0):
    """No-entry plates and the scenery cost; the cabinet does not."""

    description = "Goal1 on a building site; 8 no-entry plates and the scenery cost, 1 cabinet does not"
    extent = 1.5
    objects = (SignGoal(), PlateHazards(8), CabinetVases(1, penalised=False))

    def scenery_geoms(self) -> tuple[str, ...]:
        return tuple(name for name, *_ in _SCENERY)


class BuildingGoal2(BuildingGoal1):
    """Ten plates and ten cabinets cost."""

    description = "Goal2 on a building site; 10 no-entry plates, 10 cabinets and the scenery cost"
    extent = 2.0
    objects = (SignGoal(), PlateHazards(10), CabinetVases(10))
