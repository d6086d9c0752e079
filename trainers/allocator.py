"""Memory of a training process: freed buffers are kept, not handed back to the system.

glibc maps every large buffer anew and unmaps it when freed, and the system clears each page again
at its first touch. A training step on a CPU frees and asks for the same hundreds of megabytes again
and again, so that much of its time would go there. Only between two models it is handed back:
beside what the first has freed, the tables of the second would seem to find no room.
"""

from __future__ import annotations

import ctypes
import gc

# Numbers from glibc's malloc.h.
_TRIM_THRESHOLD = -1
_MMAP_MAX = -4


def keep_freed_memory() -> bool:
    """Tells glibc to keep freed memory for this process, whatever its size.

    Returns:
        Whether that was possible: False with another C library.
    """
    try:
        mallopt = ctypes.CDLL("libc.so.6").mallopt
    except (AttributeError, OSError):
        return False
    never_trim, mapped_buffers = -1, 0
    return bool(mallopt(_TRIM_THRESHOLD, never_trim) and mallopt(_MMAP_MAX, mapped_buffers))


def give_back_freed_memory() -> bool:
    """Frees what only refers to itself, as models do, and hands freed memory back to the system.

    Returns:
        Whether that was possible: False with another C library.
    """
    gc.collect()
    try:
        ctypes.CDLL("libc.so.6").malloc_trim(0)
    except (AttributeError, OSError):
        return False
    return True
