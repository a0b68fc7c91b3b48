"""docs/conformance.md names functions and tests that exist, and mutations.toml breaks code that is there."""

from __future__ import annotations

import ast
import importlib
import re
from operator import attrgetter
from pathlib import Path

import pytest

from fosp.config import PRESETS, flatten
from mutants import ROOT, Mutation, load_mutations

STORY = (ROOT / "docs" / "algorithm.md").read_text(encoding="utf-8")
TABLE = (ROOT / "docs" / "conformance.md").read_text(encoding="utf-8")
ROWS = [[cell.strip() for cell in line.strip("|").split("|")] for line in TABLE.splitlines() if line.startswith("| ")]
MUTATIONS = load_mutations()


def has_test(name: str) -> bool:
    """Whether `tests/file.py::function` exists."""
    file, _, function = name.partition("::")
    path = ROOT / file
    return path.exists() and any(
        isinstance(node, ast.FunctionDef) and node.name == function for node in ast.parse(path.read_text()).body
    )


def test_every_row_names_functions_and_tests_that_exist():
    rows = [row for row in ROWS if "`" in row[1]]
    assert len(rows) > 40
    for what, functions, tests, *_ in rows:
        assert tests, what
        for file, name in re.findall(r"`(\S+?)\.py:(\S+?)`", functions):
            attrgetter(name)(importlib.import_module(f"fosp.{file.replace('/', '.')}"))
        assert re.sub(r"`\S+?\.py:\S+?`|,|\s", "", functions) == "", what
        for name in re.findall(r"`(\S+?)`", tests):
            assert has_test(f"tests/{name}"), name
        assert re.sub(r"`\S+?\.py::\S+?`|,|\s", "", tests) == "", what


def test_every_equation_that_is_implemented_has_a_row():
    named = {int(number) for row in ROWS for number in re.findall(r"\b(\d+)\b", row[0]) if row[0].startswith("Eq")}
    assert {1, *range(5, 12), *range(12, 24), 27, 30} <= named


def test_settings_of_the_story_are_the_papers_preset():
    rows = re.findall(r"^\|[^|]+\| (`\w+\.\w+`[^|]*) \| ([^|]+) \|$", STORY, re.MULTILINE)
    assert len(rows) > 15
    settings = dict(flatten(PRESETS["paper"]))
    for names, values in rows:
        found = [settings[name] for name in re.findall(r"`(\S+?)`", names)]
        if isinstance(found[0], int | float):
            told = [float(value) for value in re.split("[,;] ", values)]
            assert {float(value) for value in found} == set(told), names


def test_links_of_the_pages_lead_somewhere():
    for target in re.findall(r"\]\(([^)#]+)\)", TABLE + STORY):
        assert (ROOT / "docs" / Path(target)).exists(), target


@pytest.mark.parametrize("mutation", MUTATIONS, ids=lambda mutation: mutation.name)
def test_mutations_apply_and_their_tests_exist(mutation: Mutation):
    compile(mutation.mutated(), mutation.file, "exec")
    assert all(has_test(name) for name in mutation.tests)


def test_mutations_cover_every_part():
    parts = [mutation.part for mutation in MUTATIONS]
    algorithm = {"expectile", "targets", "lagrangian", "weights", "expansion", "model"}
    assert set(parts) == algorithm | {"trust region", "parallel", "baselines", "deployment", "hardware"}
    assert min(parts.count(part) for part in algorithm) >= 4
    assert len({mutation.name for mutation in MUTATIONS}) == len(MUTATIONS)
