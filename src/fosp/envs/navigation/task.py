"""What a task is: a layout, objects, a reward and costs. Every task is a short subclass in ``tasks/``."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from fosp.envs.navigation.layout import Rectangle
from fosp.envs.navigation.materials import Checker, Material
from fosp.envs.navigation.objects import ObjectGroup
from fosp.envs.rendering import View

if TYPE_CHECKING:
    from fosp.envs.navigation.profiles import Profile
    from fosp.envs.navigation.world import World


CHECKER = Checker("matplane", repeat=10, reflectance=0.1)


@dataclass(frozen=True)
class Floor:
    """The plane that everything stands on; it collides without bound, ``size`` is the half-width that is drawn."""

    size: float = 3.5

    def material(self, profile: Profile) -> Material:
        """Its material, which must be called ``matplane``."""
        return CHECKER

    def assets(self, profile: Profile, drawing: bool) -> str:
        """XML of its material and, for drawing, the texture."""
        return self.material(profile).xml(drawing)

    def geom(self) -> str:
        """XML of the plane."""
        return (
            f'<geom name="floor" type="plane" size="{self.size} {self.size} 0.1" condim="6" material="matplane" '
            'rgba="1 1 1 1"/>'
        )


class Task:
    """Base of all tasks: reach a goal that is placed anew each time.

    Class attributes declare the task; instance attributes hold what belongs to the running episode, and nothing else,
    so that ``state``/``restore`` can copy them.
    """

    description: ClassVar[str] = ""
    extent: ClassVar[float] = 1.0
    objects: ClassVar[tuple[ObjectGroup, ...]] = ()
    floor: ClassVar[Floor] = Floor()
    agent_keepout: ClassVar[float] = 0.4
    agent_rectangles: ClassVar[tuple[Rectangle, ...]] = ()
    step_limit: ClassVar[int] = 1000
    walls: ClassVar[bool] = False  # whether more is in the way than ``obstacles`` tells
    bonus: ClassVar[float] = 1.0
    reward_limit: ClassVar[float] = 10.0
    ends_at_goal: ClassVar[bool] = False
    starts_last: ClassVar[bool] = False  # whether ``start`` follows the choice of the goal in every profile

    def __init__(self) -> None:
        self.last_distance = 0.0

    # --- scenery --------------------------------------------------------------------------------------------------

    def scenery_assets(self, drawing: bool) -> str:
        """XML of the assets of static scenery; textures only for drawing."""
        return ""

    def scenery_bodies(self, profile: Profile) -> str:
        """XML of static scenery."""
        return ""

    def scenery_geoms(self) -> tuple[str, ...]:
        """Names of scenery geoms whose touch costs."""
        return ()

    def view(self) -> View:
        """From where a person looks at it."""
        return View(distance=2.4 + 2.3 * self.extent)

    # --- the episode ----------------------------------------------------------------------------------------------

    def start(self, world: World) -> None:
        """What a reset does beyond choosing a goal."""

    def choose_goal(self, world: World) -> bool:
        """Sets the next goal and the distance that the next reward refers to; False if none can be placed."""
        found = world.place_goal()
        self.last_distance = self.distance(world)
        return found

    def distance(self, world: World) -> float:
        """Metres between robot and goal in the plane."""
        (x, y, _), (gx, gy, _) = world.robot_position.tolist(), world.goal_position.tolist()
        return math.hypot(gx - x, gy - y)

    def reached(self, world: World) -> bool:
        """Whether the goal is reached in the current state."""
        return self.distance(world) <= 0.3

    def progress(self, world: World) -> float:
        """How much closer the last step came, metres."""
        distance = self.distance(world)
        gained = self.last_distance - distance
        self.last_distance = distance
        return gained

    def costs(self, world: World) -> dict[str, float]:
        """Raw cost per entry; positive means violated."""
        raw: dict[str, float] = {}
        for group in self.objects:
            if group.penalised:
                raw.update(group.costs(world))
        if self.scenery_geoms():
            raw["cost_static_geoms_contact"] = float(world.contacts("scenery"))
        return raw

    def cost_names(self) -> tuple[str, ...]:
        """Every entry that ``costs`` can have."""
        names = [name for group in self.objects if group.penalised for name in group.cost_names]
        return (*names, "cost_static_geoms_contact") if self.scenery_geoms() else tuple(names)

    def after_costs(self, world: World, raw: dict[str, float]) -> None:
        """What happens in a step after the costs are known and before the goal is checked."""

    def goal_reached(self, world: World) -> None:
        """What happens when the goal is reached, before the next one is chosen."""

    def hidden_from_lidar(self) -> tuple[str, ...]:
        """Groups whose lidar reads zero now."""
        return ()

    # --- for scripted behaviours ----------------------------------------------------------------------------------

    def target(self, world: World) -> np.ndarray:
        """(2,) where to drive now, metres."""
        return world.goal_position[:2].copy()

    def obstacles(self, world: World) -> np.ndarray:
        """(N, 3) x, y and the distance that the robot's origin should keep, metres."""
        rows = [
            np.column_stack([world.positions(group.name)[:, :2], np.full(group.count, group.avoid)])
            for group in self.objects
            if group.avoid > 0
        ]
        return np.concatenate([np.empty((0, 3)), *rows])

    # --- saving ---------------------------------------------------------------------------------------------------

    def state(self) -> dict[str, Any]:
        """Copy of the episode's values."""
        return dict(vars(self))

    def restore(self, state: dict[str, Any]) -> None:
        """Sets the values that ``state`` gave."""
        vars(self).update(state)
