"""The page: sections of finished runs in one HTML file that asks for nothing else."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from trainers.comparison import choose_metrics, compare, references
from trainers.finished_runs import check_protocols, evaluation_notes, read_runs
from trainers.report_page import accuracy, clicks, groups, record
from trainers.report_page.charts import SERIES
from trainers.report_page.evidence import Compared, Evidence
from trainers.report_page.tables import Section

_MARKS = "\u25cf\u25a0\u25b2\u25c6\u25bc\u271a\u2716\u2605"  # as the charts' markers


def report_page(
    folders: Sequence[Path], wanted: Sequence[str], data_dir: Path | None = None
) -> str:
    """Returns the page as HTML.

    Args:
        folders: The run folders.
        wanted: Metrics to compare; the usual ones where empty.
        data_dir: Dataset to compare them on; by default the one that they were trained on.

    Raises:
        InputError: No finished run, or runs that cannot be compared.
    """
    runs, unfinished = read_runs(folders, data_dir)
    check_protocols(runs)
    metrics = choose_metrics(runs, wanted)
    lines = [Evidence(line) for line in compare(runs, metrics)]
    compared = Compared(metrics, lines, references(runs, metrics))
    environment = Environment(
        loader=PackageLoader(__name__.rpartition(".")[0], "."),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    name, card = next(iter(runs[0].results["protocol"].items()))
    return environment.get_template("template.html").render(
        dataset=card.get("dataset", runs[0].config["data"]["name"]),
        split=card.get("split", ""),
        counts=_counts(compared, card),
        first_protocol=name,
        sections=[section for section in _sections(compared) if _has_content(section)],
        notes=_left_out(compared, unfinished),
        legend=[evidence.line for evidence in compared.drawn],
        marks=_MARKS,
        series=SERIES,
    )


def _sections(compared: Compared) -> list[Section]:
    return [
        accuracy.leaderboard(compared),
        accuracy.paired_tests(compared),
        accuracy.learning_curves(compared),
        *_of_task(compared),
        record.cost(compared),
        record.protocols(compared),
        record.settings(compared),
    ]


def _of_task(compared: Compared) -> list[Section]:
    if compared.is_click:
        return [clicks.calibration(compared), clicks.slices(compared)]
    return [
        groups.by_history(compared),
        groups.by_popularity(compared),
        groups.recommended(compared),
    ]


def _has_content(section: Section) -> bool:
    return bool(section.charts or section.tables or section.notes)


def _counts(compared: Compared, card: dict[str, Any]) -> str:
    units = "rows" if compared.is_click else "users"
    parts = [_counted(card[units], units[:-1])] if units in card else []
    parts += [_counted(len(compared.runs), "run"), _counted(len(compared.lines), "line")]
    return ", ".join(parts)


def _counted(count: int, noun: str) -> str:
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def _left_out(compared: Compared, unfinished: Sequence[Path]) -> list[str]:
    """Returns what the page does not show and how to get it, and what flatters a run."""
    notes = [f"{folder} is not finished and was left out." for folder in unfinished]
    for evidence in compared.lines:
        notes += [
            f"{run.folder} was evaluated by a version that kept nothing of each user or row: no "
            f"intervals, tests or groups of its line. Get them with: {run.evaluation_command()}"
            for run in evidence.missing()
        ]
    without_rows = [e for e in compared.lines if e.calibration() and not e.has_rows()]
    notes += [
        f"{e.line.name} has too many rows to keep: no intervals and tests." for e in without_rows
    ]
    notes += [f"{note}." for note in evaluation_notes(compared.runs)]
    if len(compared.lines) > SERIES:
        notes.append(f"Charts show the first {SERIES} lines; the tables have all.")
    return notes
