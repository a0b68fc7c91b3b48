"""The person at the terminal: a pseudo-terminal whose other end is ours."""

from __future__ import annotations

import os
import pty
import threading
import time

import pytest

from fosp.errors import InputError
from fosp.hardware.operator import TerminalOperator


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def sat():
    """The operator, the clock, and a function that presses keys and waits until they have arrived."""
    ours, theirs = pty.openpty()
    clock = Clock()
    with os.fdopen(theirs, "r") as terminal:
        operator = TerminalOperator(terminal, patience=0.7, clock=clock)

        def press(keys: bytes) -> None:
            os.write(ours, keys)
            time.sleep(0.05)

        yield operator, clock, press
        operator.close()
    os.close(ours)


def test_a_key_counts_for_a_while(sat):
    operator, clock, press = sat
    assert not operator.held()
    press(b" ")
    assert operator.held()
    clock.now += 0.6
    assert operator.held()
    clock.now += 0.2
    assert not operator.held()


def test_what_is_touched_is_said_once(sat):
    operator, _, press = sat
    press(b"too")
    assert operator.held()
    assert [operator.said(key) for key in "oott"] == [True, False, True, False]


def test_a_request_waits_for_enter_and_the_key_has_to_be_held_anew(sat, capsys):
    operator, _, press = sat
    press(b"o\n")  # from before: no answer
    threading.Timer(0.3, press, [b"x\n"]).start()
    began = time.monotonic()
    operator.confirm("Step back.")
    assert time.monotonic() - began > 0.2
    assert capsys.readouterr().out == "Step back. Then press Enter.\n"
    assert not operator.held()
    assert not operator.said("o")


def test_no_terminal_no_operator(tmp_path):
    with (tmp_path / "file").open("w+") as file, pytest.raises(InputError, match="is none"):
        TerminalOperator(file)
