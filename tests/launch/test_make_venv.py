"""`launch/make_venv.sh` in a folder of its own."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "launch" / "make_venv.sh"


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project folder that holds nothing but the script."""
    folder = tmp_path / "project"
    (folder / "launch").mkdir(parents=True)
    shutil.copy(SCRIPT, folder / "launch")
    return folder


def make_venv(project: Path, python: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(project / "launch" / SCRIPT.name)],
        env={**os.environ, "PYTHON": python},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def test_a_working_environment_is_kept_and_a_broken_one_completed(project: Path) -> None:
    done = make_venv(project, sys.executable)
    assert done.returncode == 0, done.stderr
    assert f"Making .venv with {sys.executable}" in done.stdout
    made = (project / ".venv" / "pyvenv.cfg").stat().st_mtime_ns

    assert make_venv(project, sys.executable).stdout == ""
    assert (project / ".venv" / "pyvenv.cfg").stat().st_mtime_ns == made

    for package in (project / ".venv").glob("lib/*/site-packages/pip*"):
        shutil.rmtree(package)
    assert make_venv(project, sys.executable).returncode == 0
    pip = subprocess.run([project / ".venv/bin/python", "-m", "pip", "--version"], check=False)
    assert pip.returncode == 0


def test_no_usable_python_lists_what_was_tried_and_what_to_do(project: Path) -> None:
    broken = project / "python3.11"
    broken.write_text("#!/bin/sh\nexit 127\n")
    broken.chmod(0o755)
    for python, why in (("/nowhere/python3", "not found"), (str(broken), "does not run")):
        done = make_venv(project, python)
        assert done.returncode == 1
        assert f"{python}: {why}" in done.stderr
        assert "make setup PYTHON=" in done.stderr
    assert not (project / ".venv").exists()
