"""The virtual environment of the PyTorch peers, apart from our own.

RecBole asks for versions of NumPy and others that ours need not be, and nobody should have to
install PyTorch to use this project.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from data import atomic
from data.errors import InputError

REQUIREMENTS = ("torch==2.13.0", "numpy<2", "recbole==1.2.1")
# Where torch has builds without CUDA, which are a tenth of the size.
_EXTRA_INDEX = "https://download.pytorch.org/whl/cpu"
_STAMP = "peers-requirements.txt"
_SHOWN_LINES = 12


def python_of_peers(work_dir: Path) -> Path:
    """Returns the Python of the peers' environment in `work_dir`, which is made where it is not.

    Raises:
        InputError: Its packages cannot be installed.
    """
    folder = work_dir.resolve() / "venv"
    python, stamp = folder / "bin" / "python", folder / _STAMP
    wanted = "\n".join(REQUIREMENTS) + "\n"
    if stamp.is_file() and stamp.read_text(encoding="utf-8") == wanted:
        return python
    print(
        f"Installing {', '.join(REQUIREMENTS)} in {folder}: once, in up to ten minutes, 1.6 GiB",
        flush=True,
    )
    folder.parent.mkdir(parents=True, exist_ok=True)
    for command in _commands(folder, python):
        _run(command)
    atomic.write_text(stamp, wanted)  # last: without it an environment counts as half-made
    return python


def _commands(folder: Path, python: Path) -> list[list[str]]:
    """Returns the commands that make the environment anew."""
    install = [str(python), "-m", "pip", "install", "--disable-pip-version-check"]
    return [
        [sys.executable, "-m", "venv", "--clear", str(folder)],
        [*install, f"--extra-index-url={_EXTRA_INDEX}", *REQUIREMENTS],
    ]


def _run(command: list[str]) -> None:
    done = subprocess.run(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False
    )
    if done.returncode:
        raise InputError(
            "The packages of the PyTorch peers must be installable",
            received="\n".join(done.stdout.splitlines()[-_SHOWN_LINES:]),
            where=" ".join(command),
            # The newest ray that RecBole accepts has no build for Python 3.12.
            action="Check the connection and the disk, and run this with Python 3.10 or 3.11",
        )
