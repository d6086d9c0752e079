"""Who may import whom, and how long files and functions may be.

`data` knows nothing of ours, `models` knows `data`, `configs` knows both, `serving` knows all
three, and nothing knows `trainers`; only one file knows Horovod. Long files and functions hide what
they do: a file holds at most 250 lines, a function at most 60, docstrings and blanks included.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from importlib.metadata import packages_distributions, requires
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

REPOSITORY = Path(__file__).parents[1]
MAY_IMPORT = {
    "data": {"data"},
    "models": {"data", "models"},
    "configs": {"configs", "data", "models"},
    "serving": {"configs", "data", "models", "serving"},
    "benchmarks": {"benchmarks", "configs", "data", "models", "serving"},
    "trainers": {"configs", "data", "models", "trainers"},
}
HOROVOD_FILE = "trainers/distributed.py"
MAX_FILE_LINES = 250
MAX_FUNCTION_LINES = 60
EXTRA_OF_ROOM = {
    "data": "spark",
    "serving": "serving",
    "benchmarks": "benchmarks",
    "trainers": "tune",
}
BUILT_FROM_SOURCE = {"horovod"}  # by launch/build_horovod.sh
IN_AN_ENVIRONMENT_OF_THEIR_OWN = {"benchmarks/peers/": {"torch", "recbole"}}

FILES = sorted(
    path.relative_to(REPOSITORY).as_posix()
    for room in MAY_IMPORT
    for path in (REPOSITORY / room).rglob("*.py")
)


def imported_roots(source: str) -> Iterator[tuple[int, str]]:
    """Yields the line and the top-level package of every import, those inside functions too."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name.partition(".")[0]) for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            yield node.lineno, str(node.module).partition(".")[0]


def layer_faults(file: str, source: str) -> list[str]:
    """Returns what a file imports and may not."""
    room = file.partition("/")[0]
    faults = []
    for line, root in imported_roots(source):
        if root in MAY_IMPORT and root not in MAY_IMPORT[room]:
            faults.append(f"{file}:{line}: {room} must not know {root}")
        if root == "horovod" and file != HOROVOD_FILE:
            faults.append(f"{file}:{line}: only {HOROVOD_FILE} may import horovod")
    return faults


def length_faults(file: str, source: str) -> list[str]:
    """Returns what is too long in a file."""
    lines = source.count("\n")
    faults = [f"{file}: {lines} lines, at most {MAX_FILE_LINES}"] if lines > MAX_FILE_LINES else []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            length = (node.end_lineno or node.lineno) - node.lineno + 1
            if length > MAX_FUNCTION_LINES:
                faults.append(
                    f"{file}:{node.lineno}: {node.name} has {length} lines, at most "
                    f"{MAX_FUNCTION_LINES}"
                )
    return faults


def declared_distributions(extra: str) -> set[str]:
    """Returns the dependencies that setup.py declares, those of one extra included."""
    requirements = map(Requirement, requires("recommender-zoo") or [])
    return {
        canonicalize_name(requirement.name)
        for requirement in requirements
        if requirement.marker is None or requirement.marker.evaluate({"extra": extra})
    }


@pytest.fixture(scope="module")
def distributions() -> dict[str, set[str]]:
    """Returns the distributions that install each top-level package."""
    found = packages_distributions()
    return {root: {canonicalize_name(name) for name in names} for root, names in found.items()}


@pytest.mark.parametrize("file", FILES)
def test_file_keeps_to_its_layer(file: str) -> None:
    assert layer_faults(file, (REPOSITORY / file).read_text()) == []


@pytest.mark.parametrize("file", FILES)
def test_file_and_its_functions_stay_short(file: str) -> None:
    assert length_faults(file, (REPOSITORY / file).read_text()) == []


@pytest.mark.parametrize("file", FILES)
def test_file_imports_only_declared_dependencies(
    file: str, distributions: dict[str, set[str]]
) -> None:
    declared = declared_distributions(EXTRA_OF_ROOM.get(file.partition("/")[0], ""))
    known = set(sys.stdlib_module_names) | BUILT_FROM_SOURCE | set(MAY_IMPORT)
    for folder, roots in IN_AN_ENVIRONMENT_OF_THEIR_OWN.items():
        known |= roots if file.startswith(folder) else set()
    undeclared = [
        f"{file}:{line}: {root}"
        for line, root in imported_roots((REPOSITORY / file).read_text())
        if root not in known and not distributions.get(root, set()) & declared
    ]
    assert undeclared == []


@pytest.mark.parametrize(
    ("file", "source", "fault"),
    [
        ("data/a.py", "import models", "data/a.py:1: data must not know models"),
        (
            "models/a.py",
            "\nfrom configs.base import A",
            "models/a.py:2: models must not know configs",
        ),
        (
            "configs/a.py",
            "import serving.server.rest",
            "configs/a.py:1: configs must not know serving",
        ),
        (
            "serving/a.py",
            "def f():\n    from trainers.loop import Trainer",
            "serving/a.py:2: serving must not know trainers",
        ),
        (
            "trainers/loop.py",
            "import horovod.tensorflow as hvd",
            "trainers/loop.py:1: only trainers/distributed.py may import horovod",
        ),
    ],
)
def test_a_forbidden_import_is_found(file: str, source: str, fault: str) -> None:
    assert layer_faults(file, source) == [fault]


def test_what_is_too_long_is_found() -> None:
    function = "def long():\n" + "    pass\n" * 60
    assert length_faults("data/a.py", function) == ["data/a.py:1: long has 61 lines, at most 60"]
    assert length_faults("data/a.py", "#\n" * 251) == ["data/a.py: 251 lines, at most 250"]
