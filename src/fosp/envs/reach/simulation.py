"""The simulated backend of SafeReach."""

from __future__ import annotations

import copy
from typing import Any

import mujoco
import numpy as np
from mujoco.rollout import Rollout

from fosp.envs.reach import arm, scene
from fosp.envs.reach.backend import IMAGE_SHAPE, Events
from fosp.envs.reach.kinematics import InverseKinematics
from fosp.envs.reach.pose import from_pose
from fosp.envs.reach.tasks import PLACES, TARGETS, Layout, ReachTask
from fosp.envs.rendering import Renderer, View
from fosp.errors import InputError

START_POSE = np.array([0.395, 0.0, 0.045, 0.0, 0.0, 0.0])
_START_JITTER = np.array([0.005, 0.010, 0.005, 0.0, 0.0, 0.0])
_PLACE_JITTER, _YAW_JITTER = 0.003, 0.1  # metres and radians
_SETTLING = 100  # physics steps after which placed objects rest
_START_STEPS = 20  # of inverse kinematics to reach the start pose, to a tenth of a millimetre

_STATE = mujoco.mjtState.mjSTATE_FULLPHYSICS
ONLOOKER = View(distance=1.35, target=(0.32, 0.0, 0.27), elevation=-22.0, azimuth=140.0)
ONLOOKER_SIZE = 480  # pixels per side of the picture from outside


class SimulatedArm:
    """Panda, table and objects in MuJoCo: position servos follow joint targets from inverse kinematics."""

    real_time = False

    def __init__(
        self, task: ReachTask, control_hz: float = 10.0, samples: int = 4, robot_visual: str = "primitive"
    ) -> None:
        """Compiles the scene; no OpenGL is touched until the first picture.

        Args:
            task: what stands on the table.
            control_hz: control steps a second.
            samples: multisampling of the pictures; 0 is fastest, but breaks up the white lines.
            robot_visual: ``primitive``, or ``mesh``, which needs the extra ``mesh``. The look is part of the data.

        Raises:
            InputError: if an argument cannot be used or mink is not installed.
        """
        self._substeps = round(1 / (control_hz * scene.TIMESTEP)) if control_hz > 0 else 0
        if self._substeps < 1 or abs(self._substeps * control_hz * scene.TIMESTEP - 1) > 1e-9:
            raise InputError(f"control_hz={control_hz} must divide {1 / scene.TIMESTEP:g} physics steps a second.")
        if samples < 0:
            raise InputError(f"samples={samples} must not be negative: 4 is the default, 0 is fastest.")
        files = scene.mesh_files(robot_visual)
        self.task, self.control_hz, self.robot_visual = task, control_hz, robot_visual
        self.model = mujoco.MjModel.from_xml_string(scene.scene_xml(task, robot_visual), files)
        self._use(mujoco.MjData(self.model))
        self._kinematics = InverseKinematics(1 / control_hz)
        self._joints = arm.START_JOINTS.copy()  # the last joint targets
        self._touches = np.zeros(task.obstacles + 1, bool)  # of each obstacle and the target
        self._rollout = Rollout(nthread=0)
        self._eye = ReachRenderer((scene.CAMERA,), IMAGE_SHAPE[1], IMAGE_SHAPE[0], samples)
        self._onlooker = ReachRenderer((ONLOOKER,), ONLOOKER_SIZE, ONLOOKER_SIZE, samples, shadows=1024)

    def _use(self, data: mujoco.MjData) -> None:
        self.data = data
        self._tcp = data.site(arm.TCP)
        names = [*(scene.obstacle(number) for number in range(self.task.obstacles)), "target"]
        self._objects = [data.joint(name) for name in names]

    def reset(self, layout: Layout, rng: np.random.Generator) -> None:
        """Places arm and objects with a little jitter and lets them come to rest."""
        mujoco.mj_resetData(self.model, self.data)
        position, rotation = from_pose(START_POSE + _START_JITTER * rng.uniform(-1, 1, 6))
        joints = arm.START_JOINTS
        for _ in range(_START_STEPS):
            joints = self._kinematics.follow(joints, position, rotation)
        self._joints = joints
        self.data.qpos[: len(joints)] = joints
        places = np.concatenate([PLACES[list(layout.obstacles)], TARGETS[[layout.target]]])
        shapes = [*[self.task.obstacle] * self.task.obstacles, self.task.target]
        for joint, place, shape in zip(self._objects, places, shapes, strict=True):
            yaw = _YAW_JITTER * rng.uniform(-1, 1)
            joint.qpos[:2] = place + _PLACE_JITTER * rng.uniform(-1, 1, 2)
            joint.qpos[2:] = (shape.half_height, np.cos(yaw / 2), 0.0, 0.0, np.sin(yaw / 2))
        self._advance(np.tile(joints, (_SETTLING, 1)))

    def tcp(self) -> tuple[np.ndarray, np.ndarray]:
        """Position (3,) and rotation matrix (3, 3) of the tool centre point."""
        return self._tcp.xpos.copy(), self._tcp.xmat.reshape(3, 3).copy()

    def picture(self) -> np.ndarray:
        """The camera's picture, (64, 64, 3) uint8."""
        return self._eye.render(self)

    def picture_from_outside(self) -> np.ndarray:
        """The scene for people, (480, 480, 3) uint8."""
        return self._onlooker.render(self)

    def command(self, position: np.ndarray, rotation: np.ndarray) -> None:
        """Advances the simulation by one control step towards a pose."""
        joints = self._kinematics.follow(self._joints, position, rotation)
        share = np.arange(1, self._substeps + 1)[:, None] / self._substeps
        self._advance(self._joints + share * (joints - self._joints))
        self._joints = joints

    def _advance(self, targets: np.ndarray) -> None:
        """Physics steps with joint targets (T, 7), one for each; remembers what was touched in any of them.

        One call for all of them: a Python loop that looks at the contacts costs as much again as the physics.
        """
        start = np.empty(mujoco.mj_stateSize(self.model, _STATE))
        mujoco.mj_getState(self.model, self.data, start, _STATE)
        _, found = self._rollout.rollout(
            self.model, self.data, start, targets, initial_warmstart=self.data.qacc_warmstart
        )
        self._touches = (found[0] > 0).any(0)
        mujoco.mj_kinematics(self.model, self.data)  # what pictures and poses are read from is a step behind the joints
        mujoco.mj_camlight(self.model, self.data)

    def events(self) -> Events:
        """Touches during the last command, and where the obstacles are now."""
        poses = np.array([joint.qpos for joint in self._objects[:-1]])
        return Events(bool(self._touches[-1]), bool(self._touches[:-1].any()), poses)

    def stop(self) -> None:
        """Nothing to do: without a command, simulated time stands still."""

    def get_state(self) -> dict[str, Any]:
        """Everything that decides the future. All of MuJoCo's data, since its state alone does not say what sleeps."""
        return {"data": copy.copy(self.data), "joints": self._joints.copy(), "touches": self._touches.copy()}

    def set_state(self, state: dict[str, Any]) -> None:
        """Continues from what ``get_state`` gave, also in another simulation of the same task."""
        self._use(copy.copy(state["data"]))
        self._joints, self._touches = state["joints"].copy(), state["touches"].copy()

    def facts(self) -> dict[str, Any]:
        """What its data depend on."""
        return {
            "robot_visual": self.robot_visual,
            "camera": {
                "position": scene.CAMERA_POSITION.tolist(),
                "target": scene.CAMERA_TARGET.tolist(),
                "vertical_degrees": scene.CAMERA_FOV,
            },
            "mujoco": mujoco.__version__,
        }

    def close(self) -> None:
        """Frees the renderers."""
        self._eye.close()
        self._onlooker.close()


class ReachRenderer(Renderer):
    """Draws round shapes from fewer triangles, twice as fast in software, and shadows only where they are asked for."""

    def __init__(
        self, cameras: tuple[str | View, ...], width: int, height: int, samples: int, shadows: int = 0
    ) -> None:
        """``shadows`` is the size of the shadow map; 0 draws none, which is several times faster."""
        super().__init__(cameras, width, height, samples)
        self._shadows = shadows

    def drawing_model(self, world: Any) -> mujoco.MjModel:
        """A copy of the world's model with the wanted quality."""
        model = copy.copy(world.model)
        model.vis.quality.shadowsize = self._shadows
        if not self._shadows:
            model.vis.quality.numslices, model.vis.quality.numstacks = 10, 5
        return model
