"""What becomes of pictures, poses and actions when left and right are exchanged, where a task knows no difference."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from fosp.errors import InputError


class Mirror(NamedTuple):
    """Pictures are flipped; entries of actions and vectors change their signs."""

    action_sign: tuple[float, ...]
    vector_sign: tuple[float, ...] = ()


_POSE = (1.0, -1.0, 1.0, -1.0, 1.0, -1.0)  # x, y, z, and the rotation vector, which a mirror turns against its axis
_MIRRORS = {
    "SafetyPoint": Mirror((1.0, -1.0)),  # thrust, and a turn to the left or the right
    "SafeReach": Mirror(_POSE, _POSE),  # but for the shell of the arm, which has a left and a right side
}


def mirror_of(env_id: str, observation: str) -> Mirror:
    """The mirror symmetry of an environment; raises `InputError` where none is known for what is observed."""
    name = env_id.removeprefix("fosp/").removeprefix("franka:")
    found = next((mirror for prefix, mirror in _MIRRORS.items() if name.startswith(prefix)), None)
    if found is None or (observation != "image" and not found.vector_sign):
        raise InputError(
            f"Setting training.mirror is on, but no mirror symmetry is known of {env_id} with observation "
            f"'{observation}': turn it off."
        )
    return found


def mirrored(batch: dict[str, Tensor], which: Tensor, mirror: Mirror) -> dict[str, Tensor]:
    """Sequences (B, T, ...) of which those in `which` (B,) are seen in the mirror; the others are as they were."""
    device = batch["action"].device
    changed = dict(batch)
    changed["action"] = batch["action"] * torch.tensor(mirror.action_sign, device=device)
    if "image" in batch:  # (B, T, H, W, C)
        changed["image"] = batch["image"].flip(-2)
    if "vector" in batch:
        changed["vector"] = batch["vector"] * torch.tensor(mirror.vector_sign, device=device)
    return {
        key: torch.where(which.view(-1, *[1] * (value.dim() - 1)), changed[key], value) for key, value in batch.items()
    }
