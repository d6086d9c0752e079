"""What the files of a line's runs hold of each user, item or row."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq

from trainers.click_details import ClickDetails
from trainers.comparison import Line
from trainers.details import (
    CALIBRATION_FILE,
    ITEMS_FILE,
    ROWS_FILE,
    USERS_FILE,
)
from trainers.finished_runs import FinishedRun
from trainers.report_page.charts import SERIES


class Evidence:
    """The files of the runs of one line; runs that differ in their seed are averaged.

    Args:
        line: A line of the comparison.
    """

    def __init__(self, line: Line) -> None:
        self.line = line
        self._folders = [run.details for run in line.runs]

    def missing(self) -> list[FinishedRun]:
        """Returns the runs that were evaluated before such files were written."""
        return [run for run in self.line.runs if not run.details.is_dir()]

    def has_rows(self) -> bool:
        """Returns whether all runs kept the rows of a click task."""
        return all((folder / ROWS_FILE).is_file() for folder in self._folders)

    def values(self, metric: str) -> np.ndarray | None:
        """Returns values of each user or row whose mean is the metric: (N,), float64.

        None where a run has none: it lacks the files, did not measure the metric, or had too many
        rows to keep.
        """
        if self.has_rows():
            tables = [_row_values(folder / ROWS_FILE) for folder in self._folders]
            found = [table[metric] for table in tables if metric in table]
            return np.mean(found, axis=0) if len(found) == len(tables) else None
        return self._mean(USERS_FILE, metric)

    @cached_property
    def history(self) -> np.ndarray | None:
        """Number of earlier items of each user, (U,)."""
        return self._mean(USERS_FILE, "history")

    def of_items(self, column: str) -> np.ndarray | None:
        """Returns a column of the items, (N,), float64; None where a run lacks it."""
        return self._mean(ITEMS_FILE, column)

    def each_of_items(self, column: str) -> list[np.ndarray]:
        """Returns a column of the items of each run that has it, (N,)."""
        return [
            pq.read_table(folder / ITEMS_FILE, columns=[column])[column].to_numpy()
            for folder in self._folders
            if column in _columns(folder / ITEMS_FILE)
        ]

    def item_columns(self) -> list[str]:
        """Returns the names of the items' columns that all runs have."""
        names = [_columns(folder / ITEMS_FILE) for folder in self._folders]
        return [name for name in names[0] if all(name in of for of in names)]

    def calibration(self) -> list[dict[str, np.ndarray]]:
        """Returns the calibration table of each run that has one, by column."""
        paths = [folder / CALIBRATION_FILE for folder in self._folders]
        tables = [pq.read_table(path) for path in paths if path.is_file()]
        return [{n: table[n].to_numpy() for n in table.column_names} for table in tables]

    def _mean(self, file: str, column: str) -> np.ndarray | None:
        found = []
        for folder in self._folders:
            if column not in _columns(folder / file):
                return None
            found.append(pq.read_table(folder / file, columns=[column])[column].to_numpy())
        return found[0] if len(found) == 1 else np.mean(found, axis=0)


def _columns(path: Path) -> list[str]:
    return pq.read_schema(path).names if path.is_file() else []


@dataclass(frozen=True)
class Compared:
    """What the page is about.

    Attributes:
        metrics: What is compared, the first of which sorts.
        lines: With their files, the best first; runs that differ in their seed are one.
        references: Baselines and, where known, the best reachable.
    """

    metrics: Sequence[str]
    lines: Sequence[Evidence]
    references: Sequence[Line]

    @property
    def drawn(self) -> Sequence[Evidence]:
        """Those in the charts."""
        return self.lines[:SERIES]

    @property
    def runs(self) -> list[FinishedRun]:
        """All runs."""
        return [run for evidence in self.lines for run in evidence.line.runs]

    @property
    def is_click(self) -> bool:
        """Whether labels were predicted."""
        return "click" in self.runs[0].results["protocol"]


@lru_cache(maxsize=4)
def _row_values(path: Path) -> dict[str, np.ndarray]:
    table = pq.read_table(path)
    return ClickDetails(table["label"].to_numpy(), table["logit"].to_numpy()).row_values()
