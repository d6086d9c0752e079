"""`trainers.run`, to whose tables a process seems to have so much memory as is left of a limit.

    LIMIT_MIB=1500 launch/local.sh 3 -m tests.launch.limited_run [flags of trainers.run]

A limit of the system's, by `ulimit -v`, would count addresses that threads only reserve.
"""

from __future__ import annotations

import os
from unittest.mock import patch

from absl import app

from data.command_line import parse_flags
from trainers.planning.unallocated import resident_bytes
from trainers.run import main


def _left(processes: int) -> int:
    del processes  # the limit is of each
    return int(os.environ["LIMIT_MIB"]) * 2**20 - resident_bytes()


if __name__ == "__main__":
    with patch("models.table_stack.available_bytes", _left):
        app.run(main, flags_parser=parse_flags)
