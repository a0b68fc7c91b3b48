"""One process at a time in a directory."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from fosp.errors import InputError


@contextmanager
def alone_in(directory: Path, busy: str) -> Iterator[None]:
    """Keep `directory` for the block; raises `InputError`, saying `busy`, where another process has it.

    A process that dies gives it back.
    """
    try:
        lock = FileLock(directory / ".lock").acquire(timeout=0)
    except Timeout:
        raise InputError(busy) from None
    with lock:
        yield


def alone_in_run(run: Path) -> AbstractContextManager[None]:
    """`alone_in` for a run directory."""
    return alone_in(run, f"{run} is in training already, in another process: wait for it, or stop it.")
