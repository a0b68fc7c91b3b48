"""Pictures of a world through MuJoCo's own renderer."""

from __future__ import annotations

from typing import Any

import mujoco
import numpy as np

from fosp.envs.gl import create_context

SAMPLES = 4  # multisampling of the original's pictures
_MAX_GEOMS = 1000


class Renderer:
    """Draws one or several cameras of a model side by side and reads them back at once.

    The OpenGL context is made at the first picture and serves every later model of the same task: such models share
    their textures and meshes, and everything else travels with the scene. A process that draws nothing needs no
    OpenGL.
    """

    def __init__(self, cameras: tuple[str, ...], width: int, height: int, samples: int = SAMPLES) -> None:
        self.cameras, self.width, self.height, self.samples = cameras, width, height, samples
        self._gl: Any = None

    def _open(self, model: mujoco.MjModel) -> None:
        total = self.width * len(self.cameras)
        model.vis.global_.offwidth, model.vis.global_.offheight = total, self.height
        model.vis.quality.offsamples = self.samples
        self._gl = create_context(total, self.height)
        self._gl.make_current()
        self._context = mujoco.MjrContext(model, mujoco.mjtFontScale.mjFONTSCALE_100.value)
        mujoco.mjr_setBuffer(mujoco.mjtFramebuffer.mjFB_OFFSCREEN.value, self._context)
        self._scene = mujoco.MjvScene(model, maxgeom=_MAX_GEOMS)
        self._option = mujoco.MjvOption()
        self._option.geomgroup[:] = 1  # by default MuJoCo hides the groups of hazards, vases, gremlins and goals
        self._views = []
        for i, name in enumerate(self.cameras):
            camera = mujoco.MjvCamera()
            camera.type = mujoco.mjtCamera.mjCAMERA_FIXED.value
            camera.fixedcamid = model.camera(name).id
            self._views.append((camera, mujoco.MjrRect(i * self.width, 0, self.width, self.height)))
        self._whole = mujoco.MjrRect(0, 0, total, self.height)
        self._pixels = np.empty((self.height, total, 3), dtype=np.uint8)

    def render(self, model: mujoco.MjModel, data: mujoco.MjData) -> np.ndarray:
        """Pictures of the current state: (height, width, 3 * cameras) uint8 RGB, in the order of ``cameras``.

        Raises:
            InputError: if no OpenGL back end works here.
        """
        if self._gl is None:
            self._open(model)
        else:
            self._gl.make_current()
        everything = mujoco.mjtCatBit.mjCAT_ALL.value
        for camera, rectangle in self._views:
            mujoco.mjv_updateScene(model, data, self._option, None, camera, everything, self._scene)
            mujoco.mjr_render(rectangle, self._scene, self._context)
        mujoco.mjr_readPixels(self._pixels, None, self._whole, self._context)
        # OpenGL counts rows from the bottom
        views = self._pixels[::-1].reshape(self.height, len(self.cameras), self.width, 3)
        return views.transpose(0, 2, 1, 3).reshape(self.height, self.width, -1)

    def close(self) -> None:
        """Frees the OpenGL context; a later picture opens a new one."""
        if self._gl is not None:
            self._gl.make_current()
            self._context.free()
            self._gl.free()
            self._gl = None
