"""Runs several commands of one module."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.commands import run_module


@dataclass(frozen=True)
class Outcome:
    """What a command left: exit code and text."""

    code: int
    out: str
    err: str


def run_commands(module: str, commands: dict[str, list[str]]) -> dict[str, Outcome]:
    """Returns what each command of a module left, by its name."""
    left = {name: run_module(module, *arguments) for name, arguments in commands.items()}
    return {name: Outcome(d.returncode, d.stdout, d.stderr) for name, d in left.items()}


def change_schema(folder: Path, change: Callable[[dict[str, Any]], object]) -> None:
    """Rewrites `schema.json` by a function that changes it in place."""
    path = folder / "schema.json"
    schema = json.loads(path.read_text())
    change(schema)
    path.write_text(json.dumps(schema))
