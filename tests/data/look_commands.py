"""Runs the commands that look at a dataset, many in one process."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

REPOSITORY = Path(__file__).parents[2]
# Most of a command's time goes into importing TensorFlow.
DRIVER = """
import contextlib, importlib, io, json, sys
from absl.testing import flagsaver
from data.command_line import parse_flags

module, commands = json.load(sys.stdin)
command = importlib.import_module(module)
outcomes = []
for arguments in commands:
    out, err, code = io.StringIO(), io.StringIO(), 0
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err), flagsaver.flagsaver():
        try:
            command.main(parse_flags([module, *arguments]))
        except SystemExit as end:
            code = end.code
    outcomes.append((code, out.getvalue(), err.getvalue()))
print(json.dumps(outcomes))
"""


@dataclass(frozen=True)
class Outcome:
    """What a command left: exit code and text."""

    code: int
    out: str
    err: str


def run_commands(module: str, commands: dict[str, list[str]]) -> dict[str, Outcome]:
    """Returns what each command of a module left, by its name."""
    done = subprocess.run(
        [sys.executable, "-c", DRIVER],
        input=json.dumps([module, list(commands.values())]),
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    left = json.loads(done.stdout)
    return {name: Outcome(*outcome) for name, outcome in zip(commands, left, strict=True)}


def change_schema(folder: Path, change: Callable[[dict[str, Any]], object]) -> None:
    """Rewrites `schema.json` by a function that changes it in place."""
    path = folder / "schema.json"
    schema = json.loads(path.read_text())
    change(schema)
    path.write_text(json.dumps(schema))
