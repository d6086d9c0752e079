"""Signals that ask a run to stop in good order."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType


@contextmanager
def on_sigterm(handler: Callable[[], None]) -> Iterator[None]:
    """Calls `handler` when SIGTERM comes within the block."""

    def handle(number: int, frame: FrameType | None) -> None:
        del number, frame
        handler()

    previous = signal.signal(signal.SIGTERM, handle)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, previous)
