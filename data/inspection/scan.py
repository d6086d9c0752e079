"""Reads a prepared dataset once and counts what a report tells of it.

Memory: 8 bytes for each id of each feature, and some blocks of rows.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from data.blocks import ColumnData, Ragged
from data.dataset import PreparedDataset
from data.feature import Feature, Kind
from data.inspection.histograms import Histogram, LabelsByTime, align
from data.inspection.moments import Moments
from data.row_stream import (
    Report,
    Rows,
    flat,
    row_count,
    sample_rows,
    stream_rows,
    take_rows,
)
from data.schema import FIRST_ID, OOV_ID, Schema, View

ROWS, HISTORIES = "rows", "histories"
ATTRIBUTES = ("users", "items")  # row r is about id r


@dataclass
class NumberCounts:
    """What is counted of one column of numbers.

    Attributes:
        feature: The feature.
        histogram: Its bars; None of labels and times.
        moments: Of the finite values, by split.
        defaults: Values that are the default, or not finite, by split.
        rows: By split.
    """

    feature: Feature
    histogram: Histogram | None
    moments: dict[str, Moments] = field(default_factory=dict)
    defaults: dict[str, int] = field(default_factory=dict)
    rows: dict[str, int] = field(default_factory=dict)

    def add(self, split: str, values: np.ndarray) -> None:
        """Counts values of shape (rows,)."""
        finite = values[np.isfinite(values)]
        absent = len(values) - len(finite)
        if self.feature.default is not None:
            absent += int((finite == np.float32(self.feature.default)).sum())
        self.moments[split] = self.moments.get(split, Moments()) + Moments.of(values)
        self.defaults[split] = self.defaults.get(split, 0) + absent
        self.rows[split] = self.rows.get(split, 0) + len(values)
        if self.histogram is not None:
            self.histogram.add(split, finite)


@dataclass
class IdCounts:
    """What is counted of one column of ids.

    Attributes:
        name: The column.
        feature: Its feature.
        counts: Values of each id in the first split: (cardinality,), int64.
        first: Name of that split.
        values, unknown: Values, and those out of vocabulary, by split.
        lengths: Of lists: the number of lists of each length, by split.
    """

    name: str
    feature: Feature
    counts: np.ndarray
    first: str
    values: dict[str, int] = field(default_factory=dict)
    unknown: dict[str, int] = field(default_factory=dict)
    lengths: dict[str, np.ndarray] = field(default_factory=dict)

    def add(self, split: str, column: ColumnData) -> None:
        """Counts a column of rows."""
        ids = flat(column)
        if split == self.first:
            np.add.at(self.counts, ids, 1)
        self.values[split] = self.values.get(split, 0) + len(ids)
        self.unknown[split] = self.unknown.get(split, 0) + int((ids == OOV_ID).sum())
        if isinstance(column, Ragged):
            add_lengths(self.lengths, split, column)


@dataclass
class ViewCounts:
    """What is counted of one view.

    Attributes:
        rows: By split.
        numbers: Columns of numbers, by name.
        ids: Columns of ids, by name.
        lengths: Of other lists: the number of lists of each length, by split, by name.
        times: Labels in spans of time, by split; empty without times or labels.
    """

    rows: dict[str, int] = field(default_factory=dict)
    numbers: dict[str, NumberCounts] = field(default_factory=dict)
    ids: dict[str, IdCounts] = field(default_factory=dict)
    lengths: dict[str, dict[str, np.ndarray]] = field(default_factory=dict)
    times: dict[str, LabelsByTime] = field(default_factory=dict)

    def numbers_of(self, *kinds: Kind) -> dict[str, NumberCounts]:
        """Returns the columns of numbers of these kinds."""
        return {name: n for name, n in self.numbers.items() if n.feature.kind in kinds}


@dataclass(frozen=True)
class Inspection:
    """What was counted of a dataset.

    Attributes:
        schema: Its schema.
        views: By name.
    """

    schema: Schema
    views: dict[str, ViewCounts]


def was_appended(schema: Schema) -> bool:
    """Whether rows were added later, after which what was fitted or counted is of some rows."""
    return bool(schema.provenance.get("options", {}).get("append"))


def inspect_dataset(data: PreparedDataset, report: Report = lambda _: None) -> Inspection:
    """Reads all rows once and counts.

    Args:
        data: The dataset.
        report: Called with how far it is.

    Raises:
        InputError: No view of rows, a corrupted record, or an id outside its vocabulary.
    """
    data.schema.view(ROWS)
    return Inspection(
        data.schema,
        {name: _inspect_view(data, name, view, report) for name, view in data.schema.views.items()},
    )


def _inspect_view(data: PreparedDataset, name: str, view: View, report: Report) -> ViewCounts:
    found = ViewCounts() if name == HISTORIES else _empty_counts(data, name, view)
    label = next(iter(found.numbers_of(Kind.LABEL)), None)
    time = next(iter(found.numbers_of(Kind.TIME)), None)
    for split in view.splits:
        found.rows[split] = 0
        for rows in stream_rows(data, name, split, report):
            if name in ATTRIBUTES:
                rows = _known(rows, view.columns[0].name)
            found.rows[split] += row_count(rows)
            if name == HISTORIES:
                _add_histories(found, split, rows)
            else:
                _add_rows(found, split, rows)
            if label and time:
                spans = found.times.setdefault(split, LabelsByTime())
                spans.add(flat(rows[time]), flat(rows[label]))
    if found.times:
        align(list(found.times.values()))
    return found


def _empty_counts(data: PreparedDataset, name: str, view: View) -> ViewCounts:
    found = ViewCounts()
    samples = [sample_rows(data, name, split) for split in view.splits]
    for column in view.columns[1 if name in ATTRIBUTES else 0 :]:
        feature = data.schema.feature(column.feature)
        if feature.cardinality is not None:
            counts = np.zeros(feature.cardinality, np.int64)
            found.ids[column.name] = IdCounts(column.name, feature, counts, next(iter(view.splits)))
        elif not column.ragged:
            histogram = None
            if feature.kind in (Kind.NUMERIC, Kind.WEIGHT):
                sample = np.concatenate([flat(rows[column.name]) for rows in samples])
                histogram = Histogram.for_sample(sample[np.isfinite(sample)])
            found.numbers[column.name] = NumberCounts(feature, histogram)
    return found


def _known(rows: Rows, key: str) -> Rows:
    """Returns the rows of attributes that are about an id of the vocabulary."""
    return take_rows(rows, np.flatnonzero(flat(rows[key]) >= FIRST_ID))


def _add_rows(found: ViewCounts, split: str, rows: Rows) -> None:
    for name, number in found.numbers.items():
        number.add(split, flat(rows[name]))
    for name, ids in found.ids.items():
        ids.add(split, rows[name])


def _add_histories(found: ViewCounts, split: str, rows: Rows) -> None:
    for name, values in rows.items():
        if isinstance(values, Ragged):
            add_lengths(found.lengths.setdefault(name, {}), split, values)


def add_lengths(lengths: dict[str, np.ndarray], split: str, lists: Ragged) -> None:
    """Adds the lengths of lists to the number of lists of each length of a split."""
    new = np.bincount(lists.lengths)
    known = lengths.get(split, np.zeros(0, np.int64))
    total = np.zeros(max(len(new), len(known)), np.int64)
    total[: len(known)] += known
    total[: len(new)] += new
    lengths[split] = total
