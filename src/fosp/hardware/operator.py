"""The person beside the robot, at a terminal: who holds a key for it to move, and says what it touches."""

from __future__ import annotations

import os
import select
import sys
import time
from collections.abc import Callable
from typing import Protocol, TextIO

from fosp.errors import InputError

Clock = Callable[[], float]

TARGET, OBSTACLE = "t", "o"
"""Keys that say what the arm touches."""


class ArmStoppedError(InputError):
    """The arm is held: by its operator, its limits, or an error of its own."""


class Operator(Protocol):
    """What an arm asks of a person."""

    def confirm(self, request: str) -> None:
        """Return once the person has done what `request` says."""

    def held(self) -> bool:
        """Whether the person wants the arm to go on."""

    def said(self, key: str) -> bool:
        """Whether the person has pressed `key` since the last question about it."""

    def close(self) -> None:
        """Give the terminal back."""


class TerminalOperator:
    """Keys of a terminal. Any key held down means: go on; a held key repeats, and counts for `patience` seconds."""

    def __init__(self, stream: TextIO | None = None, patience: float = 0.7, clock: Clock = time.monotonic) -> None:
        """Reads keys one by one from now on, until `close`.

        Raises:
            InputError: `stream` (default: standard input) is no terminal.
        """
        import termios  # not on Windows
        import tty

        stream = stream or sys.stdin
        if not stream.isatty():
            raise InputError("The operator's keys are read from a terminal, but standard input is none: run it in one.")
        self._number, self._patience, self._clock = stream.fileno(), patience, clock
        self._last, self._pressed = clock() - patience, set[str]()
        self._before = termios.tcgetattr(self._number)
        tty.setcbreak(self._number)

    def _read(self, seconds: float = 0.0) -> str:
        """Keys that are waiting, after at most so many seconds."""
        keys = ""
        while select.select([self._number], [], [], 0.0 if keys else seconds)[0]:
            found = os.read(self._number, 64)
            if not found:
                break
            keys += found.decode(errors="ignore")
            self._last = self._clock()
        self._pressed |= set(keys)
        return keys

    def confirm(self, request: str) -> None:
        """Show `request` and wait for Enter."""
        self._read()  # keys from before do not answer
        print(f"{request} Then press Enter.", flush=True)
        while "\n" not in self._read(0.1):
            pass
        self._pressed.clear()
        self._last = self._clock() - self._patience

    def held(self) -> bool:
        self._read()
        return self._clock() - self._last < self._patience

    def said(self, key: str) -> bool:
        self._read()
        found = key in self._pressed
        self._pressed.discard(key)
        return found

    def close(self) -> None:
        import termios

        termios.tcsetattr(self._number, termios.TCSADRAIN, self._before)
