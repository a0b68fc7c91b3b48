"""Button: press the marked button, again and again, while gremlins circle."""

from typing import ClassVar

import numpy as np

from fosp.envs.navigation.objects import ButtonMarker, Buttons, Gremlins, Hazards, ObjectGroup
from fosp.envs.navigation.task import Task
from fosp.envs.navigation.world import World

TIMER = 10  # frames after a press in which wrong buttons are free and unseen


class Button0(Task):
    """Four buttons, none of which costs."""

    description = "press the marked one of 4 buttons; no costs"
    extent = 1.0
    objects: ClassVar[tuple[ObjectGroup, ...]] = (Buttons(penalised=False), ButtonMarker())
    starts_last = True  # this level is equal in both profiles; the others start with the timer running in ``github``

    def __init__(self) -> None:
        super().__init__()
        self.target_button = 0
        self.timer = 0

    def start(self, world: World) -> None:
        self.timer = 0

    def choose_goal(self, world: World) -> bool:
        self.target_button = int(world.rng.choice(world.groups["buttons"].count))
        x, y, _ = world.positions("buttons")[self.target_button]
        world.move_goal(x, y)
        self.last_distance = self.distance(world)
        self.timer = TIMER
        return True

    def reached(self, world: World) -> bool:
        return self.target_button in world.touched_members("buttons")

    def costs(self, world: World) -> dict[str, float]:
        raw = super().costs(world)
        if world.groups["buttons"].penalised and self.timer == 0:
            wrong = [button for button in world.touched_members("buttons") if button != self.target_button]
            raw["cost_buttons"] = float(len(wrong))
        return raw

    def after_costs(self, world: World, raw: dict[str, float]) -> None:
        self.timer = max(0, self.timer - 1)

    def hidden_from_lidar(self) -> tuple[str, ...]:
        return ("buttons",) if self.timer else ()

    def obstacles(self, world: World) -> np.ndarray:
        """All but the button to press, which comes first among the rows."""
        return np.delete(super().obstacles(world), self.target_button, axis=0)


class Button1(Button0):
    """Wrong buttons, hazards and gremlins cost."""

    description = "press the marked one of 4 buttons; wrong buttons, 4 hazards and 4 moving gremlins cost"
    extent = 1.5
    starts_last = False
    objects = (Buttons(), ButtonMarker(), Hazards(4), Gremlins(4))


class Button2(Button0):
    """More of each."""

    description = "press the marked one of 4 buttons; wrong buttons, 8 hazards and 6 moving gremlins cost"
    extent = 1.8
    starts_last = False
    objects = (Buttons(), ButtonMarker(), Hazards(8), Gremlins(6))
