"""A real TensorBoard, for tests and pictures."""

from __future__ import annotations

import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_ADDRESS = re.compile(r"(http://\S+?)/? \(Press CTRL\+C")
_SECONDS = 120.0


@contextmanager
def tensorboard(logdir: Path) -> Iterator[str]:
    """Serves a folder of runs on a free port, and yields the address.

    Raises:
        RuntimeError: TensorBoard ended, or did not come up in time; says what it wrote.
    """
    command = [sys.executable, "-m", "tensorboard.main", f"--logdir={logdir}"]
    more = ["--port=0", "--host=127.0.0.1", "--reload_interval=1"]
    process = subprocess.Popen([*command, *more], stderr=subprocess.PIPE, text=True)
    timer = threading.Timer(_SECONDS, process.kill)
    timer.start()
    try:
        assert process.stderr is not None
        written = ""
        for line in process.stderr:
            written += line
            if found := _ADDRESS.search(line):
                timer.cancel()
                # Nobody reads on, and TensorBoard would stand still at a full pipe.
                threading.Thread(target=process.stderr.read, daemon=True).start()
                yield found[1]
                return
        raise RuntimeError(f"TensorBoard did not start:\n{written}")
    finally:
        timer.cancel()
        process.terminate()
        process.wait()
