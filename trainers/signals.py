"""Signals that ask a running training for something."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType


@contextmanager
def on_signal(number: signal.Signals, handler: Callable[[], None]) -> Iterator[None]:
    """Calls `handler` when the signal comes within the block."""

    def handle(received: int, frame: FrameType | None) -> None:
        del received, frame
        handler()

    previous = signal.signal(number, handle)
    try:
        yield
    finally:
        signal.signal(number, previous)
