"""All faults, in the order in which they are injected."""

from __future__ import annotations

import fnmatch
from collections.abc import Sequence

from data.errors import InputError, nearest
from trainers.bad_days import clocks, damage, datasets, disks, kills
from trainers.bad_days.outcome import Fault

FAULTS = (*disks.FAULTS, *damage.FAULTS, *datasets.FAULTS, *clocks.FAULTS, *kills.FAULTS)


def chosen(patterns: Sequence[str]) -> list[Fault]:
    """Returns the faults that some pattern names; all where there are none.

    Raises:
        InputError: A pattern names none.
    """
    names = [fault.name for fault in FAULTS]
    for pattern in patterns:
        if not fnmatch.filter(names, pattern):
            raise InputError(
                "--only must name faults", received=pattern, action=nearest(pattern, names)
            )
    wanted = [n for n in names if any(fnmatch.fnmatch(n, pattern) for pattern in patterns or "*")]
    return [fault for fault in FAULTS if fault.name in wanted]
