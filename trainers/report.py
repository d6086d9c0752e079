"""Writes one HTML page that compares finished runs: who is better, how sure, and for whom.

  python -m trainers.report RUN RUN ...
  python -m trainers.report runs/* --out=report.html --metrics=ndcg@10/full,hr@10/full
  python -m trainers.report YESTERDAYS_RUN TODAYS_RUN --data_dir=TODAY

RUN is a --model_dir of trainers.run. The page is one file that needs no network and no script, for
a mail or an archive: leaderboard with confidence intervals, paired tests, learning curves, metrics
by length of history and by popularity, coverage, calibration of click models, time and memory,
protocol cards, and the settings that differ. It reads run folders alone; docs/report.md explains
each figure. Runs that differ only in their seed are one line; runs evaluated differently are
refused. --data_dir compares runs that were trained on several datasets on one of them, on which
--mode=evaluate of trainers.run has evaluated those of the others.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")  # before TensorFlow is loaded

from absl import app, flags

from data.atomic import write_text
from data.command_line import EXIT_BAD_INPUT, parse_flags
from data.errors import InputError
from trainers.report_page.page import report_page

_OUT = flags.DEFINE_string("out", "report.html", "HTML file to write, replaced if it exists.")
_METRICS = flags.DEFINE_list(
    "metrics",
    [],
    "Metrics to compare, by name as in metrics.json, the first of which sorts and decides who the "
    "others are tested against; by default the usual ones, NDCG among all items first.",
)
_DATA_DIR = flags.DEFINE_string(
    "data_dir",
    None,
    "Prepared dataset to compare the runs on, where they were trained on several: by their results "
    "of --mode=evaluate there.",
)


def _page_file(out: str) -> Path:
    """Returns where to write; checked first, as reading may take long."""
    path = Path(out)
    if path.suffix.lower() not in (".html", ".htm") or path.is_dir() or not path.parent.is_dir():
        raise InputError(
            "--out must be an HTML file in a folder that exists",
            received=repr(out),
            action="For example --out=report.html",
        )
    return path


def main(argv: list[str]) -> None:
    """Parses and calls."""
    try:
        path = _page_file(_OUT.value)
        folders = [Path(folder) for folder in argv[1:]]
        data_dir = Path(_DATA_DIR.value) if _DATA_DIR.value else None
        write_text(path, report_page(folders, _METRICS.value, data_dir))
        print(path)
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(EXIT_BAD_INPUT)


if __name__ == "__main__":
    app.run(main, flags_parser=parse_flags)
