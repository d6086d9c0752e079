"""Pages of the documentation, the blocks in them, and a shell that runs those."""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
from pathlib import Path

REPOSITORY = Path(__file__).parents[2]


def read_page(place: str) -> str:
    """Returns a page by its place in the repository."""
    return (REPOSITORY / place).read_text(encoding="utf-8")


def blocks(page: str, language: str) -> list[str]:
    """Returns the fenced blocks of a language, in their order."""
    return re.findall(rf"^```{language}\n(.*?)^```$", page, re.DOTALL | re.MULTILINE)


def run_bash(commands: str, folder: Path, code: Path = REPOSITORY, port: int | None = None) -> str:
    """Runs commands as a reader would, who gave `source .venv/bin/activate`.

    Args:
        commands: One block.
        folder: Where.
        code: The copy of this project whose modules are run.
        port: Value of the variable PORT.

    Returns:
        What they print, standard error last.
    """
    environment = {
        **os.environ,
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "PYTHONPATH": str(code),
        "PORT": str(port or free_port()),
    }
    done = subprocess.run(
        ["bash", "-eu", "-c", commands],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=800,
        check=False,
    )
    assert done.returncode == 0, f"{commands}\n{done.stdout}\n{done.stderr}"
    return done.stdout + done.stderr


def free_port() -> int:
    """Returns a port on which nothing listens."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return int(taken.getsockname()[1])
