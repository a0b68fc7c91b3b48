"""What may stand where a policy is asked for."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

from fosp.data.mixing import interleave
from fosp.envs.behaviours import BEHAVIOURS
from fosp.errors import InputError


def is_behaviour(policy: str) -> bool:
    """Whether `policy` is a scripted behaviour, perhaps with its number (`safe=2`); raises `InputError` where it is no
    run directory either."""
    if policy.partition("=")[0] in BEHAVIOURS:
        return True
    if not Path(policy).exists():
        raise InputError(f"there is no policy '{policy}': give {', '.join(BEHAVIOURS)} or a run directory.")
    return False


def turns(words: Sequence[str]) -> list[str]:
    """The behaviours named by words such as `safe`, one after the other, or `safe=120`, in these proportions."""
    counts = parse_counts([word if "=" in word else f"{word}=1" for word in words])
    divisor = math.gcd(*counts.values()) or 1
    return interleave({name: count // divisor for name, count in counts.items()})


def parse_counts(words: Sequence[str]) -> dict[str, int]:
    """Numbers by name from words such as `safe=200`; raises `InputError` for others."""
    counts: dict[str, int] = {}
    for word in words:
        name, _, number = word.partition("=")
        if not number.isdigit():
            raise InputError(f"'{word}' must be a name and a number, such as safe=200.")
        counts[name] = counts.get(name, 0) + int(number)
    return counts
