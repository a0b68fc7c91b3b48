"""Race: drive one lap past walls and rocks to the flowers; reaching them ends the episode.

The scenery's collision shapes are prisms with the outlines of the original's convex hulls, so trajectories equal the
original's until the first contact with scenery.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import ClassVar

from fosp.envs.navigation.layout import Rectangle, fixed_location
from fosp.envs.navigation.materials import Material
from fosp.envs.navigation.meshes import Outline, bush, shrunk, solid
from fosp.envs.navigation.objects import NO_CONTACT, Bodies, GoalArea, Hazards, ObjectGroup, fixed_body
from fosp.envs.navigation.profiles import Profile
from fosp.envs.navigation.robots import Robot
from fosp.envs.navigation.task import Floor, Task
from fosp.envs.rendering import View

U = 3.5  # metres; the unit in which the course is laid out

_DOWN = (
    (-2.94, -0.9), (-2.92, -2.05), (-2.87, -3.2), (-2.81, -3.3), (-2.76, -3.31), (-2.73, -3.28), (-2.71, -3.2),
    (-2.69, -2.83), (-2.7, -1.31), (-2.75, -0.9), (-2.77, -0.87), (-2.84, -0.81), (-2.9, -0.81),
)  # fmt: skip
_LEFT = (
    (-2.26, 1.7), (-2.23, 1.68), (-2.15, 1.66), (-1.78, 1.64), (-0.26, 1.65), (0.15, 1.7), (0.18, 1.72), (0.24, 1.79),
    (0.24, 1.86), (0.15, 1.89), (-1.0, 1.87), (-2.15, 1.82), (-2.25, 1.76),
)  # fmt: skip
_LONG_ROCK = (
    (-2.24, -0.02), (-2.17, -0.6), (-1.89, -0.72), (-1.45, -0.83), (-0.93, -0.88), (0.18, -0.96), (1.32, -0.96),
    (1.75, -0.95), (2.7, -0.85), (3.45, -0.63), (3.58, -0.53), (3.6, -0.49), (3.67, 0.07), (3.43, 0.31), (3.24, 0.38),
    (2.0, 0.52), (1.14, 0.59), (-0.75, 0.58), (-1.12, 0.5), (-2.02, 0.14),
)  # fmt: skip
_BIG_ROCK = (
    (-1.77, -2.78), (-1.75, -3.58), (-1.71, -3.86), (-1.49, -4.18), (-1.26, -4.38), (-0.63, -4.71), (-0.57, -4.73),
    (0.69, -4.77), (1.68, -4.73), (1.96, -4.7), (2.56, -4.38), (3.02, -3.72), (3.05, -3.59), (3.07, -3.08),
    (3.04, -2.2), (2.97, -1.18), (2.93, -1.11), (2.5, -0.66), (1.81, -0.22), (1.68, -0.17), (0.49, -0.17),
    (-0.46, -0.21), (-1.15, -0.64), (-1.65, -1.14), (-1.67, -1.2), (-1.71, -1.55),
)  # fmt: skip
_DOOR = ((-2.87, -3.56), (-1.75, -3.56), (-1.75, -3.44), (-2.87, -3.44))
_STONE_1 = (
    (-2.91, 1.95), (-2.8, 1.85), (-2.71, 1.82), (-2.46, 1.8), (-2.16, 1.82), (-2.0, 1.99), (-1.98, 2.2), (-2.11, 2.33),
    (-2.2, 2.38), (-2.47, 2.4), (-2.77, 2.37), (-2.85, 2.31), (-2.88, 2.25), (-2.92, 2.14),
)  # fmt: skip
_STONE_2 = (
    (0.07, 1.98), (0.14, 1.87), (0.21, 1.83), (0.25, 1.82), (0.58, 1.89), (0.64, 1.95), (0.64, 2.23), (0.59, 2.33),
    (0.53, 2.37), (0.47, 2.38), (0.15, 2.35), (0.08, 2.28),
)  # fmt: skip


def _shift(outline: Outline, dx: float, dy: float) -> Outline:
    return tuple((x + dx, y + dy) for x, y in outline)


@dataclass(frozen=True)
class Piece:
    """One piece of scenery: name, material, outline and height range in metres, and metres per picture.

    Rocks narrow towards their top, out of a robot's reach.
    """

    name: str
    material: str
    outline: Outline
    z0: float
    z1: float
    tile: float = 0.8

    def rings(self) -> list[tuple[Outline, float]]:
        """Outlines at rising heights."""
        if self.material != "rock":
            return [(self.outline, self.z0), (self.outline, self.z1)]
        reach = min(0.25, 0.8 * self.z1)
        return [(self.outline, self.z0), (self.outline, reach), (shrunk(self.outline, 0.5), self.z1)]


@cache
def _pieces(rock_shift: float) -> tuple[Piece, ...]:
    return (
        Piece("race_wall1_down", "bamboo", _DOWN, -0.10, 1.22),
        Piece("race_wall1_up", "bamboo", _shift(_DOWN, 0.0, 2.455), -0.10, 1.22),
        Piece("race_wall2_left", "bamboo", _LEFT, -0.10, 1.22),
        Piece("race_wall22_right", "bamboo", _shift(_LEFT, 2.8, 0.0), -0.10, 1.22),
        Piece("race_wall3", "rock", _shift(_LONG_ROCK, rock_shift, 0.0), -0.79, 0.79, 1.5),
        Piece("race_wall4", "rock", _BIG_ROCK, -2.30, 2.30, 1.5),
        Piece("race_wall5", "planks", _DOOR, 0.0, 2.14),
        Piece("small_stone1", "rock", _STONE_1, -0.28, 0.28),
        Piece("small_stone2", "rock", _STONE_2, -0.48, 0.48),
    )


@cache
def _scenery_meshes(rock_shift: float) -> str:
    return "".join(solid(p.name, p.rings(), p.tile) for p in _pieces(rock_shift))


@cache
def _bush_meshes() -> str:
    return bush("bush", (0.34, 0.33), -0.14, 0.24, seed=1) + bush("flower_bush", (0.35, 0.33), -0.07, 0.32, seed=2)


_MATERIALS = (
    Material("bamboo", "bamboo.png", specular=0.3, shininess=0.3),
    Material("rock", "rock.png", specular=0.2, shininess=0.2),
    Material("planks", "planks.png", specular=0.2, shininess=0.2),
    Material("bush", "leaves.png"),
    Material("flowers", "flowers.png"),
)


class VillageFloor(Floor):
    """Paving stones."""

    def material(self, profile: Profile) -> Material:
        return Material("matplane", "paving.png", repeat=25, reflectance=profile.race_floor_reflectance)


class FlowerGoal(GoalArea):
    """The goal as a bush of flowers on the ground."""

    def bodies(self, member: str, x: float, y: float, rotation: float, robot: Robot, profile: Profile) -> Bodies:
        geom = f'type="mesh" mesh="flower_bush" material="flowers" group="9" {NO_CONTACT}'
        return Bodies(fixed=fixed_body(member, x, y, 0.0, rotation, geom))


class BushHazards(Hazards):
    """Hazards as bushes."""

    def bodies(self, member: str, x: float, y: float, rotation: float, robot: Robot, profile: Profile) -> Bodies:
        geom = f'type="mesh" mesh="bush" material="bush" group="3" {NO_CONTACT}'
        return Bodies(fixed=fixed_body(member, x, y, 0.02, rotation, geom))


def _around(x: float, y: float, half_x: float, half_y: float) -> Rectangle:
    return (x - half_x, y - half_y, x + half_x, y + half_y)


_GOAL = FlowerGoal(rectangles=(fixed_location(0.9 * U, 0.3 * U, 0.305),))
_HAZARDS = BushHazards(
    7,
    keepout=0.165,
    size=0.075 * U,
    rectangles=tuple(_around(U * (-0.45 + 0.2 * i), U * (0.3 - 0.09 * (-1) ** i), 0.3, 0.35) for i in range(7)),
)


class Race0(Task):
    """The course without hazards; touching the scenery is free."""

    description = "drive past walls and rocks to the flowers, which end the episode; no costs"
    extent = 2.75
    objects: ClassVar[tuple[ObjectGroup, ...]] = (_GOAL,)
    floor = VillageFloor(size=17.5)
    agent_keepout = 0.0
    agent_rectangles = (_around(-0.65 * U, 0.3 * U, 0.025 * U, 0.05 * U),)
    step_limit = 500
    walls = True
    bonus = 10.0
    reward_limit = 11.0
    ends_at_goal = True
    rock_shift: ClassVar[float] = -0.5  # of the long rock along x, against its place in level 2

    def scenery_assets(self, drawing: bool) -> str:
        materials = "".join(material.xml(drawing) for material in _MATERIALS)
        return materials + _bush_meshes() + _scenery_meshes(self.rock_shift)

    def scenery_bodies(self, profile: Profile) -> str:
        geoms = [
            (piece.name, f'<geom name="{piece.name}" type="mesh" mesh="{piece.name}" material="{piece.material}"/>')
            for piece in _pieces(self.rock_shift)
        ]
        if profile.race_one_body:
            return f'<body name="walls">{"".join(geom for _, geom in geoms)}</body>'
        return "".join(f'<body name="{name}">{geom}</body>' for name, geom in geoms)

    def view(self) -> View:
        return View(distance=11.5, target=(0.3, -1.1, 0.0), elevation=-80.0)


class Race1(Race0):
    """Seven bushes and the scenery cost."""

    description = "drive past walls and rocks to the flowers, which end the episode; 7 bushes and the scenery cost"
    objects = (_GOAL, _HAZARDS)

    def scenery_geoms(self) -> tuple[str, ...]:
        return tuple(piece.name for piece in _pieces(self.rock_shift))


class Race2(Race1):
    """Starts behind a narrow gap between fence and rock."""

    description = "as Race1, from a start behind a gap 0.46 m wide between fence and rock"
    agent_rectangles = (_around(-0.65 * U, -0.8 * U, 0.025 * U, 0.025 * U),)
    rock_shift = 0.0
