"""Horovod's `horovodrun`, mended for one process.

Horovod 0.28 pads the names of the ranks' output folders by the logarithm of the ranks less one,
which one process does not have: `launch/local.sh 1` and an elastic MIN of 1 could not start.
"""

from __future__ import annotations

import sys

from horovod.runner import gloo_run
from horovod.runner.launch import run_commandline


def _pad_rank(rank: int, size: int) -> str:
    return str(rank).zfill(len(str(max(size - 1, 0))))


if __name__ == "__main__":
    gloo_run._pad_rank = _pad_rank
    sys.exit(run_commandline())
