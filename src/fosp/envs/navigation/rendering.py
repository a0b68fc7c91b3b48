"""Pictures of a world through MuJoCo's own renderer."""

from __future__ import annotations

from typing import Any

import mujoco
import numpy as np

from fosp.envs.gl import create_context, no_opengl
from fosp.envs.navigation.materials import pictures
from fosp.envs.navigation.task import View
from fosp.envs.navigation.world import World
from fosp.envs.navigation.xml import numbers

SAMPLES = 4  # multisampling of the original's pictures
_MAX_GEOMS = 1000


_SLICES, _STACKS = 28, 16  # MuJoCo's own tessellation of a sphere

_CATEGORIES = mujoco.mjtCatBit.mjCAT_ALL.value
_MESH = mujoco.mjtGeom.mjGEOM_MESH.value
_ROUND = (mujoco.mjtGeom.mjGEOM_SPHERE.value, mujoco.mjtGeom.mjGEOM_ELLIPSOID.value)


def ball_mesh() -> str:
    """XML of a unit sphere with MuJoCo's own tessellation, as a mesh named ``ball``."""
    vertices = [(0.0, 0.0, 1.0)]
    for i in range(1, _STACKS):
        t = np.pi * i / _STACKS
        angles = 2 * np.pi * np.arange(_SLICES) / _SLICES
        vertices += [(np.sin(t) * np.cos(p), np.sin(t) * np.sin(p), np.cos(t)) for p in angles]
    vertices.append((0.0, 0.0, -1.0))
    south, last_ring = len(vertices) - 1, 1 + (_STACKS - 2) * _SLICES
    faces = []
    for j in range(_SLICES):
        k = (j + 1) % _SLICES
        faces += [(0, 1 + j, 1 + k), (south, last_ring + k, last_ring + j)]
        for ring in range(1, last_ring, _SLICES):
            below = ring + _SLICES
            faces += [(ring + j, below + j, below + k), (ring + j, below + k, ring + k)]
    points = numbers(x for vertex in vertices for x in vertex)
    corners = " ".join(str(i) for face in faces for i in face)
    return f'<mesh name="ball" vertex="{points}" normal="{points}" face="{corners}"/>'


def drawing_model(world: World) -> mujoco.MjModel:
    """A copy of the world's model from which OpenGL's display lists are made: the same pictures from fewer triangles.

    As the model stands, both views of Goal1 take 23 ms in software. Two thirds go into triangles that nobody sees:
    the floor is cut every 0.1 m (9800 triangles, drawn twice because it mirrors), and the side of every flat
    cylinder into 16 rings. Here the floor has four quads and a cylinder two rings, which takes 5 ms. Such a sphere
    would look edged, so spheres are drawn as a mesh of the usual roundness instead.
    """
    model = mujoco.MjModel.from_xml_string(world.xml(drawing=True, extra_assets=ball_mesh()), pictures())
    planes = model.geom_type == mujoco.mjtGeom.mjGEOM_PLANE.value
    model.geom_size[planes, 2] = model.geom_size[planes, 0]  # spacing of the lines that cut a plane
    model.vis.quality.shadowsize = 0  # no light casts shadows, and the buffer for them would take 64 MiB
    if not (model.geom_type == mujoco.mjtGeom.mjGEOM_CAPSULE.value).any():  # a capsule's ends need the rings
        model.vis.quality.numstacks = 2
    return model


class Renderer:
    """Draws one or several cameras of a world side by side and reads them back at once.

    The OpenGL context is made at the first picture and serves every later model of the same world: such models share
    their textures and meshes, and everything else travels with the scene. A process that draws nothing needs no
    OpenGL.
    """

    def __init__(self, cameras: tuple[str | View, ...], width: int, height: int, samples: int = SAMPLES) -> None:
        self.cameras, self.width, self.height, self.samples = cameras, width, height, samples
        self._gl: Any = None

    def _open(self, world: World) -> None:
        total = self.width * len(self.cameras)
        model = drawing_model(world)
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
        self._ball = 2 * (model.nmesh - 1)  # display lists alternate between meshes and their convex hulls
        self._scene = mujoco.MjvScene(model, maxgeom=_MAX_GEOMS)
        self._option = mujoco.MjvOption()
        self._option.geomgroup[:] = 1  # by default MuJoCo hides the groups of hazards, vases, gremlins and goals
        self._option.sitegroup[:] = 0  # the only site lies inside the robot
        self._views = []
        for i, source in enumerate(self.cameras):
            camera = mujoco.MjvCamera()
            if isinstance(source, View):
                camera.type = mujoco.mjtCamera.mjCAMERA_FREE.value
                camera.lookat[:] = source.target
                camera.distance, camera.azimuth, camera.elevation = source.distance, 90.0, source.elevation
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
            for geom in scene.geoms[: scene.ngeom]:
                if geom.type in _ROUND:
                    geom.type, geom.dataid = _MESH, self._ball
                    geom.mat[:] = geom.mat * geom.size  # the mesh is a unit sphere, and meshes ignore ``size``
            mujoco.mjr_render(rectangle, scene, self._context)
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
