"""A real TensorBoard, for tests and pictures."""

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

_ADDRESS = re.compile(r"(http://\S+?)/? \(Press CTRL\+C")
_SECONDS = 120.0


@contextmanager
def tensorboard(logdir: Path) -> Iterator[str]:
    """Serves a folder of runs on a free port, and yields the address.

    Raises:
        RuntimeError: TensorBoard ended instead; says what it wrote.
        queue.Empty: It did not come up in time.
    """
    command = [sys.executable, "-m", "tensorboard.main", f"--logdir={logdir}"]
    more = ["--port=0", "--host=127.0.0.1", "--reload_interval=1"]
    process = subprocess.Popen([*command, *more], stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    written: list[str] = []
    found: queue.Queue[str] = queue.Queue()
    reader = threading.Thread(target=_read, args=(process.stderr, written, found))
    reader.start()
    try:
        address = found.get(timeout=_SECONDS)
        if not address:
            raise RuntimeError(f"TensorBoard did not start:\n{''.join(written)}")
        yield address
    finally:
        process.terminate()
        process.wait()
        reader.join()
        process.stderr.close()


def _read(lines: TextIO, written: list[str], found: queue.Queue[str]) -> None:
    """Reads to the end, for TensorBoard would stand still at a full pipe."""
    for line in lines:
        written.append(line)
        if match := _ADDRESS.search(line):
            found.put(match[1])
    found.put("")
