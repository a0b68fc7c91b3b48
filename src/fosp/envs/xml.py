"""Small helpers for writing MuJoCo XML."""

import math
from collections.abc import Iterable


def numbers(values: Iterable[float]) -> str:
    """Numbers as MuJoCo reads them; ``repr`` keeps every bit of a float."""
    return " ".join(repr(float(v)) for v in values)


def z_rotation(angle: float) -> str:
    """Quaternion (w, x, y, z) of a rotation by ``angle`` radians about z."""
    return numbers((math.cos(angle / 2), 0.0, 0.0, math.sin(angle / 2)))
