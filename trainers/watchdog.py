"""Names the rank that the others wait for.

Each rank keeps a small file in the run folder: the step it is at, and a count that a thread raises
every two seconds. A rank that gets no further reads the files of the others: one whose count
stands still is frozen or gone, one at an earlier step is what all wait for. A rank is at a step
from when its batch has come, so one that waits for its input is behind those that wait for it. How
long is told by this rank's own clock, so those of the hosts need not agree.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from data.atomic import write_text
from models.communicator import Communicator

EXIT_STALLED = 4
_FOLDER = ".ranks"
_BEAT_SECONDS = 2.0
# Set by launch/local.sh and launch/ssh.sh.
_WARN_VARIABLE, _STOP_VARIABLE = (
    "HOROVOD_STALL_CHECK_TIME_SECONDS",
    "HOROVOD_STALL_SHUTDOWN_TIME_SECONDS",
)


@dataclass
class _Seen:
    """What is known of a rank, and since when on this rank's clock."""

    step: int = -1
    beat: int = -1
    where: str = ""
    step_since: float = field(default_factory=time.monotonic)
    beat_since: float = field(default_factory=time.monotonic)

    def note(self, step: int, beat: int, where: str) -> None:
        now = time.monotonic()
        if step != self.step:
            self.step, self.step_since = step, now
        if beat != self.beat:
            self.beat, self.beat_since = beat, now
        self.where = where


def suspects(ranks: dict[int, _Seen], warn_seconds: float) -> list[str]:
    """Returns, for people, the ranks that show no life, or else those that are behind."""
    now = time.monotonic()
    silent = {r: s for r, s in ranks.items() if now - s.beat_since > warn_seconds}
    if silent:
        return [
            f"rank {r} ({s.where or 'never seen'}) shows no sign of life for "
            f"{now - s.beat_since:.0f} s, at step {s.step}"
            for r, s in silent.items()
        ]
    most = max(s.step for s in ranks.values())
    return [
        f"rank {r} ({s.where}) is at step {s.step} for {now - s.step_since:.0f} s, others at {most}"
        for r, s in ranks.items()
        if s.step < most and now - s.step_since > warn_seconds
    ]


class Watchdog:
    """Watches the ranks of a run from a thread; does nothing on one rank.

    Args:
        model_dir: The run folder, which all ranks see.
        communicator: The ranks.
        step: Returns the step that this rank is at; called by the thread.
    """

    def __init__(
        self, model_dir: Path, communicator: Communicator, step: Callable[[], int]
    ) -> None:
        self._folder = model_dir / _FOLDER
        self._rank, self._size = communicator.rank, communicator.size
        self._warn = float(os.environ.get(_WARN_VARIABLE, "15"))
        self._stop = float(os.environ.get(_STOP_VARIABLE, "0"))
        self._step = step
        self._where = f"{socket.gethostname()}, process {os.getpid()}"
        self._beats = 0
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> Watchdog:
        """Begins to watch."""
        if self._size > 1:
            self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Ends."""
        self._ended.set()
        if self._size > 1:
            self._thread.join()
            with contextlib.suppress(OSError):
                (self._folder / str(self._rank)).unlink()

    def _watch(self) -> None:
        ranks = {rank: _Seen() for rank in range(self._size)}
        told = stalled_since = time.monotonic()
        while not self._ended.wait(_BEAT_SECONDS):
            self._beats += 1
            mine = {"step": self._step(), "beat": self._beats, "where": self._where}
            is_written = self._write(mine)
            for rank, seen in ranks.items():
                seen.note(**(mine if rank == self._rank else self._read(rank, seen)))
            now = time.monotonic()
            found: list[str] = []
            # A disk that is full for this rank may be so for all, whose files then stand still.
            if is_written and now - ranks[self._rank].step_since > self._warn:
                found = suspects(ranks, self._warn)
            if not found:
                stalled_since = now
                continue
            if now - told > self._warn:
                told = now
                print(f"waiting: {'; '.join(found)}", file=sys.stderr, flush=True)
            if self._stop and now - stalled_since > self._stop:
                print(f"error: A rank is stalled: {'; '.join(found)}", file=sys.stderr, flush=True)
                os._exit(EXIT_STALLED)  # the main thread waits in a collective

    def _write(self, mine: dict[str, Any]) -> bool:
        """Tells the others where this rank is. Returns whether they can read it."""
        try:
            self._folder.mkdir(exist_ok=True)
            write_text(self._folder / str(self._rank), json.dumps(mine))
        except OSError:  # a full disk is told of by what must be written
            return False
        return True

    def _read(self, rank: int, seen: _Seen) -> dict[str, Any]:
        try:
            found: dict[str, Any] = json.loads((self._folder / str(rank)).read_text())
        except (OSError, ValueError):  # not there yet, or the network storage is slow
            return {"step": seen.step, "beat": seen.beat, "where": seen.where}
        return found
