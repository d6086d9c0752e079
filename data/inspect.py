r"""Tells what is in a prepared dataset, and draws a page of pictures of it where --out is given.

  python -m data.inspect DATA
  python -m data.inspect DATA --out=clicks.png     # draws the pictures too

Printed: rows by split with the mean of the label; of each number the share of missing values, the
spread in train and how far validation and test are from it; of each feature with ids its
cardinality, the share of unknown values by split and the skew (Gini coefficient); of lists their
lengths. The rows are read once, some blocks at a time: memory does not grow with them, and is 8
bytes for each id of each feature. docs/inspect-and-audit.md explains each figure.
"""

from __future__ import annotations

import os
import sys
from functools import partial
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")  # before TensorFlow is loaded

from absl import app, flags

from data.command_line import dataset_folder, parse_flags, run_main
from data.dataset import PreparedDataset
from data.errors import InputError
from data.inspection.page import write_page
from data.inspection.report import report_text
from data.inspection.scan import inspect_dataset
from data.row_stream import Report

_OUT = flags.DEFINE_string(
    "out", "", "PNG to draw the pictures in, replaced if it exists; none are drawn without it."
)


def run(argv: list[str], report: Report) -> int:
    """Reads, prints and draws; returns the exit code."""
    folder = dataset_folder(argv)
    picture = _picture(_OUT.value)
    found = inspect_dataset(PreparedDataset(folder), report)
    print(report_text(found, folder))
    if picture:
        write_page(found, picture)
    print(f"\nPictures: {picture or 'none drawn; --out=FILE.png draws some'}")
    return 0


def _picture(out: str) -> Path | None:
    """Returns where to draw; checked first, as reading may take long."""
    if not out:
        return None
    path = Path(out)
    if path.suffix.lower() != ".png" or path.is_dir() or not path.parent.is_dir():
        raise InputError(
            "--out must be a PNG file in a folder that exists",
            received=repr(out),
            action="For example --out=pictures.png; without it none are drawn",
        )
    return path


def main(argv: list[str]) -> None:
    """Runs the command."""
    sys.exit(run_main(partial(run, argv)))


if __name__ == "__main__":
    app.run(main, flags_parser=parse_flags)
