"""What becomes of observations and actions when left and right are exchanged, where a task knows no difference."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from fosp.envs.navigation.lidar import BINS
from fosp.errors import InputError


class Mirror(NamedTuple):
    """Pictures are flipped; entries of actions and vectors change their signs, and rings of lidar go round the other
    way."""

    action_sign: tuple[float, ...]
    vector_sign: tuple[float, ...]
    """Of the entries at the vector's start; what follows them is lidar, ring by ring."""


_SHIFT, _TURN = (1.0, -1.0, 1.0), (-1.0, 1.0, -1.0)  # x, y, z; about these axes, against which a mirror turns
_MIRRORS = {
    # Thrust, and a turn to the left or the right. Accelerometer, velocimeter, gyroscope, magnetometer.
    "SafetyPoint": Mirror((1.0, -1.0), (*_SHIFT, *_SHIFT, *_TURN, *_SHIFT)),
    # A rotation vector behind the position. But for the shell of the arm, which has a left and a right side.
    "SafeReach": Mirror((*_SHIFT, *_TURN), (*_SHIFT, *_TURN)),
}


_FIXED = ("SafetyPointRace", "SafetyPointBuilding")  # walls and machines stand where they stand, left and right


def find_mirror(env_id: str) -> Mirror | None:
    """The mirror symmetry of an environment, None where none is known; the arm itself has that of SafeReach."""
    name = "SafeReach" if env_id.startswith("franka:") else env_id.removeprefix("fosp/")
    if name.startswith(_FIXED):
        return None
    return next((mirror for prefix, mirror in _MIRRORS.items() if name.startswith(prefix)), None)


def mirror_of(env_id: str) -> Mirror:
    """The mirror symmetry of an environment; raises `InputError` where none is known."""
    found = find_mirror(env_id)
    if found is None:
        raise InputError(f"Setting training.mirror is on, but no mirror symmetry is known of {env_id}: turn it off.")
    return found


def mirrored(batch: dict[str, Tensor], which: Tensor, mirror: Mirror) -> dict[str, Tensor]:
    """Sequences (B, T, ...) of which those in `which` (B,) are seen in the mirror; the others are as they were."""
    device = batch["action"].device
    changed = dict(batch)
    changed["action"] = batch["action"] * torch.tensor(mirror.action_sign, device=device)
    if "image" in batch:  # (B, T, H, W, C)
        changed["image"] = batch["image"].flip(-2)
    if "vector" in batch:
        vector, first = batch["vector"], len(mirror.vector_sign)
        entries = vector[..., :first] * torch.tensor(mirror.vector_sign, device=device)
        rings = [ring.flip(-1) for ring in vector[..., first:].split(BINS, -1)]
        changed["vector"] = torch.cat([entries, *rings], -1)
    return {
        key: torch.where(which.view(-1, *[1] * (value.dim() - 1)), changed[key], value) for key, value in batch.items()
    }
