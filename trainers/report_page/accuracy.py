"""Who is better, by how much, and how sure that is."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence

import numpy as np

from configs.results import LOWER_IS_BETTER
from trainers.comparison import Line, badness_of
from trainers.finished_runs import FinishedRun
from trainers.report_page.charts import Series, curves
from trainers.report_page.evidence import Compared, Evidence
from trainers.report_page.statistics import Interval, PairedTest, holm, mean_interval, paired_test
from trainers.report_page.tables import UNKNOWN, Bar, Cell, Chart, Section, Table, number

_EVALUATIONS = "metrics.jsonl"
_LEVEL = 0.05
_MOST_CURVES = 6
_OF_INTERVALS = (
    "The smaller numbers are 95% confidence intervals over {units} (normal approximation, "
    "Student's t): how far the mean may move with other {units} like these. They say nothing of "
    "how it varies with the seed; runs that differ in it alone are one line, their mean."
)
_OF_ROWS = (
    " Rows count as independent of each other, which those of one user are not quite: intervals "
    "may be too narrow. That of AUC is DeLong's; of ratios, the delta method's."
)


def leaderboard(compared: Compared) -> Section:
    """Returns the table of all lines, and that of all runs."""
    units = "rows" if compared.is_click else "users"
    columns = [_column(compared, metric) for metric in compared.metrics]
    rows = [
        [
            Cell(evidence.line.name, evidence.line.settings, series=place),
            *(column[place] for column in columns),
            Cell(number(evidence.line.parameters)),
            Cell(str(evidence.line.seeds)),
        ]
        for place, evidence in enumerate(compared.lines)
    ]
    for line in compared.references:
        cells = [_plain(line, metric) for metric in compared.metrics]
        rows.append([Cell(line.name), *cells, Cell(UNKNOWN), Cell(UNKNOWN)])
    head = ["run", *compared.metrics, "parameters", "seeds"]
    text = f"The best by {compared.metrics[0]} first. " + _OF_INTERVALS.format(units=units)
    text += _OF_ROWS if compared.is_click else ""
    each = [
        [Cell(str(run.folder)), Cell(run.name), Cell(str(run.config["trainer"]["seed"]))]
        + [Cell(number(run.results["metrics"].get(m), ".4f")) for m in compared.metrics]
        for run in compared.runs
    ]
    of_runs = Table(["run", "model/recipe", "seed", *compared.metrics], each, "Each run")
    return Section("leaderboard", "Leaderboard", text, tables=[Table(head, rows)], folded=[of_runs])


def _column(compared: Compared, metric: str) -> list[Cell]:
    """Returns the cells of one metric."""
    intervals = []
    for evidence in compared.lines:
        values = evidence.values(metric)
        intervals.append(None if values is None else mean_interval(values))
    known = [i for i in intervals if i is not None and math.isfinite(i.low)]
    low = min((i.low for i in known), default=0.0)
    width = max((i.high for i in known), default=1.0) - low
    best = min(badness_of(metric, e.line.metrics[metric]) for e in compared.lines)
    cells = []
    for evidence, interval in zip(compared.lines, intervals, strict=True):
        spread = evidence.line.metrics[metric]
        strong = spread is not None and badness_of(metric, spread) == best
        cell = Cell(_plain(evidence.line, metric).text, strong=strong)
        if interval is not None and interval in known and width > 0:
            note = f"{interval.low:.4f} to {interval.high:.4f}"
            cell = Cell(cell.text, note, _bar(interval, low, width), strong)
        cells.append(cell)
    return cells


def _plain(line: Line, metric: str) -> Cell:
    spread = line.metrics[metric]
    return Cell(number(None if spread is None else spread.mean, ".4f"))


def _bar(interval: Interval, start: float, width: float, zero: float | None = None) -> Bar:
    def place(value: float) -> float:
        return 100 * (value - start) / width

    middle = None if zero is None else place(zero)
    return Bar(place(interval.low), place(interval.mean), place(interval.high), middle)


def paired_tests(compared: Compared) -> Section:
    """Returns the paired tests of every line against the first."""
    best = compared.lines[0]
    units = "rows" if compared.is_click else "users"
    text = (
        f"Each line less the first, {best.line.name}, which is the best by {compared.metrics[0]}, "
        f"on the same {units}: a paired t-test, which is surer than comparing two intervals. p is "
        f"corrected for the number of lines (Holm): below {_LEVEL}, a difference as large would "
        f"hardly come from the choice of {units} alone. The rest is what one split and these seeds "
        "cannot tell."
    )
    tables = []
    for metric in compared.metrics:
        mine = best.values(metric)
        if mine is None:
            continue
        others = [(e, e.values(metric)) for e in compared.lines[1:]]
        found = [(e, paired_test(values, mine)) for e, values in others if values is not None]
        if found:
            tables.append(_tests(metric, found))
    notes = [] if tables else ["Nothing to test: it takes two lines with values of each user."]
    return Section("tests", "Is the difference real?", text, tables=tables, notes=notes)


def _tests(metric: str, found: Sequence[tuple[Evidence, PairedTest]]) -> Table:
    intervals = [test.difference for _, test in found]
    low = min(0.0, *(i.low for i in intervals))
    width = (max(0.0, *(i.high for i in intervals)) - low) or 1.0
    rows = []
    corrected = holm([test.p for _, test in found])
    for place, ((evidence, test), p) in enumerate(zip(found, corrected, strict=True)):
        interval = test.difference
        note = f"{interval.low:+.4f} to {interval.high:+.4f}"
        rows.append(
            [
                Cell(evidence.line.name, series=place + 1),
                Cell(f"{interval.mean:+.4f}", note, _bar(interval, low, width, zero=0.0)),
                Cell("< 0.0001" if p < 0.0001 else f"{p:.4f}"),
                Cell(_verdict(metric, interval.mean, p)),
            ]
        )
    return Table(["run", "difference", "p (Holm)", "verdict"], rows, metric)


def _verdict(metric: str, difference: float, p: float) -> str:
    if p >= _LEVEL:
        return "no difference shown"
    name = metric.partition("@")[0]
    if name == "calibration":
        return "differs"
    return "better" if (difference < 0) == (name in LOWER_IS_BETTER) else "worse"


def learning_curves(compared: Compared) -> Section:
    """Returns validation by step, of the metrics that are compared."""
    wanted = {metric.partition("/")[0] for metric in compared.metrics}
    series: dict[str, list[Series]] = {}
    notes = []
    for place, evidence in enumerate(compared.drawn):
        drawn = False
        for run in evidence.line.runs:
            for metric, (steps, values) in _evaluations(run).items():
                if metric.partition("/")[0] in wanted:
                    series.setdefault(metric, []).append(Series(place, steps, values))
                    drawn = True
        if not drawn:
            notes.append(f"{evidence.line.name} was not evaluated during training.")
    charts = [
        Chart(f"validation {metric}", curves(of, "step", f"validation {metric} by step"))
        for metric, of in list(series.items())[:_MOST_CURVES]
    ]
    if len({run.config["data"]["schema_sha256"] for run in compared.runs}) > 1:
        notes.append("Each line was validated on the dataset that it was trained on.")
    text = (
        "Validation during training, a curve for each seed. A curve that still rises at its end "
        "was cut short; one that falls overfits, and its best step was kept. Steps of runs with "
        "other batch sizes are not the same amount of data."
    )
    return Section("curves", "Learning curves", text, charts, notes=notes)


def _evaluations(run: FinishedRun) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Returns steps and values of each metric of validation; of a step evaluated twice the last."""
    path = run.folder / _EVALUATIONS
    lines = path.read_text(encoding="utf-8").splitlines() if path.is_file() else []
    found: dict[str, dict[int, float]] = {}
    for line in lines:
        try:
            record = json.loads(line)
        except ValueError:  # a killed run may leave half a line, and evaluates that step again
            continue
        if record["split"] == "validation":
            for metric, value in record["metrics"].items():
                if value is not None:
                    found.setdefault(metric, {})[record["step"]] = value
    return {
        metric: (np.array(sorted(by_step)), np.array([by_step[step] for step in sorted(by_step)]))
        for metric, by_step in found.items()
    }
