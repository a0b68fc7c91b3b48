"""Several environments at once, each in its own process."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from multiprocessing import resource_tracker
from typing import Any

import gymnasium
from gymnasium.vector import AsyncVectorEnv, AutoresetMode

from fosp.envs.make import make_env
from fosp.errors import InputError


def make_vec_env(env_id: str, n: int, **kwargs: Any) -> gymnasium.vector.VectorEnv:
    """``n`` copies of an environment in ``n`` processes, observations in shared memory.

    The step in which an episode ends resets it at once (Gymnasium's SAME_STEP mode): reward, ``terminated``,
    ``truncated`` are of the ended episode, the observation is already the next episode's first, and the ended
    episode's last observation and info (with its ``cost``) are in ``infos["final_obs"]`` and
    ``infos["final_info"]``. So every step of every environment is a real one and none needs masking.

    Args:
        env_id: as for ``make_env``.
        n: number of environments, at least 1.
        **kwargs: as for ``make_env``.

    Returns:
        A Gymnasium vector environment; ``reset(seed=s)`` seeds environment i with s + i.

    Raises:
        InputError: as ``make_env``, or if ``n`` is below 1.
    """
    if n < 1:
        raise InputError(f"n={n} must be at least 1.")
    make = partial(make_env, env_id, **kwargs)
    make().close()  # bad arguments fail here, with their own message, and not inside a process
    with _children_without_interrupts():
        return AsyncVectorEnv([make] * n, shared_memory=True, context="spawn", autoreset_mode=AutoresetMode.SAME_STEP)


@contextmanager
def _children_without_interrupts() -> Iterator[None]:
    """Processes started in this block never see Ctrl-C, which reaches all that share a terminal: the one that steps
    them decides when they end."""
    resource_tracker.ensure_running()  # starting later, it would let the signal through again
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
