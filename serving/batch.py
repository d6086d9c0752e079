"""Recommends to all users of a file, by the exported graph, into Parquet.

  python -m serving.batch --export_dir=EXPORT --users=users.parquet --k=50 --out=LISTS

USERS is Parquet, or CSV with a header, whose column --user_column holds raw ids. LISTS becomes a
folder of Parquet files of --rows_per_file users each, in the order of USERS, which appear one by
one and whole, and a manifest.json at the end:

  user         the raw id
  items        list of raw item ids, best first; fewer than k where no more are left
  scores       list of float32
  is_popular   whether the list is the most popular items, as the user is unknown

Memory does not grow with USERS. An interrupted run goes on where it was by the same command.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")  # before TensorFlow is loaded

import tensorflow as tf
from absl import app, flags

from data.command_line import no_argument, parse_flags, run_main
from data.errors import InputError
from data.row_stream import Report
from serving.signatures.request_checks import MAX_K, MAX_ROWS
from serving.user_lists import plan, recommend_all

flags.DEFINE_string("export_dir", None, "Folder of the version folders.")
_VERSION = flags.DEFINE_integer("version", None, "The version; by default the latest.")
flags.DEFINE_string("users", None, "Parquet, or CSV with a header.")
_USER_COLUMN = flags.DEFINE_string("user_column", "user", "Its column of raw ids.")
_K = flags.DEFINE_integer("k", 50, "Items for each user.", 1, MAX_K)
flags.DEFINE_string("out", None, "Folder of the lists.")
_BATCH = flags.DEFINE_integer("batch_size", 256, "Users that the graph takes at once.", 1, MAX_ROWS)
_ROWS = flags.DEFINE_integer("rows_per_file", 100_000, "Users of a file.", lower_bound=1)


def _required(name: str) -> Path:
    value = flags.FLAGS[name].value
    if not value:
        raise InputError(f"--{name} must be given", action="See --help")
    return Path(value)


def _run(report: Report) -> None:
    export_dir, users, out = (_required(name) for name in ("export_dir", "users", "out"))
    wanted = plan(export_dir, _VERSION.value, users, _USER_COLUMN.value, _K.value, _ROWS.value)
    rows = recommend_all(wanted, out, _BATCH.value, report)
    report(f"{rows:,} users in {out}")


def main(argv: list[str]) -> None:
    """Recommends to all users of the file."""
    no_argument(argv)
    tf.get_logger().setLevel("ERROR")
    sys.exit(run_main(_run))


if __name__ == "__main__":
    app.run(main, flags_parser=parse_flags)
