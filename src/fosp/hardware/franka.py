"""SafeReach's arm in the flesh: a Franka Emika Panda under panda-python's Cartesian impedance control.

The environment sends the same poses as to the simulation; the robot's own controller follows them. What the arm touches
is said by the person beside it, as in the paper.
"""

from __future__ import annotations

import contextlib
from dataclasses import asdict, dataclass
from typing import Any

import mujoco
import numpy as np

from fosp.envs.reach.arm import START_JOINTS
from fosp.envs.reach.backend import Events
from fosp.envs.reach.tasks import PLACES, TARGETS, TASKS, Layout
from fosp.errors import InputError
from fosp.hardware.camera import RealSense
from fosp.hardware.operator import OBSTACLE, TARGET, ArmStoppedError, Operator, TerminalOperator
from fosp.hardware.vendor import vendor
from fosp.settings import check_settings


@dataclass(frozen=True, kw_only=True)
class FrankaSettings:
    """What a robot file says of the arm and its camera."""

    host: str
    """Address of the arm's controller."""
    task: str = "SafeReach"
    """What stands on the table: a task of `fosp.envs.reach.tasks`."""
    control_hz: float = 10.0
    """Control steps a second."""
    stiffness: float = 600.0
    """Of the impedance control against displacement, newtons a metre."""
    stiffness_turning: float = 30.0
    """The same against rotation, newton metres a radian."""
    start_speed: float = 0.1
    """Share of its speed with which the arm goes to the start."""
    force_limit: float = 25.0
    """External force at the hand, in newtons, from which the arm is held."""
    dead_man: bool = True
    """Move only while a key is held."""
    camera: str = ""
    """Serial number of the RealSense camera, where there are several."""
    camera_width: int = 1280
    """Pixels of a frame; its middle square is what the agent sees."""
    camera_height: int = 720
    """Pixels of a frame."""

    def __post_init__(self) -> None:
        check_settings(self)
        if self.task not in TASKS:
            raise InputError(f"task is '{self.task}': choose one of {', '.join(TASKS)}.")
        for name in ("control_hz", "stiffness", "stiffness_turning", "start_speed", "force_limit"):
            if getattr(self, name) <= 0:
                raise InputError(f"{name} is {getattr(self, name)}: it must be positive.")
        if self.start_speed > 1:
            raise InputError(f"start_speed is {self.start_speed}: it is a share, at most 1.")


class FrankaBackend:
    """A Panda with a RealSense camera, as `fosp.envs.reach.backend.ReachBackend` wants it."""

    real_time = True

    def __init__(
        self, settings: FrankaSettings, operator: Operator | None = None, camera: RealSense | None = None
    ) -> None:
        """Connects; nothing moves before `reset`.

        Args:
            settings: of arm and camera.
            operator: the person (default: at this terminal).
            camera: what sees the table (default: the RealSense of the settings).

        Raises:
            InputError: a vendor's package is missing, or arm, camera or terminal do not answer.
        """
        self.settings, self.control_hz = settings, settings.control_hz
        panda = vendor("panda_py", "franka")
        self._controllers = vendor("panda_py.controllers", "franka")
        self._operator = operator or TerminalOperator()
        try:
            self._camera = camera or RealSense(settings.camera, settings.camera_width, settings.camera_height)
            try:
                self._panda: Any = panda.Panda(settings.host)
            except RuntimeError as error:
                self._camera.close()
                raise InputError(
                    f"No arm answers at {settings.host} ({error}): is it switched on, unlocked, and in FCI mode?"
                ) from None
        except InputError:
            self._operator.close()
            raise
        self._controller: Any = None
        self._placed: Layout | None = None  # how the objects stand, as long as nothing has moved since

    def reset(self, layout: Layout, rng: np.random.Generator) -> None:
        """Ask for the objects to be placed, go to the start slowly, and hand over to the impedance control.

        `rng` is not used: where people put things is random enough. The person is asked again only if something may
        have moved.
        """
        if layout == self._placed:
            return
        self._release()
        self._operator.confirm(_request(layout))
        self._panda.recover()
        if not self._panda.move_to_joint_position(START_JOINTS, speed_factor=self.settings.start_speed):
            raise ArmStoppedError("The arm did not reach its start: clear its way, unlock it, and begin again.")
        s = self.settings
        self._controller = self._controllers.CartesianImpedance(
            impedance=np.diag([s.stiffness] * 3 + [s.stiffness_turning] * 3), nullspace_stiffness=0.5, filter_coeff=1.0
        )
        self._panda.start_controller(self._controller)
        self._hold()
        self._placed = layout
        if s.dead_man:
            self._operator.confirm("Hold any key while the arm may move (t: it touches the target, o: an obstacle).")

    def tcp(self) -> tuple[np.ndarray, np.ndarray]:
        pose = np.asarray(self._panda.get_pose(), dtype=np.float64)
        return pose[:3, 3].copy(), pose[:3, :3].copy()

    def picture(self) -> np.ndarray:
        return self._camera.picture()

    def command(self, position: np.ndarray, rotation: np.ndarray) -> None:
        """Raises `ArmStoppedError` where operator, force or the arm itself say no."""
        self._placed = None
        if self.settings.dead_man and not self._operator.held():
            raise ArmStoppedError("The arm is held: the operator let go of the key.")
        try:
            self._panda.raise_error()
        except RuntimeError as error:
            raise ArmStoppedError(f"The arm is held by itself ({error}): clear its way and unlock it.") from None
        force = float(np.linalg.norm(self._panda.get_state().O_F_ext_hat_K[:3]))
        if force > self.settings.force_limit:
            raise ArmStoppedError(
                f"The arm is held: {force:.0f} N at the hand, more than force_limit, {self.settings.force_limit:g} N."
            )
        self._send(position, rotation)

    def events(self) -> Events:
        """What the person has said since the last call; nobody tracks poses."""
        return Events(self._operator.said(TARGET), self._operator.said(OBSTACLE), None)

    def stop(self) -> None:
        """Hold the arm where it is; where even that fails, end its control: it then holds by its brakes."""
        self._placed = None
        if self._controller is not None:
            try:
                self._hold()
            except Exception:
                with contextlib.suppress(Exception):
                    self._release()

    def facts(self) -> dict[str, Any]:
        return {"robot": "franka", **{key: value for key, value in asdict(self.settings).items() if key != "host"}}

    def close(self) -> None:
        try:
            self._release()
        finally:
            self._camera.close()
            self._operator.close()

    def _hold(self) -> None:
        self._send(*self.tcp())

    def _send(self, position: np.ndarray, rotation: np.ndarray) -> None:
        quaternion = np.empty(4)
        mujoco.mju_mat2Quat(quaternion, np.ascontiguousarray(rotation, dtype=np.float64).ravel())
        self._controller.set_control(position, np.roll(quaternion, -1), START_JOINTS)  # theirs ends with w

    def _release(self) -> None:
        if self._controller is not None:
            self._controller = None
            self._panda.stop_controller()


def _request(layout: Layout) -> str:
    """Where things are to stand, in centimetres from the base: x forwards, y to the left."""

    def place(point: np.ndarray) -> str:
        return f"({100 * point[0]:.0f}, {100 * point[1]:.0f})"

    obstacles = ", ".join(place(PLACES[i]) for i in layout.obstacles)
    return f"Place the target at {place(TARGETS[layout.target])}, obstacles at {obstacles} cm, and step back."
