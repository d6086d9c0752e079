"""Real servers of pages, for tests and pictures."""

from __future__ import annotations

import queue
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

_SECONDS = 120.0


@contextmanager
def tensorboard(logdir: Path) -> Iterator[str]:
    """Serves a folder of runs on a free port, and yields the address; see `_served` for errors."""
    arguments = [f"--logdir={logdir}", "--port=0", "--host=127.0.0.1", "--reload_interval=1"]
    with _served("tensorboard.main", arguments, r"(http://\S+?)/? \(Press CTRL\+C") as address:
        yield address


@contextmanager
def explorer(*exports: Path) -> Iterator[str]:
    """Serves the page that explores one export or two, and yields its address."""
    with _served("serving.explore", list(map(str, exports)), r"(http://\S+) shows ") as address:
        yield address


@contextmanager
def _served(module: str, arguments: list[str], pattern: str) -> Iterator[str]:
    """Starts a server, and yields the address that it prints to stderr.

    Raises:
        RuntimeError: It ended instead; says what it wrote.
        queue.Empty: It did not come up in time.
    """
    command = [sys.executable, "-m", module, *arguments]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    written: list[str] = []
    found: queue.Queue[str] = queue.Queue()
    reader = threading.Thread(
        target=_read, args=(process.stderr, re.compile(pattern), written, found)
    )
    reader.start()
    try:
        address = found.get(timeout=_SECONDS)
        if not address:
            raise RuntimeError(f"{module} did not start:\n{''.join(written)}")
        yield address
    finally:
        process.terminate()
        process.wait()
        reader.join()
        process.stderr.close()


def _read(
    lines: TextIO, pattern: re.Pattern[str], written: list[str], found: queue.Queue[str]
) -> None:
    """Reads to the end, for TensorBoard would stand still at a full pipe."""
    for line in lines:
        written.append(line)
        if match := pattern.search(line):
            found.put(match[1])
    found.put("")
