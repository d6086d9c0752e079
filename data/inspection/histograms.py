"""Bins of values that come in parts: of numbers, by bounds chosen on a sample, and of times."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

_BARS = 40
_TAIL = 0.005  # of a sample, at either end, that the outermost bars take up
_LONG_TAIL = 6.0  # ranges are logarithmic where the tail is that much longer than the middle half
_FEWEST_TIMES, _MOST_TIMES = 60, 240


@dataclass
class Histogram:
    """Bars of one number.

    Attributes:
        edges: Ascending edges of the bars: (bars + 1,); values outside count in the outermost.
        logarithmic: Whether the bars are equally wide on a logarithmic scale, zero in its middle.
        of_integers: Whether each bar is one integer.
        counts: Number of values in each bar, by split.
    """

    edges: np.ndarray
    logarithmic: bool = False
    of_integers: bool = False
    counts: dict[str, np.ndarray] = field(default_factory=dict)

    @staticmethod
    def for_sample(values: np.ndarray) -> Histogram:
        """Returns bars without counts that suit a sample of the values, of shape (values,)."""
        if not len(values):
            return Histogram(np.array([0.0, 1.0]))
        low, quarter, middle, three, high = np.quantile(
            values.astype(np.float64), [_TAIL, 0.25, 0.5, 0.75, 1 - _TAIL]
        )
        if (values == np.round(values)).all() and high - low < _BARS:
            edges = np.arange(np.floor(low), np.ceil(high) + 2) - 0.5
            return Histogram(edges, of_integers=True)
        if high == low:
            return Histogram(np.array([low - 0.5, low + 0.5]))
        width = max(three - quarter, (high - low) / 1000)
        if max(high - middle, middle - low) > _LONG_TAIL * width:
            first, last = _log(np.array([low, high]))
            return Histogram(_exp(np.linspace(first, last, _BARS + 1)), logarithmic=True)
        return Histogram(np.linspace(low, high, _BARS + 1))

    def add(self, split: str, values: np.ndarray) -> None:
        """Counts values of shape (values,)."""
        bars = np.searchsorted(self.edges[1:-1], values, side="right")
        counts = np.bincount(bars, minlength=len(self.edges) - 1)
        self.counts[split] = self.counts.get(split, 0) + counts

    def positions(self) -> np.ndarray:
        """Returns where the edges are on the scale of the bars."""
        return _log(self.edges) if self.logarithmic else self.edges


def _log(values: np.ndarray) -> np.ndarray:
    return np.sign(values) * np.log1p(np.abs(values))


def _exp(values: np.ndarray) -> np.ndarray:
    return np.sign(values) * np.expm1(np.abs(values))


@dataclass
class LabelsByTime:
    """Rows and labels in spans of time, of one split; spans grow as later times come.

    Attributes:
        width: Length of a span, a power of two.
        starts: Where each span starts, ascending: (spans,).
        rows: Number of rows in each.
        labels: Sum of their labels.
    """

    width: int = 1
    starts: np.ndarray = field(default_factory=lambda: np.zeros(0, np.int64))
    rows: np.ndarray = field(default_factory=lambda: np.zeros(0, np.int64))
    labels: np.ndarray = field(default_factory=lambda: np.zeros(0, np.float64))

    def add(self, times: np.ndarray, labels: np.ndarray) -> None:
        """Counts rows, of shape (rows,)."""
        self._merge(
            np.concatenate([self.starts, times]),
            np.concatenate([self.rows, np.ones(len(times), np.int64)]),
            np.concatenate([self.labels, labels.astype(np.float64)]),
        )

    def widen(self, width: int) -> None:
        """Merges spans to those of another width, at least as long as now."""
        self.width = width
        self._merge(self.starts, self.rows, self.labels)

    def _merge(self, times: np.ndarray, rows: np.ndarray, labels: np.ndarray) -> None:
        while int(times.max()) // self.width - int(times.min()) // self.width >= _MOST_TIMES:
            self.width *= 2
        self.starts, place = np.unique(times // self.width * self.width, return_inverse=True)
        self.rows = np.bincount(place, rows, len(self.starts)).astype(np.int64)
        self.labels = np.bincount(place, labels, len(self.starts))


def align(spans: list[LabelsByTime]) -> None:
    """Gives all splits the width that suits the whole time they cover."""
    first = min(int(span.starts[0]) for span in spans)
    last = max(int(span.starts[-1]) for span in spans)
    width = max(span.width for span in spans)
    while (last - first) // width > _FEWEST_TIMES:
        width *= 2
    for span in spans:
        span.widen(width)
