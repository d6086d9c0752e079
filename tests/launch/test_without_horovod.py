"""Ranks asked for where Horovod is not installed: the command that installs it comes first."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from data.errors import InputError
from trainers.distributed import make_communicator

REPOSITORY = Path(__file__).parents[2]


@pytest.mark.parametrize("launcher", ["local.sh", "ssh.sh"])
def test_launchers_tell_how_to_install_it(launcher: str, tmp_path: Path) -> None:
    # Which Python runs first: as if there were no such package.
    (tmp_path / "sitecustomize.py").write_text("import sys\nsys.modules['horovod'] = None\n")
    hosts = tmp_path / "hosts.txt"
    hosts.write_text("localhost slots=2\n")
    ranks = {"local.sh": "2", "ssh.sh": str(hosts)}[launcher]
    done = subprocess.run(
        [f"launch/{launcher}", ranks, "--model=ncf"],
        cwd=REPOSITORY,
        env={**os.environ, "PYTHON": sys.executable, "PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 2
    assert done.stdout == ""
    (line,) = done.stderr.splitlines()
    assert line.startswith("error: Training on several ranks needs Horovod")
    assert line.endswith(f"Build and install it: PYTHON={sys.executable} launch/build_horovod.sh")


def test_a_rank_tells_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "horovod", None)
    monkeypatch.setenv("HOROVOD_SIZE", "2")
    with pytest.raises(InputError, match=r"install it: PYTHON=.* launch/build_horovod.sh$"):
        make_communicator()
