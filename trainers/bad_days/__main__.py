"""Injects faults into real runs, and says what the user saw and what was lost.

  python -m trainers.bad_days --work_dir=FOLDER --out=table.md
  python -m trainers.bad_days --work_dir=/shared/disk/FOLDER --only=kills,full_checkpoint --kills=5
  python -m trainers.bad_days --list

Put --work_dir on the disk whose runs you want to trust. Small trainings are killed, their disks
filled, their checkpoints damaged, their clocks set; each must say so in one line, go on by the same
command, and end with the metrics and weights of a run that nothing disturbed, bit for bit. All
faults take 10 to 15 minutes on 2 cores; as root more of them can be injected. What cannot be
injected here counts as not run, never as passed. Exit code 1 where a fault was not survived.
"""

from __future__ import annotations

import functools
import os
import signal
import sys
import time
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")  # before TensorFlow is loaded

from absl import app, flags

from data.atomic import check_writable, write_text
from data.command_line import no_argument, parse_flags, run_main
from data.row_stream import Report
from trainers.bad_days.faults import chosen
from trainers.bad_days.outcome import FAILED, Row, markdown_table, plain_table
from trainers.bad_days.workshop import Workshop, empty_folder
from trainers.failures import EXIT_SIGTERM
from trainers.signals import on_signal

_WORK_DIR = flags.DEFINE_string("work_dir", None, "New or empty folder for all runs; about 50 MB.")
_ONLY = flags.DEFINE_list("only", [], "Names of faults, or patterns such as 'damaged_*'.")
_KILLS = flags.DEFINE_integer("kills", 20, "How often one training is killed.", lower_bound=1)
_SEED = flags.DEFINE_integer("seed", 1, "Seed of the random moments.")
_OUT = flags.DEFINE_string("out", None, "File to write the table to, as Markdown.")
_LIST = flags.DEFINE_bool("list", False, "Print the names of the faults, and end.")


def run(report: Report) -> int:
    """Injects the faults, prints the table, and returns the exit code."""
    faults = chosen(_ONLY.value)
    if _LIST.value:
        print("\n".join(f"{fault.name:<22}{fault.title}" for fault in faults))
        return 0
    if _OUT.value:
        check_writable(Path(_OUT.value).absolute().parent)
    workshop = Workshop(empty_folder(_WORK_DIR.value), _KILLS.value, _SEED.value, report)
    rows = []
    for number, fault in enumerate(faults, 1):
        report(f"{number}/{len(faults)} {fault.name}: {fault.title}")
        started = time.perf_counter()
        rows.append(Row.of(fault, workshop))
        report(f"{fault.name}: {rows[-1].outcome}, {time.perf_counter() - started:.0f} s")
    print(plain_table(rows))
    if _OUT.value:
        write_text(Path(_OUT.value), markdown_table(rows))
    return int(any(row.outcome == FAILED for row in rows))


def main(argv: list[str]) -> None:
    """Parses, builds and calls."""
    no_argument(argv)
    # Not killed at once, as small disks are to be unmounted.
    with on_signal(signal.SIGTERM, functools.partial(sys.exit, EXIT_SIGTERM)):
        sys.exit(run_main(run))


if __name__ == "__main__":
    app.run(main, flags_parser=parse_flags)
