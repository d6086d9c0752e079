"""How far a stage is, how fast, and how long it will take."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

_SECONDS_BETWEEN = 2.0


class Progress:
    """Reports one stage every few seconds; threads may share it.

    Args:
        stage: What is being done.
        total: All the work, in any unit; 0 where it is not known.
        report: Takes a line.
    """

    def __init__(self, stage: str, total: int, report: Callable[[str], None]) -> None:
        self._stage, self._total, self._report = stage, total, report
        self._lock = threading.Lock()
        self._started = self._reported = time.monotonic()
        self._done = self._rows = 0

    def add(self, work: int, rows: int) -> None:
        """Counts work done and the rows that were in it."""
        with self._lock:
            self._done += work
            self._rows += rows
            now = time.monotonic()
            if now - self._reported < _SECONDS_BETWEEN:
                return
            self._reported = now
            self._report(self.line(now - self._started))

    def line(self, seconds: float) -> str:
        """Returns the line after so many seconds."""
        text = (
            f"{self._stage}: {self._rows:,} rows, {self._rows / max(seconds, 1e-9):,.0f} a second"
        )
        if not self._total or not self._done:
            return text
        share = min(1.0, self._done / self._total)
        left = seconds * (1 - share) / share
        return f"{text}, {share:.0%}, about {left // 60:.0f} min {left % 60:.0f} s left"
