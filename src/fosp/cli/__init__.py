"""The command line: one verb, one short function. Verbs are imported only when they are called."""

from __future__ import annotations

import errno
import os
import shlex
import sys
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

from fosp.errors import InputError, Notice
from fosp.training.interrupts import Interrupted


@dataclass(frozen=True)
class Verb:
    """Where a verb's function lives, and what `fosp --help` says of it."""

    module: str
    function: str
    summary: str


VERBS = {
    "demo": Verb("demo", "demo", "the whole path, small, on a CPU: collect, pretrain, finetune, evaluate, report"),
    "envs": Verb("about", "envs", "every environment: observation, action, costs"),
    "collect": Verb("data", "collect", "record episodes of a scripted behaviour or of a trained agent"),
    "dataset info": Verb("data", "info", "what a dataset holds"),
    "dataset mix": Verb("data", "mix", "a dataset from parts of others, in given numbers"),
    "dataset import": Verb("data", "import_", "bring a foreign dataset into ours"),
    "dataset export": Verb("data", "export", "a dataset for other tools"),
    "pretrain": Verb("training", "pretrain", "learn from datasets, without touching the environment"),
    "finetune": Verb("training", "finetune", "go on learning online, carefully"),
    "train": Verb("training", "train", "learn online only, from scratch"),
    "evaluate": Verb("evaluation", "evaluate", "reward and cost of an agent or a behaviour, on fixed seeds"),
    "diagnose": Verb("evaluation", "diagnose", "what an agent sees and foresees of recorded episodes"),
    "export": Verb("deployment", "export", "the policy of a run as a graph of one step, with a guard, to deploy"),
    "run-robot": Verb("deployment", "run_robot", "a policy at a fixed rate, under its guard; records a dataset"),
    "report": Verb("evaluation", "report", "one HTML page from run directories"),
    "experiment list": Verb("experiment", "list_", "the paper's tables and figures that can be run"),
    "experiment run": Verb("experiment", "run", "run them on Ray, here or on a cluster; also goes on where it stopped"),
    "experiment status": Verb("experiment", "status", "how far each run is"),
    "experiment report": Verb("experiment", "report", "a page of tables and curves with the paper's figures beside"),
    "play": Verb("evaluation", "play", "an episode as a video"),
    "doctor": Verb("about", "doctor", "what works on this machine, how fast, and what to do"),
    "version": Verb("about", "version", "the version of fosp"),
}

CONTINUING = {"demo": False, "collect": False, "experiment": False, "pretrain": True, "finetune": True, "train": True}
"""Verbs that can go on where they were stopped, and whether they must be told to with --resume."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one verb; returns the exit code: 0, 2 for bad input, 130 after an interrupt.

    Bad input is one line on standard error. Anything unexpected keeps its traceback.
    """
    words = list(sys.argv[1:] if arguments is None else arguments)
    try:
        with _plain_notices():
            return _dispatch(words)
    except InputError as error:
        if os.environ.get("RANK", "0") == "0":
            print(f"fosp: {error}", file=sys.stderr)
        return 2
    except Interrupted as stopped:
        if os.environ.get("RANK", "0") == "0":
            print(f"fosp: interrupted; {stopped.run} is saved. Go on with: {continuation(words)}", file=sys.stderr)
        return 130
    except BrokenPipeError:  # the reader of `fosp envs | head` has gone
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141
    except OSError as error:
        if error.errno != errno.ENOSPC:
            raise
        print(f"fosp: the disk is full ({error.filename or error}): free some space and try again.", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        again = f" Go on with: {continuation(words)}" if words[0] in CONTINUING else ""
        print(f"fosp: interrupted.{again}", file=sys.stderr)
        return 130


@contextmanager
def _plain_notices() -> Iterator[None]:
    """Within the block, a `Notice` is shown as `InputError` is, without the line of code that gave it."""
    usual = warnings.formatwarning

    def plain(message: Warning | str, category: type[Warning], *where: Any, **more: Any) -> str:
        return f"fosp: {message}\n" if issubclass(category, Notice) else usual(message, category, *where, **more)

    warnings.formatwarning = plain
    try:
        yield
    finally:
        warnings.formatwarning = usual


def _dispatch(words: list[str]) -> int:
    if not words or words[0] in ("-h", "--help"):
        print(overview())
        return 0
    if words[0] == "--version":
        words = ["version"]
    name = next((" ".join(words[:n]) for n in (2, 1) if " ".join(words[:n]) in VERBS), None)
    if name is None:
        inner = [verb for verb in VERBS if verb.startswith(f"{words[0]} ")]
        if inner and words[1:2] in ([], ["-h"], ["--help"]):
            print(overview(inner))
            return 0
        raise InputError(f"there is no verb '{' '.join(words[: 2 if inner else 1])}': see fosp --help.")
    from fosp.cli.settings import call

    verb = VERBS[name]
    if name != "pretrain" and int(os.environ.get("WORLD_SIZE", 1)) > 1:
        raise InputError(f"torchrun is for fosp pretrain; fosp {name} is one process.")
    return call(getattr(import_module(f"fosp.cli.{verb.module}"), verb.function), name, words[len(name.split()) :]) or 0


def overview(names: Sequence[str] = tuple(VERBS)) -> str:
    """What `fosp --help` prints."""
    lines = [f"  fosp {name:<17} {VERBS[name].summary}" for name in names]
    return "\n".join(["usage: fosp VERB [OPTIONS]", "", *lines, "", "Options of a verb: fosp VERB --help"])


def continuation(words: Sequence[str]) -> str:
    """The command that goes on where the command `words` was stopped, as one would type it."""
    from fosp.cli.settings import option

    begun = (Path(option(words, "--run") or "") / "config.yaml").exists()
    resume = ["--resume"] if CONTINUING[words[0]] and begun and "--resume" not in words else []
    return shlex.join(["fosp", *words, *resume])
