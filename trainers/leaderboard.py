"""Compares finished runs in one table, the best first.

  python -m trainers.leaderboard RUN RUN ...
  python -m trainers.leaderboard runs/* --metrics=ndcg@10/full,hr@10/full
  python -m trainers.leaderboard runs/* --markdown=results.md --csv=results.csv
  python -m trainers.leaderboard YESTERDAYS_RUN TODAYS_RUN --data_dir=TODAY

RUN is a --model_dir of trainers.run. Runs that differ only in their seed are one line: the mean,
with the lowest and the highest in brackets. Lines in brackets are the baseline that was scored
beside the runs and, where the data knows it, the best reachable score. Beside its recipe stands
what a run set otherwise. The first metric sorts: NDCG among all items where every run has it, as
samples of the items may order models otherwise; --metrics chooses another.

Runs evaluated differently (another split, other candidates, other rules: their protocol cards in
metrics.json differ) are refused, as their numbers cannot be compared. --data_dir compares runs that
were trained on several datasets on one of them, on which --mode=evaluate of trainers.run has
evaluated those of the others.
"""

from __future__ import annotations

import csv
import io
import os
import sys
from collections.abc import Sequence
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")  # before TensorFlow is loaded

from absl import app, flags

from data.atomic import write_text
from data.command_line import EXIT_BAD_INPUT, parse_flags
from data.errors import InputError
from trainers.comparison import Line, Spread, choose_metrics, compare, references
from trainers.finished_runs import check_protocols, evaluation_notes, read_runs
from trainers.text_table import text_table

_UNKNOWN = "-"
_NAMES = 2  # columns of words

_METRICS = flags.DEFINE_list(
    "metrics",
    [],
    "Metrics to show, by name as in metrics.json, the first of which sorts; by default the usual.",
)
_DATA_DIR = flags.DEFINE_string(
    "data_dir",
    None,
    "Prepared dataset to compare the runs on, where they were trained on several: by their results "
    "of --mode=evaluate there.",
)
_MARKDOWN = flags.DEFINE_string("markdown", None, "File to write the table to, as Markdown.")
_CSV = flags.DEFINE_string("csv", None, "File to write the table to, with all digits, as CSV.")


def cells(lines: Sequence[Line], metrics: Sequence[str]) -> list[list[str]]:
    """Returns the table for people: the head, then a row for each line."""
    head = ["run", "model/recipe", *metrics, "parameters", "train s", "examples/s", "seeds"]
    rows = [head]
    for line in lines:
        rows.append(
            [
                line.name,
                line.settings,
                *(_shown(line.metrics[name]) for name in metrics),
                _number(line.parameters),
                _UNKNOWN if line.train_seconds is None else f"{line.train_seconds:,.1f}",
                _number(line.examples_per_second),
                _number(line.seeds or None),
            ]
        )
    return rows


def _shown(spread: Spread | None) -> str:
    if spread is None:
        return _UNKNOWN
    low, mean, high = (f"{v:.4f}" for v in (spread.low, spread.mean, spread.high))
    return mean if low == high else f"{mean} ({low}-{high})"


def _number(value: float | None) -> str:
    return _UNKNOWN if value is None else f"{value:,.0f}"


def as_markdown(rows: Sequence[Sequence[str]]) -> str:
    """Returns the table in Markdown."""
    rule = ["---"] * _NAMES + ["---:"] * (len(rows[0]) - _NAMES)
    return "".join(f"| {' | '.join(row)} |\n" for row in [rows[0], rule, *rows[1:]])


def as_csv(lines: Sequence[Line], metrics: Sequence[str]) -> str:
    """Returns the table in CSV: numbers with all digits, nothing where unknown."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    of_metrics = [column for name in metrics for column in (name, f"{name} min", f"{name} max")]
    numbers = ["parameters", "train_seconds", "examples_per_second", "seeds"]
    writer.writerow(["run", "model", *of_metrics, *numbers])
    for line in lines:
        spreads = [line.metrics[name] for name in metrics]
        values = [v for s in spreads for v in ((s.mean, s.low, s.high) if s else (None,) * 3)]
        writer.writerow(
            [line.name, line.settings, *values, *(getattr(line, number) for number in numbers)]
        )
    return text.getvalue()


def leaderboard(
    folders: Sequence[Path],
    wanted: Sequence[str],
    markdown: str | None = None,
    comma_separated: str | None = None,
    data_dir: Path | None = None,
) -> str:
    """Compares runs.

    Args:
        folders: The run folders.
        wanted: Metrics to show; the usual ones where empty.
        markdown: File to write the table to as Markdown.
        comma_separated: File to write the table to as CSV.
        data_dir: Dataset to compare them on; by default the one that they were trained on.

    Returns:
        The table for people, which runs are not finished, and what flatters one.

    Raises:
        InputError: No finished run, or runs that cannot be compared.
    """
    runs, unfinished = read_runs(folders, data_dir)
    check_protocols(runs)
    metrics = choose_metrics(runs, wanted)
    lines = [*compare(runs, metrics), *references(runs, metrics)]
    rows = cells(lines, metrics)
    if markdown:
        write_text(Path(markdown), as_markdown(rows))
    if comma_separated:
        write_text(Path(comma_separated), as_csv(lines, metrics))
    notes = [f"Not finished, left out: {folder}" for folder in unfinished]
    notes += evaluation_notes(runs)
    return "\n".join([text_table(rows, _NAMES), f"The best by {metrics[0]} first", *notes])


def main(argv: list[str]) -> None:
    """Parses and calls."""
    try:
        folders = [Path(folder) for folder in argv[1:]]
        data_dir = Path(_DATA_DIR.value) if _DATA_DIR.value else None
        print(leaderboard(folders, _METRICS.value, _MARKDOWN.value, _CSV.value, data_dir))
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(EXIT_BAD_INPUT)


if __name__ == "__main__":
    app.run(main, flags_parser=parse_flags)
