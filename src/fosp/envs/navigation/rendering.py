"""How the navigation tasks are drawn."""

from __future__ import annotations

import mujoco
import numpy as np

from fosp.envs.navigation.materials import pictures
from fosp.envs.navigation.world import World
from fosp.envs.rendering import Renderer
from fosp.envs.xml import numbers

SAMPLES = 4  # multisampling of the original's pictures

_SLICES, _STACKS = 28, 16  # MuJoCo's own tessellation of a sphere

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


class NavigationRenderer(Renderer):
    """Draws a navigation task from few triangles, with spheres of the usual roundness."""

    def drawing_model(self, world: World) -> mujoco.MjModel:
        """See the function of the same name."""
        model = drawing_model(world)
        self._ball = 2 * (model.nmesh - 1)  # display lists alternate between meshes and their convex hulls
        return model

    def retouch(self, scene: mujoco.MjvScene) -> None:
        """Replaces spheres by the mesh."""
        for geom in scene.geoms[: scene.ngeom]:
            if geom.type in _ROUND:
                geom.type, geom.dataid = _MESH, self._ball
                geom.mat[:] = geom.mat * geom.size  # the mesh is a unit sphere, and meshes ignore ``size``
