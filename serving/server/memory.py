"""Memory that an unloaded version held goes back to the system at once."""

from __future__ import annotations

import ctypes
import gc


def give_back() -> None:
    """Frees what is held in circles, and hands freed memory back to the system.

    Graphs hold themselves in circles, megabytes each, and glibc keeps what each thread has freed:
    a server that loads a version every half minute would grow for hours.
    """
    gc.collect()
    try:
        ctypes.CDLL("libc.so.6").malloc_trim(0)
    except (OSError, AttributeError):
        return  # another C library
