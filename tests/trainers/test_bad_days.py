"""The command that injects faults: one of them as `long`, all of them as `slow`."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from data.errors import InputError
from trainers.bad_days.faults import FAULTS, chosen
from trainers.bad_days.outcome import (
    Fault,
    NotRunError,
    Outcome,
    Row,
    UnexpectedError,
    markdown_table,
    plain_table,
)
from trainers.bad_days.workshop import empty_folder

REPOSITORY = Path(__file__).parents[2]


def bad_days(*flags: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "trainers.bad_days", *flags]
    return subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=False)


@pytest.mark.long
def test_a_killed_run_survives_a_full_disk(tmp_path: Path) -> None:
    out = tmp_path / "table.md"
    done = bad_days(f"--work_dir={tmp_path / 'work'}", "--only=full_checkpoint", f"--out={out}")
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("  ok  lost: nothing") == 1, done.stdout
    assert "error: A checkpoint must be written" in out.read_text()
    with pytest.raises(InputError, match="must be a new or an empty folder"):
        empty_folder(str(tmp_path / "work"))


@pytest.mark.slow
@pytest.mark.timeout(7200)
def test_a_run_survives_all_faults(tmp_path: Path) -> None:
    done = bad_days(f"--work_dir={tmp_path / 'work'}")
    assert done.returncode == 0, done.stdout + done.stderr


def test_faults_are_chosen_by_name_and_pattern() -> None:
    assert [fault.name for fault in chosen(["kills", "full_*"])] == [
        "full_checkpoint",
        "full_prepare",
        "kills",
    ]
    assert len(chosen([])) == len({fault.name for fault in FAULTS}) == len(FAULTS)
    with pytest.raises(InputError, match="Did you mean 'damaged_table'"):
        chosen(["kills", "damaged_tabel"])


def row_of(inject: Any) -> tuple[Row, list[str]]:
    """Returns the line of a fault, and whether what it started was ended."""
    ended: list[str] = []
    workshop = SimpleNamespace(folder=Path("/runs"), end_all=lambda: ended.append("yes"))
    return Row.of(Fault("name", "a fault", inject), workshop), ended


def test_only_what_was_injected_and_survived_is_ok() -> None:
    def unexpected(workshop: Any) -> Outcome:
        raise UnexpectedError("the weights differ")

    def not_run(workshop: Any) -> Outcome:
        raise NotRunError("it needs root")

    def crashes(workshop: Any) -> Outcome:
        return Outcome(str(workshop.no_such_thing))

    survived, ended = row_of(lambda workshop: Outcome("error: /runs/a | b", how="20 times"))
    assert survived.cells() == ("a fault (20 times)", "error: WORK_DIR/a | b", "nothing", "ok")
    rows = [survived]
    for inject, outcome in (
        (unexpected, "FAILED"),
        (not_run, "not run (it needs root)"),
        (crashes, "FAILED"),
    ):
        row, ended = row_of(inject)
        assert row.outcome == outcome
        assert ended == ["yes"]
        rows.append(row)
    assert rows[1].said == "UnexpectedError: the weights differ"
    assert rows[1].lost == "unknown"
    assert "no_such_thing" in rows[3].said
    lines = markdown_table(rows).splitlines()
    assert lines[2] == "| a fault (20 times) | error: WORK_DIR/a \\| b | nothing | ok |"
    assert len(lines) == 2 + len(rows)
    assert plain_table(rows).count("FAILED") == 2
