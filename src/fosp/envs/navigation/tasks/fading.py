"""Fading: Goal, with things that fade out of sight. Only pictures change; lidar, reward and cost do not."""

from typing import ClassVar

from fosp.envs.navigation.task import Task
from fosp.envs.navigation.tasks.goal import Goal0, Goal1, Goal2
from fosp.envs.navigation.world import World


class Fading(Task):
    """What all levels share.

    Attributes:
        frames: physics frames until a thing has faded away.
        fading: start opacity by group.
        reappear: whether a violation brings its whole group back.
    """

    frames: ClassVar[int]
    fading: ClassVar[dict[str, float]]
    reappear: ClassVar[bool] = False

    def _show(self, world: World, group: str) -> None:
        world.model.geom_rgba[world.geoms(group), 3] = self.fading[group]

    def start(self, world: World) -> None:
        for group in self.fading:
            self._show(world, group)

    def after_costs(self, world: World, raw: dict[str, float]) -> None:
        for group, full in self.fading.items():
            geoms = world.geoms(group)
            faded = float(world.model.geom_rgba[geoms[0], 3]) - full / self.frames
            world.model.geom_rgba[geoms, 3] = max(faded, 0.0)
        if self.reappear:
            for group in self.fading:
                if any(raw.get(name, 0.0) > 0 for name in world.groups[group].cost_names):
                    self._show(world, group)

    def goal_reached(self, world: World) -> None:
        self._show(world, "goal")


class FadingEasy0(Fading):
    """Goal0 whose goal fades within 150 frames."""

    description = "Goal0; the goal fades away within 150 frames"
    extent, objects = Goal0.extent, Goal0.objects
    frames, fading = 150, {"goal": 0.25}


class FadingEasy1(Fading):
    """Goal1 whose goal fades within 150 frames."""

    description = "Goal1; the goal fades away within 150 frames"
    extent, objects = Goal1.extent, Goal1.objects
    frames, fading = 150, {"goal": 0.25}


class FadingEasy2(Fading):
    """Goal2 whose goal and hazards fade within 150 frames."""

    description = "Goal2; goal and hazards fade away within 150 frames, hazards come back when entered"
    extent, objects = Goal2.extent, Goal2.objects
    frames, fading = 150, {"goal": 0.25, "hazards": 0.25}
    reappear = True


class FadingHard0(Fading):
    """Goal0 whose goal fades within 75 frames."""

    description = "Goal0; the goal fades away within 75 frames"
    extent, objects = Goal0.extent, Goal0.objects
    frames, fading = 75, {"goal": 0.25}


class FadingHard1(Fading):
    """Goal1 whose goal fades within 75 frames."""

    description = "Goal1; the goal fades away within 75 frames"
    extent, objects = Goal1.extent, Goal1.objects
    frames, fading = 75, {"goal": 0.25}


class FadingHard2(Fading):
    """Goal2 whose goal, hazards and vases fade within 75 frames."""

    description = "Goal2; goal, hazards and vases fade away within 75 frames, obstacles come back when violated"
    extent, objects = Goal2.extent, Goal2.objects
    frames, fading = 75, {"goal": 0.25, "hazards": 0.25, "vases": 1.0}
    reappear = True
