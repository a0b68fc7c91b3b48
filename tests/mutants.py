"""Breaks the package once for every entry of mutations.toml and tells which tests notice.

    python tests/mutants.py [--jobs N] [WORD ...]      only mutations whose name or part has one of the words

A mutation is made in a copy of src that PYTHONPATH puts before the installed package. Exits with 1 if any named test
passes on its mutant, if a mutant cannot be tested at all, or if the tests do not pass on the copy as it is.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
SOURCE = ROOT / "src"


@dataclass(frozen=True)
class Mutation:
    """One entry of the file; see there."""

    name: str
    part: str
    file: str
    old: str
    new: str
    tests: tuple[str, ...]

    def mutated(self) -> str:
        """The text of the file with the mutation in it."""
        text = (SOURCE / "fosp" / self.file).read_text()
        if text.count(self.old) != 1:
            raise ValueError(f"{self.name}: in {self.file} its text occurs {text.count(self.old)} times, not once.")
        return text.replace(self.old, self.new)


def load_mutations() -> list[Mutation]:
    """All entries of mutations.toml."""
    entries = tomllib.loads((ROOT / "tests" / "mutations.toml").read_text())["mutation"]
    return [Mutation(**entry | {"tests": tuple(entry["tests"])}) for entry in entries]


def failures(tests: Iterable[str], mutation: Mutation | None) -> list[str]:
    """The tests (with their parameters) that fail on a copy of the package with the mutation."""
    with tempfile.TemporaryDirectory(prefix="mutant-") as folder:
        copy = Path(folder) / "src"
        shutil.copytree(SOURCE, copy, ignore=shutil.ignore_patterns("__pycache__"))
        if mutation:
            (copy / "fosp" / mutation.file).write_text(mutation.mutated())
        environment = os.environ | {"PYTHONPATH": str(copy), "PYTHONDONTWRITEBYTECODE": "1", "OMP_NUM_THREADS": "1"}

        def python(*words: str) -> subprocess.CompletedProcess[str]:
            return subprocess.run([sys.executable, *words], cwd=ROOT, env=environment, capture_output=True, text=True)

        imported = python("-c", "import fosp; print(fosp.__file__)").stdout.strip()
        if not imported.startswith(folder):
            raise RuntimeError(f"{imported} is imported instead of the copy in {folder}.")
        run = python("-m", "pytest", "-q", "-rf", "--tb=no", "-p", "no:cacheprovider", *tests)
    failed = re.findall(r"^FAILED (\S+)", run.stdout, re.MULTILINE)
    if run.returncode not in (0, 1) or (run.returncode == 1) != bool(failed):
        raise RuntimeError(f"the tests could not be run:\n{run.stdout[-3000:]}{run.stderr[-1000:]}")
    return failed


def replay(mutation: Mutation) -> tuple[bool, str]:
    """Whether all tests named noticed the mutation, and a report."""
    failed = failures(mutation.tests, mutation)
    lines = []
    for test in mutation.tests:
        noticed = any(name.partition("[")[0] == test for name in failed)
        lines.append(f"    {'failed' if noticed else 'PASSED'}  {test}")
    killed = not any("PASSED" in line for line in lines)
    return killed, "\n".join([f"{'killed  ' if killed else 'SURVIVED'}  {mutation.part}: {mutation.name}", *lines])


def main() -> int:
    """Replays and reports."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("words", nargs="*")
    parser.add_argument("--jobs", type=int, default=1, help="mutants tested at once")
    arguments = parser.parse_args()
    chosen = [
        mutation
        for mutation in load_mutations()
        if not arguments.words or any(word in f"{mutation.part} {mutation.name}" for word in arguments.words)
    ]
    tests = sorted({test for mutation in chosen for test in mutation.tests})
    if failed := failures(tests, None):
        print("These tests fail without any mutation:", *failed, sep="\n    ")
        return 1
    survived = 0
    with ThreadPoolExecutor(arguments.jobs) as pool:
        for killed, report in pool.map(replay, chosen):
            survived += not killed
            print(report, flush=True)
    print(f"{len(chosen) - survived} of {len(chosen)} mutants killed by {len(tests)} tests.")
    return 1 if survived else 0


if __name__ == "__main__":
    sys.exit(main())
