"""The most memory that a process has held."""

from __future__ import annotations

from pathlib import Path


def peak_bytes(process: int | str = "self") -> int:
    """Returns the most memory that a process has held at once, in bytes, as Linux counts it.

    Not `ru_maxrss` of `resource.getrusage`, which starts from the size of the process that started
    this one: small programs started by a large one would be measured as large.

    Args:
        process: Its number, for another one than this.
    """
    status = Path(f"/proc/{process}/status").read_text(encoding="utf-8", errors="replace")
    peak = next(line for line in status.splitlines() if line.startswith("VmHWM:"))
    return int(peak.split()[1]) * 1024
