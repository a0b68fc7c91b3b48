"""Simple solid shapes as MuJoCo meshes with texture coordinates."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

import numpy as np

from fosp.envs.xml import numbers

Outline = Sequence[tuple[float, float]]


def box_outline(x0: float, x1: float, y0: float, y1: float) -> Outline:
    """Corners of a rectangle, counter-clockwise."""
    return ((x0, y0), (x1, y0), (x1, y1), (x0, y1))


def round_outline(x: float, y: float, radius_x: float, radius_y: float, corners: int = 16) -> Outline:
    """Corners of an ellipse, counter-clockwise."""
    angles = [2 * math.pi * i / corners for i in range(corners)]
    return [(x + radius_x * math.cos(a), y + radius_y * math.sin(a)) for a in angles]


def _counter_clockwise(outline: Outline) -> Outline:
    area = sum(x0 * y1 - x1 * y0 for (x0, y0), (x1, y1) in zip(outline, (*outline[1:], outline[0]), strict=True))
    return outline if area > 0 else tuple(reversed(outline))


def shrunk(outline: Outline, factor: float) -> Outline:
    """The outline scaled about the mean of its corners."""
    x, y = (sum(c) / len(outline) for c in zip(*outline, strict=True))
    return [(x + factor * (px - x), y + factor * (py - y)) for px, py in outline]


def solid(name: str, rings: Sequence[tuple[Outline, float]], tile: float = 1.0) -> str:
    """XML of a convex solid through outlines of equally many corners at rising heights.

    Args:
        name: of the mesh.
        rings: outlines in metres and their heights, from below.
        tile: metres that one repetition of the texture covers; it is wrapped around the sides and laid on the top.
    """
    rings = [(_counter_clockwise(outline), z) for outline, z in rings]
    vertices: list[tuple[float, float, float]] = []
    texture: list[tuple[float, float]] = []
    faces: list[tuple[int, int, int]] = []
    ground = rings[0][1]
    for (lower, z0), (upper, z1) in pairwise(rings):
        along = 0.0
        for i in range(len(lower)):
            j = (i + 1) % len(lower)
            step = math.dist(lower[i], lower[j])
            first = len(vertices)
            vertices += [(*lower[i], z0), (*lower[j], z0), (*upper[j], z1), (*upper[i], z1)]
            u0, u1 = along / tile, (along + step) / tile
            v0, v1 = (1 - (z - ground) / tile for z in (z0, z1))  # pictures count rows from the top
            texture += [(u0, v0), (u1, v0), (u1, v1), (u0, v1)]
            faces += [(first, first + 1, first + 2), (first, first + 2, first + 3)]
            along += step
    for (outline, z), flip in ((rings[-1], False), (rings[0], True)):
        first = len(vertices)
        left, bottom = (min(c) for c in zip(*outline, strict=True))
        vertices += [(x, y, z) for x, y in outline]
        texture += [((x - left) / tile, 1 - (y - bottom) / tile) for x, y in outline]
        fan = [(first, first + i, first + i + 1) for i in range(1, len(outline) - 1)]
        faces += [(a, c, b) for a, b, c in fan] if flip else fan
    return _mesh(name, vertices, faces, texture)


def prism(name: str, outline: Outline, z0: float, z1: float, tile: float = 1.0) -> str:
    """XML of an upright prism."""
    return solid(name, [(outline, z0), (outline, z1)], tile)


def bush(name: str, radius: tuple[float, float], z0: float, z1: float, seed: int) -> str:
    """XML of a rough, rounded lump of leaves: a few low-polygon tufts with flat faces.

    Args:
        name: of the mesh.
        radius: in x and y, metres.
        z0, z1: lowest and highest point, metres.
        seed: of its irregularity.
    """
    rng = np.random.default_rng(seed)
    vertices: list[tuple[float, float, float]] = []
    texture: list[tuple[float, float]] = []
    faces: list[tuple[int, int, int]] = []
    rings, sectors = 5, 9
    grid = np.empty((rings, sectors, 3))
    for i in range(rings):
        latitude = math.pi * (i + 0.5) / rings
        for j in range(sectors):
            angle = 2 * math.pi * (j + 0.5 * (i % 2)) / sectors
            r = rng.uniform(0.75, 1.0)
            grid[i, j] = (
                radius[0] * r * math.sin(latitude) * math.cos(angle),
                radius[1] * r * math.sin(latitude) * math.sin(angle),
                (z0 + z1) / 2 + (z1 - z0) / 2 * math.cos(latitude) * r,
            )
    poles = [(0.0, 0.0, z1), (0.0, 0.0, z0)]

    def triangle(*corners: Sequence[float]) -> None:
        first = len(vertices)
        for corner in corners:
            vertices.append((corner[0], corner[1], corner[2]))
            texture.append((2 * corner[0] + corner[2], 2 * corner[1] + corner[2]))
        faces.append((first, first + 1, first + 2))

    for j in range(sectors):
        k = (j + 1) % sectors
        triangle(poles[0], grid[0, j], grid[0, k])
        triangle(poles[1], grid[-1, k], grid[-1, j])
        for i in range(rings - 1):
            triangle(grid[i, j], grid[i + 1, j], grid[i + 1, k])
            triangle(grid[i, j], grid[i + 1, k], grid[i, k])
    return _mesh(name, vertices, faces, texture)


def _mesh(
    name: str,
    vertices: Sequence[tuple[float, float, float]],
    faces: Sequence[tuple[int, int, int]],
    texture: Sequence[tuple[float, float]],
) -> str:
    vertex = numbers(v for point in vertices for v in point)
    face = " ".join(str(i) for triangle in faces for i in triangle)
    return f'<mesh name="{name}" vertex="{vertex}" face="{face}" texcoord="{numbers(v for p in texture for v in p)}"/>'
