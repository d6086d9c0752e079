"""The most memory that a process has held, and what it may still take."""

from __future__ import annotations

import resource
from pathlib import Path

_CGROUPS = Path("/sys/fs/cgroup")


def peak_bytes(process: int | str = "self") -> int:
    """Returns the most memory that a process has held at once, in bytes, as Linux counts it.

    Not `ru_maxrss` of `resource.getrusage`, which starts from the size of the process that started
    this one: small programs started by a large one would be measured as large.

    Args:
        process: Its number, for another one than this.
    """
    return _status("VmHWM", process)


def available_bytes(processes: int = 1) -> int:
    """Returns what this process can take: of the system, of its cgroup, and by `ulimit -v`.

    Args:
        processes: How many there are, this one included, that share the system and the cgroup, and
            want to take as much now; `ulimit -v` is of each.
    """
    lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
    fields = dict(line.split(":", 1) for line in lines)
    available = int(fields["MemAvailable"].split()[0]) * 1024
    available = min(available, _of_cgroup(available)) // processes
    of_addresses, _ = resource.getrlimit(resource.RLIMIT_AS)
    if of_addresses != resource.RLIM_INFINITY:
        available = min(available, of_addresses - _status("VmSize"))
    return max(0, available)


def _of_cgroup(otherwise: int) -> int:
    """Returns what the cgroup of this process may still take (cgroup v2)."""
    try:
        mine = Path("/proc/self/cgroup").read_text(encoding="ascii").strip().rpartition(":")[2]
        folder = _CGROUPS / mine.lstrip("/")
        limit, used = ((folder / f"memory.{n}").read_text().strip() for n in ("max", "current"))
    except OSError:
        return otherwise
    return otherwise if limit == "max" else int(limit) - int(used)


def _status(field: str, process: int | str = "self") -> int:
    status = Path(f"/proc/{process}/status").read_text(encoding="utf-8", errors="replace")
    line = next(line for line in status.splitlines() if line.startswith(f"{field}:"))
    return int(line.split()[1]) * 1024
