"""What may stand where a policy is asked for."""

from __future__ import annotations

from pathlib import Path

from fosp.envs.behaviours import BEHAVIOURS
from fosp.errors import InputError


def is_behaviour(policy: str) -> bool:
    """Whether `policy` is a scripted behaviour; raises `InputError` where it is no run directory either."""
    if policy in BEHAVIOURS:
        return True
    if not Path(policy).exists():
        raise InputError(f"there is no policy '{policy}': give {', '.join(BEHAVIOURS)} or a run directory.")
    return False
