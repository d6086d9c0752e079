"""One process at a time looks at which trials are alive, and starts one."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

_LOCK_FILE = ".turn"


class Turn:
    """A turn among the processes that share a study folder; one that dies gives it up.

    Args:
        folder: The study folder.
    """

    def __init__(self, folder: Path) -> None:
        self._descriptor: int | None = os.open(folder / _LOCK_FILE, os.O_RDWR | os.O_CREAT)
        fcntl.flock(self._descriptor, fcntl.LOCK_EX)

    def __enter__(self) -> Turn:
        return self

    def __exit__(self, *error: object) -> None:
        self.end()

    def end(self) -> None:
        """Lets the next one go on; does nothing the second time."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None
