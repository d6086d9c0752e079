"""No single feature may give the label away.

The score of an id is the log-odds of the label among its train rows, less that of all train rows;
a row with several ids sums them up, as naive Bayes does. Numbers are cut into up to 4,096 equally
full bins, scored as ids are, and taken as they are too.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from data.audit_rules.rule import Finding, Rule, Verdict, column_of, columns_of
from data.blocks import ColumnData, Ragged
from data.dataset import PreparedDataset
from data.feature import Kind
from data.inspection.measures import area_under_curve
from data.inspection.scan import ROWS
from data.row_stream import Rows, flat, sample_rows

THRESHOLD = 0.98
_BINS = 4096
_FEWEST_ROWS = 10  # of either label among held-out rows: with fewer, chance reaches any threshold
_SCORES, _SCORE_STEPS = 20.0, 100  # scores count from -20 to 20 in steps of 1/100


@dataclass
class _Table:
    """Labels by id of one feature.

    Attributes:
        boundaries: Of a number, the least value of each bin but the first; None of ids.
        rows, positives: Train rows of each id, and those with label 1.
        by_score: Held-out rows by label and score: (2, scores).
        by_bin: Held-out rows by label and bin, of a number: (2, bins).
        scores: Score of each id, once train is known.
    """

    boundaries: np.ndarray | None
    rows: np.ndarray
    positives: np.ndarray
    by_score: np.ndarray = field(
        default_factory=lambda: np.zeros((2, 2 * int(_SCORES) * _SCORE_STEPS + 1), np.int64)
    )
    by_bin: np.ndarray | None = None
    scores: np.ndarray | None = None

    def codes(self, values: np.ndarray) -> np.ndarray:
        """Returns the id of each value."""
        if self.boundaries is None:
            return values
        return np.searchsorted(self.boundaries, values, side="right")

    def fit(self, prior: float) -> np.ndarray:
        """Returns the scores of all ids."""
        if self.scores is None:
            mean = (self.positives + prior) / (self.rows + 1)
            self.scores = (_logit(mean) - _logit(np.array(prior))).astype(np.float32)
        return self.scores

    def auc(self) -> tuple[float, str]:
        """Returns the best area under the curve, and how the feature reaches it."""
        found = [(area_under_curve(*self.by_score), "the mean label of its value in train")]
        if self.by_bin is not None:
            by_value = area_under_curve(*self.by_bin)
            found.append((max(by_value, 1 - by_value), "its value"))
        return max(found)


class LabelAlone(Rule):
    """Predicts held-out labels from one feature at a time, all of them.

    Memory: 20 bytes for each id of each feature.

    Args:
        data: The dataset.
        threshold: Area under the ROC curve from which a feature is a finding.
    """

    name = "label-alone"

    def __init__(self, data: PreparedDataset, threshold: float = THRESHOLD) -> None:
        self._threshold = threshold
        self._label = column_of(data.schema, Kind.LABEL)
        self._binary = True
        self._tables = _tables(data) if self._label else {}
        self._train, self._positive = 0, 0

    def see_train(self, rows: Rows) -> None:
        """Counts labels by id."""
        labels = self._labels(rows)
        if labels is None:
            return
        self._train += len(labels)
        self._positive += int(labels.sum())
        for name, table in self._tables.items():
            column = rows[name]
            codes, of_codes = table.codes(flat(column)), _by_value(column, labels)
            np.add.at(table.rows, codes, 1)
            np.add.at(table.positives, codes[of_codes], 1)

    def see_held_out_again(self, split: str, rows: Rows) -> None:
        """Scores the rows by each feature."""
        labels = self._labels(rows)
        if labels is None or not 0 < self._positive < self._train:
            return
        codes_of_labels = labels.astype(np.int64)
        for name, table in self._tables.items():
            column = rows[name]
            codes = table.codes(flat(column))
            scores = table.fit(self._positive / self._train)[codes]
            if isinstance(column, Ragged):
                scores = _row_sums(scores, column)
            steps = np.clip(np.round((scores + _SCORES) * _SCORE_STEPS), 0, None).astype(np.int64)
            steps = np.minimum(steps, table.by_score.shape[1] - 1)
            np.add.at(table.by_score, (codes_of_labels, steps), 1)
            if table.by_bin is not None:
                np.add.at(table.by_bin, (codes_of_labels, codes), 1)

    def _labels(self, rows: Rows) -> np.ndarray | None:
        """Returns the labels as booleans, or None where they are not all 0 or 1."""
        if self._label is None or not self._binary:
            return None
        labels = flat(rows[self._label])
        self._binary = bool(((labels == 0) | (labels == 1)).all())
        return labels == 1 if self._binary else None

    def verdict(self) -> Verdict:
        """Returns a finding for each feature that reaches the threshold."""
        if self._label is None or not self._binary:
            reason = "labels other than 0 and 1" if self._label else "no label"
            return Verdict(reason, checked=False)
        held_out = next(iter(self._tables.values())).by_score.sum(axis=1) if self._tables else []
        if len(held_out) == 0 or min(held_out) < _FEWEST_ROWS:
            reason = f"fewer than {_FEWEST_ROWS} held-out rows of either label"
            return Verdict(reason if self._tables else "no features", checked=False)
        found = {name: table.auc() for name, table in self._tables.items()}
        best = max(found, key=lambda name: found[name])
        result = Verdict(
            f"{len(found):,} features, one at a time; highest AUC {found[best][0]:.3f} ('{best}')"
        )
        rows = int(sum(held_out))
        for name, (auc, how) in found.items():
            if auc >= self._threshold:
                result.findings.append(self._finding(name, auc, how, rows))
        return result

    def _finding(self, name: str, auc: float, how: str, rows: int) -> Finding:
        return Finding(
            self.name,
            name,
            f"'{name}' alone predicts the label: AUC {auc:.4f} on {rows:,} held-out rows by {how}, "
            f"threshold {self._threshold:g}",
            f"view 'rows', column '{name}'",
            "Find out when its value becomes known: if only with the label or after it, leave the "
            f"feature out. If it is known before: --ignore={self.name}:{name}",
        )


def _tables(data: PreparedDataset) -> dict[str, _Table]:
    view = data.schema.view(ROWS)
    samples = [sample_rows(data, ROWS, split) for split in view.splits]
    tables = {}
    for column in columns_of(data.schema, Kind.NUMERIC, Kind.TIME):
        if not column.ragged:
            values = np.concatenate([flat(sample[column.name]) for sample in samples])
            shares = np.arange(1, _BINS) / _BINS
            # Values that occur, so that each of a few values gets a bin of its own.
            boundaries = np.unique(np.quantile(values, shares, method="higher"))
            table = _table(boundaries, len(boundaries) + 1)
            table.by_bin = np.zeros((2, len(boundaries) + 1), np.int64)
            tables[column.name] = table
    for column in columns_of(
        data.schema, Kind.CATEGORICAL, Kind.MULTI_HOT, Kind.USER, Kind.ITEM, Kind.TEXT
    ):
        tables[column.name] = _table(None, data.schema.cardinality(column.feature))
    return tables


def _table(boundaries: np.ndarray | None, ids: int) -> _Table:
    return _Table(boundaries, np.zeros(ids, np.int64), np.zeros(ids, np.int64))


def _logit(share: np.ndarray) -> np.ndarray:
    return np.log(share) - np.log1p(-share)


def _by_value(column: ColumnData, labels: np.ndarray) -> np.ndarray:
    """Returns the label of each value of a column."""
    return np.repeat(labels, column.lengths) if isinstance(column, Ragged) else labels


def _row_sums(scores: np.ndarray, lists: Ragged) -> np.ndarray:
    """Returns the sum of the scores of each list: (rows,)."""
    rows = np.repeat(np.arange(len(lists)), lists.lengths)
    return np.bincount(rows, scores, minlength=len(lists))
