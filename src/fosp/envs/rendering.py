"""Pictures of MuJoCo scenes through MuJoCo's own renderer."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, Protocol

import mujoco
import numpy as np

from fosp.envs.gl import create_context, no_opengl

_MAX_GEOMS = 1000
_CATEGORIES = mujoco.mjtCatBit.mjCAT_ALL.value


@dataclass(frozen=True)
class View:
    """From where a person looks at a scene: towards ``target`` (metres) from ``distance`` metres, ``elevation`` degrees
    below the horizontal, and ``azimuth`` degrees around, 90 looking along y."""

    distance: float
    target: tuple[float, float, float] = (0.0, 0.0, 0.0)
    elevation: float = -50.0
    azimuth: float = 90.0


class World(Protocol):
    """What can be drawn."""

    model: mujoco.MjModel
    data: mujoco.MjData


class Renderer(ABC):
    """Draws one or several cameras of a world side by side and reads them back at once.

    The OpenGL context is made at the first picture and serves every later model of the same world: such models share
    their textures and meshes, and everything else travels with the scene. A process that draws nothing needs no
    OpenGL. A subclass says from which model OpenGL's display lists are made, and may retouch what is drawn.
    """

    def __init__(self, cameras: tuple[str | View, ...], width: int, height: int, samples: int) -> None:
        self.cameras, self.width, self.height, self.samples = cameras, width, height, samples
        self._gl: Any = None

    @abstractmethod
    def drawing_model(self, world: Any) -> mujoco.MjModel:
        """A model of the world's shapes, not ``world.model`` itself, whose quality settings are used."""

    def retouch(self, scene: mujoco.MjvScene) -> None:  # noqa: B027 - nothing to change is the rule
        """May change the shapes of a scene just before it is drawn."""

    def _open(self, world: World) -> None:
        total = self.width * len(self.cameras)
        model = self.drawing_model(world)
        model.vis.global_.offwidth, model.vis.global_.offheight = total, self.height
        model.vis.quality.offsamples = self.samples
        context = create_context(total, self.height)
        try:
            context.make_current()
            self._context = mujoco.MjrContext(model, mujoco.mjtFontScale.mjFONTSCALE_100.value)
        except (mujoco.FatalError, RuntimeError) as error:  # such as GLFW without a display
            raise no_opengl(error) from error
        self._gl = context
        mujoco.mjr_setBuffer(mujoco.mjtFramebuffer.mjFB_OFFSCREEN.value, self._context)
        self._scene = mujoco.MjvScene(model, maxgeom=_MAX_GEOMS)
        self._option = mujoco.MjvOption()
        self._option.geomgroup[:] = 1  # by default MuJoCo hides half of the groups
        self._option.sitegroup[:] = 0
        self._views = []
        for i, source in enumerate(self.cameras):
            camera = mujoco.MjvCamera()
            if isinstance(source, View):
                camera.type = mujoco.mjtCamera.mjCAMERA_FREE.value
                camera.lookat[:] = source.target
                camera.distance, camera.azimuth, camera.elevation = source.distance, source.azimuth, source.elevation
            else:
                camera.type = mujoco.mjtCamera.mjCAMERA_FIXED.value
                camera.fixedcamid = model.camera(source).id
            self._views.append((camera, mujoco.MjrRect(i * self.width, 0, self.width, self.height)))
        self._whole = mujoco.MjrRect(0, 0, total, self.height)
        self._pixels = np.empty((self.height, total, 3), dtype=np.uint8)

    def render(self, world: World) -> np.ndarray:
        """Pictures of the current state: (height, width, 3 * cameras) uint8 RGB, in the order of ``cameras``.

        Raises:
            InputError: if no OpenGL back end works here.
        """
        if self._gl is None:
            self._open(world)
        else:
            self._gl.make_current()
        scene = self._scene
        for camera, rectangle in self._views:
            mujoco.mjv_updateScene(world.model, world.data, self._option, None, camera, _CATEGORIES, scene)
            self.retouch(scene)
            mujoco.mjr_render(rectangle, scene, self._context)
        mujoco.mjr_readPixels(self._pixels, None, self._whole, self._context)
        # OpenGL counts rows from the bottom; the copy is the caller's to keep
        views = self._pixels[::-1].copy().reshape(self.height, len(self.cameras), self.width, 3)
        return views.transpose(0, 2, 1, 3).reshape(self.height, self.width, -1)

    def close(self) -> None:
        """Frees the OpenGL context; a later picture opens a new one."""
        if self._gl is not None:
            self._gl.make_current()
            self._context.free()
            self._gl.free()
            self._gl = None
