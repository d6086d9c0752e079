"""What a trial tells while it runs: all of it to its log, a line now and then to the terminal."""

from __future__ import annotations

import io
import time
from typing import TextIO

from trainers.reporting import PROGRESS

SECONDS_BETWEEN_LINES = 30.0


class Progress(io.TextIOBase):
    """Stands for the stderr of a trial.

    Args:
        log: Where all goes.
        trial: Number of the trial, which the lines on the terminal begin with.
    """

    def __init__(self, log: TextIO, trial: int) -> None:
        self._log = log
        self._trial = trial
        self._last_line = time.monotonic()

    def write(self, text: str) -> int:
        """Writes to the log, and to stdout where it is a line of progress and one is due."""
        now = time.monotonic()
        if text.startswith(PROGRESS) and now - self._last_line >= SECONDS_BETWEEN_LINES:
            self._last_line = now
            print(f"trial {self._trial}  {text.rstrip()}", flush=True)
        return self._log.write(text)

    def flush(self) -> None:
        """Writes out what the log holds back."""
        self._log.flush()
