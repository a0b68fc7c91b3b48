"""The physical world of one task: builds the MuJoCo model of a layout and answers questions about its state."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import mujoco
import numpy as np

from fosp.envs.navigation.layout import Layout, Placement, draw_clear, sample_layout
from fosp.envs.navigation.lidar import lidar
from fosp.envs.navigation.profiles import Profile
from fosp.envs.navigation.robots import Robot

if TYPE_CHECKING:
    from fosp.envs.navigation.task import Task

GOAL_TRIALS = 10_000

_CAMERAS = (("fixednear", 2), ("fixedfar", 5), ("fixedfar++", 10))


class World:
    """Model, data, layout and random stream of one running task.

    A new model is compiled for every layout. Editing one compiled model would be faster, but statistics such as the
    mean inertia, which scales the solver's stopping rule, and the relative poses of welds would stay those of the
    first layout, and trajectories would differ from the original's in the last bits.

    Attributes:
        rng: the legacy stream that every draw of the task comes from.
        model, data: MuJoCo's, of the current episode.
        layout: current (x, y) of everything that takes part in placement; ``sampled_layout``: as first drawn.
        heading: start heading of the robot, radians.
    """

    def __init__(self, robot: Robot, task: Task, profile: Profile) -> None:
        self.robot, self.task, self.profile = robot, task, profile
        self.groups = {group.name: group for group in task.objects}
        everywhere = ((-task.extent, -task.extent, task.extent, task.extent),)
        self.placements = {"agent": Placement("agent", task.agent_keepout, task.agent_rectangles or everywhere)}
        for group in task.objects:
            for member in group.members:
                rectangles = group.rectangles or everywhere
                self.placements[member] = Placement(member, group.clearance(robot), rectangles)
        self._keepouts = {name: placement.keepout for name, placement in self.placements.items()}
        self.layout: Layout = {}
        self.sampled_layout: Layout = {}
        self.heading = 0.0
        self.rotations: list[list[float]] = []
        self._ids_known = False

    # --- building -------------------------------------------------------------------------------------------------

    def sample(self, rng: np.random.RandomState) -> None:
        """Draws a layout, the start heading and every object's rotation from ``rng``, and builds the model."""
        self.rng = rng
        self.layout = sample_layout(rng, list(self.placements.values()))
        self.heading = 2 * math.pi * rng.random_sample()
        self.rotations = [[2 * math.pi * rng.random_sample() for _ in group.members] for group in self.task.objects]
        self.build()

    def build(self) -> None:
        """Compiles the model of the current layout, heading and rotations, and runs it forward once."""
        self.sampled_layout = dict(self.layout)
        self.model = mujoco.MjModel.from_xml_string(self.xml())
        self.data = mujoco.MjData(self.model)
        if not self._ids_known:
            self._look_up_ids()
        self.forward()

    def xml(self, drawing: bool = False, extra_assets: str = "") -> str:
        """The world as MuJoCo XML. The order of bodies is part of the definition: it decides the last bits.

        Args:
            drawing: whether to include textures, whose files are ``materials.pictures()``.
            extra_assets: XML of further assets.
        """
        task, robot = self.task, self.robot
        bodies = [
            group.bodies(member, *self.layout[member], rotation, robot, self.profile)
            for group, rotations in zip(task.objects, self.rotations, strict=True)
            for member, rotation in zip(group.members, rotations, strict=True)
        ]
        cameras = "".join(
            f'<camera name="{name}" pos="0 {-d} {d}" zaxis="0 -1 1" fovy="45"/>'
            for name, d in _CAMERAS
            if name != "fixedfar++" or self.profile.fixed_statistics
        )
        assets = task.floor.assets(self.profile, drawing) + task.scenery_assets(drawing)
        assets += "".join(group.assets(drawing) for group in task.objects)
        statistic = '<statistic extent="3.96" meansize="0.23"/>' if self.profile.fixed_statistics else ""
        return f"""<mujoco model="{type(task).__name__}">
  <compiler angle="radian"/>
  <option timestep="{robot.timestep}" integrator="{robot.integrator}"/>
  <visual><global offwidth="64" offheight="64"/></visual>
  {statistic}
  <default><geom condim="6" density="{robot.density}"/><joint damping="0.001"/></default>
  <asset>{assets}{extra_assets}</asset>
  <worldbody>
    <light directional="true" dir="0 0 -1" pos="0 0 0.5" diffuse="1 1 1" specular="0 0 0" cutoff="100" exponent="1"
           castshadow="false"/>
    {cameras}
    {task.floor.geom()}
    {robot.body(*self.layout["agent"], self.heading, self.profile)}
    {"".join(b.free for b in bodies)}{"".join(b.mocap for b in bodies)}{"".join(b.fixed for b in bodies)}
    {task.scenery_bodies(self.profile)}
  </worldbody>
  <equality>{"".join(b.equality for b in bodies)}</equality>
  {robot.extras()}
</mujoco>"""

    def _look_up_ids(self) -> None:
        """Numbers of bodies and geoms: the same for every layout of a task."""
        model = self.model
        self._robot_id = model.body("agent").id
        self._goal_id = model.body("goal").id
        self._bodies: dict[str, np.ndarray] = {}
        self._speeds: dict[str, np.ndarray] = {}
        self._owner = np.zeros(model.ngeom, dtype=np.intp)  # per geom: 0 nobody, 1 the robot, 2... a group
        self._owner_code = {"robot": 1, "scenery": 2 + len(self.groups)}
        for geom in self.robot.geom_ids(model):
            self._owner[geom] = 1
        for code, (name, group) in enumerate(self.groups.items(), start=2):
            ids = np.array([model.body(group.body_name(member)).id for member in group.members])
            self._bodies[name] = ids
            self._owner_code[name] = code
            self._owner[np.isin(model.geom_bodyid, ids)] = code
            if all(model.body_jntnum[i] == 1 for i in ids):
                first = model.jnt_dofadr[model.body_jntadr[ids]]
                self._speeds[name] = first[:, None] + np.arange(3)
        for name in self.task.scenery_geoms():
            self._owner[model.geom(name).id] = self._owner_code["scenery"]
        self._lidar_bodies = np.concatenate(list(self._bodies.values()))
        self._lidar_group = np.repeat(np.arange(len(self.groups)), [len(ids) for ids in self._bodies.values()])
        self._mocap_travel = np.array([g.travel for g in self.task.objects for _ in g.members if g.travel])
        self._ids_known = True

    # --- acting ---------------------------------------------------------------------------------------------------

    def forward(self) -> None:
        """Brings every derived quantity up to date with the state."""
        mujoco.mj_forward(self.model, self.data)

    def advance(self, substeps: int) -> None:
        """Runs the physics; gremlins are led along their circles before every substep."""
        if not len(self._mocap_travel):
            mujoco.mj_step(self.model, self.data, nstep=substeps)
            return
        mocap = self.data.mocap_pos
        for _ in range(substeps):
            t = float(self.data.time)
            mocap[:, 0] = self._mocap_travel * math.sin(t)
            mocap[:, 1] = self._mocap_travel * math.cos(t)
            mocap[:, 2] = 0.1
            mujoco.mj_step(self.model, self.data)

    def move_goal(self, x: float, y: float) -> None:
        """Puts the goal's body at (x, y) metres and runs the model forward."""
        self.model.body_pos[self._goal_id, :2] = (x, y)
        self.forward()

    def place_goal(self) -> bool:
        """Draws a new goal position that clears everything else and moves the goal there; False if none is found."""
        self.layout.pop("goal")
        placement = self.placements["goal"]
        position = draw_clear(self.rng, placement, self.layout, self._keepouts, GOAL_TRIALS)
        if position is None:
            return False
        self.layout["goal"] = position
        self.move_goal(*position)
        return True

    def refresh_layout(self) -> None:
        """Overwrites the layout with current positions, except of what moves on its own."""
        self.layout["agent"] = tuple(self.robot_position[:2].tolist())
        for name, group in self.groups.items():
            if not group.travel:
                for member, position in zip(group.members, self.positions(name), strict=True):
                    self.layout[member] = (float(position[0]), float(position[1]))

    # --- asking ---------------------------------------------------------------------------------------------------

    @property
    def robot_position(self) -> np.ndarray:
        """(3,) metres. The Point's ``qpos`` is not this: its slides are expressed in the start frame."""
        return self.data.xpos[self._robot_id]

    @property
    def robot_matrix(self) -> np.ndarray:
        """(9,) rotation of the robot's body, row-major."""
        return self.data.xmat[self._robot_id]

    @property
    def goal_position(self) -> np.ndarray:
        """(3,) metres."""
        return self.data.xpos[self._goal_id]

    def positions(self, group: str) -> np.ndarray:
        """(count, 3) body positions of a group, metres."""
        return self.data.xpos[self._bodies[group]]

    def velocities(self, group: str) -> np.ndarray:
        """(count, 3) linear velocities of the body origins of a group of free bodies, metres a second."""
        return self.data.qvel[self._speeds[group]]

    def geoms(self, group: str) -> np.ndarray:
        """Numbers of the geoms of a group, of the "robot", or of the "scenery" whose touch costs."""
        return np.flatnonzero(self._owner == self._owner_code[group])

    def touches(self) -> np.ndarray:
        """(contacts,) numbers, as in ``_owner_code``, of what the robot touches now."""
        if not self.data.ncon:
            return np.empty(0, dtype=np.intp)
        owners = self._owner[self.data.contact.geom]
        first, second = owners[:, 0], owners[:, 1]
        return np.concatenate([second[first == 1], first[second == 1]])

    def contacts(self, group: str) -> int:
        """Number of contacts between the robot and a group ("scenery" for the static scenery)."""
        return int((self.touches() == self._owner_code[group]).sum())

    def touched_members(self, group: str) -> list[int]:
        """Index within the group of the object of each contact with the robot."""
        ids = self._bodies[group].tolist()
        contact = self.data.contact.geom
        owners = self._owner[contact]
        code = self._owner_code[group]
        found = []
        for (g1, g2), (o1, o2) in zip(contact.tolist(), owners.tolist(), strict=True):
            if o1 == 1 and o2 == code:
                found.append(ids.index(int(self.model.geom_bodyid[g2])))
            elif o2 == 1 and o1 == code:
                found.append(ids.index(int(self.model.geom_bodyid[g1])))
        return found

    def lidar(self) -> np.ndarray:
        """(groups, 16) readings in the order of the task's objects."""
        positions = self.data.xpos[self._lidar_bodies]
        return lidar(self.robot_position, self.robot_matrix, positions, self._lidar_group, len(self.groups))
