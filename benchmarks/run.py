"""Speed, side by side with what a user would pick instead, on this machine.

  python -m benchmarks.run                                  all suites
  python -m benchmarks.run --suite=dlrm --suite=neumf       some of them
  python -m benchmarks.run --quick                          a minute, to see that all of it runs

Ours run by `trainers.run --mode=benchmark` on a prepared dataset. Peers are programs in
benchmarks/peers on the same rows, ids and sizes; those in PyTorch get an environment of their own,
made at the first run. Contenders take turns, so that a slow hour of the machine meets all of them.
After each suite its table is printed, and all so far are written with the machine, versions and
commands to benchmarks/results.

Suites: SUITES
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # before TensorFlow is loaded

from absl import app, flags

from benchmarks.contenders import Suite
from benchmarks.contest import Contest
from benchmarks.datasets import Clicks, Ratings, datasets
from benchmarks.results import dated, table, write
from benchmarks.suites import SUITES
from data.command_line import no_argument, parse_flags
from data.errors import InputError

_SUITE = flags.DEFINE_multi_enum("suite", [], sorted(SUITES), "Suites to run; all if not given.")
_REPEATS = flags.DEFINE_integer("repeats", 3, "Runs of each contender.", lower_bound=1)
_QUICK = flags.DEFINE_bool("quick", False, "Small data, few steps, no peers of other environments.")
_WORK_DIR = flags.DEFINE_string(
    "work_dir", "~/.cache/recommender_zoo/benchmarks", "Datasets and the peers' environment."
)
_OUT = flags.DEFINE_string("out", "benchmarks/results", "Folder for the results.")
_MOVIELENS = flags.DEFINE_string(
    "movielens", "", "Folder of MovieLens-1M; ratings of its size are made without."
)
_GOWALLA = flags.DEFINE_string("gowalla", "", "Folder of LightGCN's Gowalla; likewise.")

_QUICK_SUITES = ("pipeline", "dlrm_small", "wide_deep")
_QUICK_STEPS = 0.05


def quick_datasets() -> dict[str, Clicks | Ratings]:
    """Returns small stand-ins for the datasets."""
    return {"clicks": Clicks(20_000, 1_000)}


def main(argv: list[str]) -> None:
    """Runs the suites, prints their tables and writes them."""
    no_argument(argv)
    quick = _QUICK.value
    names = _SUITE.value or (_QUICK_SUITES if quick else list(SUITES))
    known = quick_datasets() if quick else datasets(_MOVIELENS.value, _GOWALLA.value)
    work = Path(_WORK_DIR.value).expanduser()
    command = " ".join(["python", "-m", "benchmarks.run", *sys.argv[1:]])
    out, found = dated(Path(_OUT.value)), {}
    try:
        for name in names:
            suite = SUITES[name]
            _check_known(suite, known)
            share, repeats = (_QUICK_STEPS, 1) if quick else (1.0, _REPEATS.value)
            contest = Contest(suite, known, work, share, own_environment=not quick)
            found[name] = contest.run(repeats)
            print(table(suite, found[name]), flush=True)
            write(out, command, found, SUITES)  # after each, for a later one may be stopped
    except InputError as error:
        sys.exit(f"error: {error}")
    print(f"Written: {out}.md and .json", file=sys.stderr)


def _check_known(suite: Suite, known: dict[str, Clicks | Ratings]) -> None:
    """Checks that a suite's data are there.

    Raises:
        InputError: Its data are not among those of --quick.
    """
    missing = {suite.data, *(ours.data or suite.data for ours in suite.ours)} - known.keys()
    if missing:
        raise InputError(
            "--quick has clicks only", received=f"--suite={suite.name}", action="Leave --quick out"
        )


if __name__ == "__main__":
    __doc__ = str(__doc__).replace("SUITES", ", ".join(SUITES))
    app.run(main, flags_parser=parse_flags)
