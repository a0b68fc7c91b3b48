"""A task of your own: a new layout and a new obstacle.

    python examples/own_task.py

Islands of lava cost whenever the robot touches one; they form a ring with one goal inside it at a time.
"""

from dataclasses import dataclass

import numpy as np

from fosp.envs import make_env
from fosp.envs.behaviours import make_behaviour
from fosp.envs.navigation.objects import Bodies, GoalArea, ObjectGroup, fixed_body
from fosp.envs.navigation.registry import register_task
from fosp.envs.navigation.task import Task


@dataclass(frozen=True)
class Lava(ObjectGroup):
    """Solid red blocks; a touch costs."""

    keepout: float = 0.25

    name = "lava"  # of its lidar in the vector observation
    member = "lava"
    cost_names = ("cost_lava",)
    avoid = 0.3  # what the scripted behaviour `safe` keeps away from its centre

    def bodies(self, member, x, y, rotation, robot, profile):
        geom = 'type="box" size="0.15 0.15 0.1" rgba="0.9 0.2 0 1"'
        return Bodies(fixed=fixed_body(member, x, y, 0.1, rotation, geom))

    def costs(self, world):
        return {"cost_lava": float(world.contacts(self.name))}


RING = ((-1.8, -1.8, 1.8, -1.1), (-1.8, 1.1, 1.8, 1.8), (-1.8, -1.1, -1.1, 1.1), (1.1, -1.1, 1.8, 1.1))


class LavaRing(Task):
    """Reach goals inside a ring of lava."""

    description = "reach the green goal; 8 blocks of lava around the field cost"
    extent = 1.8
    objects = (GoalArea(rectangles=((-1.3, -1.3, 1.3, 1.3),)), Lava(8, rectangles=RING))


register_task(LavaRing)

if __name__ == "__main__":
    env = make_env("SafetyPointLavaRing-v0", observation="vector")
    behaviour = make_behaviour("safe", seed=0)
    env.reset(seed=0)
    behaviour.reset(env)
    steps = [env.step(behaviour.act(env)) for _ in range(250)]
    print(f"reward {sum(step[1] for step in steps):.1f}, cost {np.sum([step[4]['cost_lava'] for step in steps]):.0f}")
