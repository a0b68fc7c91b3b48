"""Push: push the yellow box onto the goal, again and again."""

from typing import ClassVar

import numpy as np

from fosp.envs.navigation.objects import GoalArea, Hazards, ObjectGroup, Pillars, PushBox
from fosp.envs.navigation.task import Task
from fosp.envs.navigation.world import World
from fosp.envs.planner import blocked


class Push0(Task):
    """Nothing in the way."""

    description = "push the yellow box onto the goal; nothing in the way"
    extent = 1.0
    objects: ClassVar[tuple[ObjectGroup, ...]] = (GoalArea(keepout=0.4), PushBox())

    def __init__(self) -> None:
        super().__init__()
        self.last_box_distance = 0.0
        self.last_goal_distance = 0.0

    def choose_goal(self, world: World) -> bool:
        found = world.place_goal()
        self.last_box_distance, self.last_goal_distance = self._distances(world)
        return found

    def _distances(self, world: World) -> tuple[float, float]:
        """Metres from robot to box and from box to goal, in space (the heights differ), as in the original."""
        box = world.positions("push_box")[0]
        to_box, to_goal = world.robot_position - box, box - world.goal_position
        return float(np.sqrt(np.sum(to_box**2))), float(np.sqrt(np.sum(to_goal**2)))

    def reached(self, world: World) -> bool:
        return self._distances(world)[1] <= 0.3

    def progress(self, world: World) -> float:
        to_box, to_goal = self._distances(world)
        gained = (self.last_box_distance - to_box) + (self.last_goal_distance - to_goal)
        self.last_box_distance, self.last_goal_distance = to_box, to_goal
        return gained

    def target(self, world: World) -> np.ndarray:
        """Behind the box, seen from the goal, around its side where it is in the way; from there, through the box."""
        box, goal = world.positions("push_box")[0, :2], world.goal_position[:2]
        offset = goal - box
        ahead = offset / max(float(np.hypot(*offset)), 1e-6)
        left = np.array([-ahead[1], ahead[0]])
        robot = world.robot_position[:2]
        along, aside = float((robot - box) @ ahead), float((robot - box) @ left)
        half = world.robot.push_box[0]
        gap = 1.5 * half + 0.2
        if along < -half and abs(aside) < 0.1 * half - 0.5 * along:  # in a cone behind it: along the cone's axis
            return box + (along + 0.4) * ahead
        behind = box - gap * ahead
        if not blocked(robot[None], behind[None], np.array([[*box, 1.5 * half + 0.1]])).any():
            return behind
        past = along if abs(aside) < 0.8 * gap else -gap  # first aside, then past it
        return box + gap * np.copysign(1.0, aside) * left + past * ahead


class Push1(Push0):
    """Two hazards cost; the pillar does not."""

    description = "push the yellow box onto the goal; 2 hazards cost, 1 pillar does not"
    extent = 1.5
    objects = (GoalArea(keepout=0.4), Hazards(2, keepout=0.4, size=0.3), Pillars(1, penalised=False), PushBox())


class Push2(Push0):
    """Four hazards and four pillars cost."""

    description = "push the yellow box onto the goal; 4 hazards and 4 pillars cost"
    extent = 2.0
    objects = (GoalArea(keepout=0.4), Hazards(4, keepout=0.4, size=0.3), Pillars(4), PushBox())
