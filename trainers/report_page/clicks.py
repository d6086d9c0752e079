"""Sections of click tasks: whether probabilities are to be believed, and for which rows."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from trainers.report_page.charts import Series, curves
from trainers.report_page.evidence import Compared
from trainers.report_page.tables import Cell, Chart, Section, Table, number

_MOST_VALUES = 12
_SLICED = ("auc", "logloss", "calibration")


def calibration(compared: Compared) -> Section:
    """Returns predicted against observed shares of clicks."""
    text = (
        "Rows in bins of equal size by predicted probability: mean prediction against the share "
        "that were clicked. On the dashed line, a predicted 5% is a real 5%; below it the model "
        "promises too much. The expected calibration error is the mean distance from the line, "
        "weighted by rows. Of several seeds, the first is drawn."
    )
    series, rows, folded = [], [], []
    for place, evidence in enumerate(compared.lines):
        of_runs = evidence.calibration()
        if not of_runs:
            continue
        first, name = of_runs[0], Cell(evidence.line.name, series=place)
        if place < len(compared.drawn):
            series.append(Series(place, _mean(first, "predicted"), _mean(first, "clicks")))
        error = float(np.mean([expected_error(table) for table in of_runs]))
        rows.append([name, Cell(number(error, ".4f")), Cell(str(len(first["rows"])))])
        folded.append(_bins(evidence.line.name, first))
    drawn = [curves(series, "mean prediction", "clicked by predicted", True)] if series else []
    charts = [Chart("share clicked", svg) for svg in drawn]
    head = ["run", "expected calibration error", "bins"]
    tables = [Table(head, rows)] if rows else []
    return Section("calibration", "Calibration", text, charts, tables, folded)


def expected_error(table: dict[str, np.ndarray]) -> float:
    """Returns the mean of |mean prediction - share clicked| over bins, weighted by rows."""
    return float(np.abs(table["predicted"] - table["clicks"]).sum() / table["rows"].sum())


def _mean(table: dict[str, np.ndarray], column: str) -> np.ndarray:
    return table[column] / table["rows"]


def _bins(name: str, table: dict[str, np.ndarray]) -> Table:
    rows = [
        [
            Cell(f"{low:.4f} to {high:.4f}"),
            Cell(f"{count:,}"),
            Cell(f"{predicted / count:.4f}"),
            Cell(f"{clicks / count:.4f}"),
        ]
        for low, high, count, predicted, clicks in zip(
            *(table[n] for n in ("lowest", "highest", "rows", "predicted", "clicks")), strict=True
        )
    ]
    return Table(["predicted", "rows", "mean prediction", "share clicked"], rows, name)


def slices(compared: Compared) -> Section:
    """Returns metrics by value of a feature, as `--set=evaluation.slices` asked for."""
    firsts = [evidence.line.runs[0].results.get("slices", {}) for evidence in compared.lines]
    features = list(dict.fromkeys(feature for of in firsts for feature in of))
    text = (
        f"AUC over the rows of each value, and below it logloss and calibration, of the "
        f"{_MOST_VALUES} most frequent values; of several seeds, the first. An AUC within a slice "
        "can be far below that of all rows."
    )
    tables = [
        _slices(feature, compared, [of.get(feature, []) for of in firsts]) for feature in features
    ]
    notes = (
        [] if features else ["None were measured: --mode=evaluate --set=evaluation.slices=FEATURE"]
    )
    return Section("slices", "By value of a feature", text, tables=tables, notes=notes)


def _slices(feature: str, compared: Compared, by_line: Sequence[list[dict]]) -> Table:
    counts = {row["value"]: row["rows"] for of in by_line for row in of}
    found = [{row["value"]: row for row in of} for of in by_line]
    rows = []
    for value in sorted(counts, key=lambda v: -counts[v])[:_MOST_VALUES]:
        cells = [Cell(str(value)), Cell(f"{counts[value]:,}")]
        for of in found:
            auc, loss, ratio = (number(of.get(value, {}).get(m), ".4f") for m in _SLICED)
            cells.append(Cell(auc, f"{loss}, {ratio}" if value in of else ""))
        rows.append(cells)
    names = [evidence.line.name for evidence in compared.lines]
    return Table([feature, "rows", *names], rows, f"By {feature}")
