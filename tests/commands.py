"""Runs commands in processes of their own that have loaded TensorFlow already.

A process that starts from nothing takes seconds to load it. These are forked from one that has
loaded our libraries and done nothing with them: no device is open, no flag is defined.
"""

from __future__ import annotations

import io
import multiprocessing
import os
import runpy
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

REPOSITORY = Path(__file__).parents[1]
# Libraries only: a command module defines its flags when it is run, and twice is an error.
_LOADED = ["models", "configs.registry", "trainers.fitting", "serving.writing", "data.assemble"]
_FORKS = multiprocessing.get_context("forkserver")
_FORKS.set_forkserver_preload(_LOADED)


def run_module(
    module: str,
    *arguments: str,
    environment: Mapping[str, str] | None = None,
    cwd: Path = REPOSITORY,
    timeout: float = 240,
) -> subprocess.CompletedProcess[str]:
    """Runs `python -m MODULE ARGUMENT...` and returns what it printed and its exit code.

    Args:
        module: A command of ours.
        arguments: Its flags.
        environment: Variables to set beside those of this process, save those that TensorFlow
            reads when it is loaded.
        cwd: Folder to run it in.
        timeout: Seconds after which it is killed.

    Raises:
        subprocess.TimeoutExpired: It took longer.
    """
    with tempfile.TemporaryDirectory() as folder:
        texts = [Path(folder, name) for name in ("out", "err")]
        task = (module, arguments, dict(environment or {}), str(cwd), *map(str, texts))
        with _pythonpath(REPOSITORY):
            process = _FORKS.Process(target=_run, args=task)
            process.start()
        process.join(timeout)
        if process.exitcode is None:
            process.kill()
            process.join()
            raise subprocess.TimeoutExpired([module, *arguments], timeout)
        out, err = (path.read_text(encoding="utf-8", errors="replace") for path in texts)
    return subprocess.CompletedProcess([module, *arguments], process.exitcode, out, err)


@contextmanager
def _pythonpath(folder: Path) -> Iterator[None]:
    """Lets the process that is forked from find our modules, whatever folder tests started in."""
    before = os.environ.get("PYTHONPATH")
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [str(folder), before]))
    try:
        yield
    finally:
        if before is None:
            del os.environ["PYTHONPATH"]
        else:
            os.environ["PYTHONPATH"] = before


def _run(
    module: str, arguments: list[str], environment: dict[str, str], cwd: str, out: str, err: str
) -> None:
    for descriptor, path in ((1, out), (2, err)):
        file = os.open(path, os.O_WRONLY | os.O_CREAT)
        os.dup2(file, descriptor)
        os.close(file)
    sys.stdout = io.TextIOWrapper(open(1, "wb", 0, closefd=False), write_through=True)  # noqa: SIM115
    sys.stderr = io.TextIOWrapper(open(2, "wb", 0, closefd=False), write_through=True)  # noqa: SIM115
    os.environ.update(environment)
    os.chdir(cwd)
    sys.argv = [module, *arguments]
    runpy.run_module(module, run_name="__main__", alter_sys=True)
