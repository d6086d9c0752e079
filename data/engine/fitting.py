"""What is fitted on train: vocabularies, one at a time, and the spread of numbers.

Results do not depend on how rows are cut into parts, but for the last digits of means: counts are
added up, ties go by the bytes of the raw id.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import polars as pl
import tensorflow as tf

from data.engine.parts import codes_of, per_code, read_part
from data.errors import InputError
from data.events import TRAIN
from data.feature import QUANTILE_BUCKETS, Feature, Kind, NumericStatistics, Transform
from data.spec.table_spec import MAX_IDS, FeatureSpec
from data.spec.transforms import apply, unfitted
from data.vocabulary import Vocabulary

_AT_ONCE = 10_000_000  # raw ids that are counted in one pass over the parts
_WAITING = 500_000  # raw ids of parts that are added up at once
_DROPPED_BITS = 11  # of a float32's 23 bits of fraction: bins are 1/4096 wide, relatively

SplitOf = Callable[[int], np.ndarray]  # index of a part to the split of each of its rows


def fit_vocabulary(
    paths: Sequence[Path], split_of: SplitOf, features: Sequence[FeatureSpec]
) -> Vocabulary:
    """Counts the raw ids of features that share a vocabulary, in train.

    Args:
        paths: The parts.
        split_of: Splits of their rows.
        features: Features with the same type, `min_count` and `top`.

    Raises:
        InputError: More raw ids than int32 can number.
    """
    first = features[0]
    passes = 1
    kept: list[pl.DataFrame] = []
    while len(kept) < passes:
        found = _counts_of_parts(paths, split_of, features, len(kept), passes)
        counted = _total(found, pl.Int64() if first.type == "int64" else pl.String())
        if len(counted) > _AT_ONCE:
            passes, kept = 2 * passes, []
        else:
            kept.append(counted.filter(pl.col("rows") >= first.min_count))
    counted = pl.concat(kept).sort("rows", "raw", descending=[True, False])
    if first.top:
        counted = counted.head(first.top)
    if len(counted) > MAX_IDS:
        raise InputError(
            f"A vocabulary must have at most {MAX_IDS:,} entries",
            received=f"{len(counted):,}",
            where=f"feature '{first.name}'",
            action="Raise min_count, give top, or hash the ids: `hash: 10000000`",
        )
    return Vocabulary(counted["raw"], np.zeros(0, np.int32))


def _total(parts: Iterator[pl.DataFrame], dtype: pl.DataType) -> pl.DataFrame:
    """Returns the sum of counts of raw ids, or that of some of them if there are too many."""
    total = pl.DataFrame(schema={"raw": dtype, "rows": pl.Int64})
    waiting = [total]
    for frame in parts:
        waiting.append(frame.with_columns(pl.col("raw").cast(dtype)))
        # Adding up costs as much as the total is long: not for every part.
        if sum(map(len, waiting[1:])) > max(_WAITING, len(total)):
            total = pl.concat(waiting).group_by("raw").agg(pl.col("rows").sum())
            waiting = [total]
            if len(total) > _AT_ONCE:
                return total
    return pl.concat(waiting).group_by("raw").agg(pl.col("rows").sum())


def _counts_of_parts(
    paths: Sequence[Path],
    split_of: SplitOf,
    features: Sequence[FeatureSpec],
    which: int,
    passes: int,
) -> Iterator[pl.DataFrame]:
    """Yields the raw ids of one pass by part, and in how many train rows of it each is."""
    for index, path in enumerate(paths):
        part = read_part(path, [feature.name for feature in features])
        is_train = split_of(index) == TRAIN
        for feature in features:
            column = part.column(feature.name)
            codes, raw = codes_of(column)
            chosen = codes[per_code(column, is_train) & (codes >= 0)]
            counts = np.bincount(chosen, minlength=len(raw))
            frame = pl.DataFrame({"raw": raw, "rows": counts}).filter(pl.col("rows") > 0)
            if passes > 1:
                hashed = tf.strings.to_hash_bucket_fast(frame["raw"].cast(pl.String), passes)
                frame = frame.filter(pl.Series(hashed.numpy() == which))
            yield frame


@dataclass
class NumberFit:
    """The spread of one numeric feature over the train rows of the parts seen so far.

    Attributes:
        transforms: What values go through before `normalise`.
        rows: Number of values; missing ones count as what stands for them.
        missing: Number of missing ones.
        mean, squares: Of the stored values: mean, and sum of squared distances from it.
        shaped_mean, shaped_squares: The same of the transformed values.
        minimum, maximum: Of the stored values.
        bins, least, counts: Histogram over float32's own steps: bins, the least value of each and
            the number of values.
    """

    transforms: tuple[Transform, ...]
    rows: int = 0
    missing: int = 0
    mean: float = 0.0
    squares: float = 0.0
    shaped_mean: float = 0.0
    shaped_squares: float = 0.0
    minimum: float = np.inf
    maximum: float = -np.inf
    bins: np.ndarray = field(default_factory=lambda: np.zeros(0, np.int64))
    least: np.ndarray = field(default_factory=lambda: np.zeros(0, np.float32))
    counts: np.ndarray = field(default_factory=lambda: np.zeros(0, np.int64))

    def add(self, values: np.ndarray, missing: int) -> None:
        """Adds values of shape (rows,), float32, of which some were missing."""
        if not len(values):
            return
        shaped = apply(unfitted(self.transforms), values)
        self.missing += missing
        self.mean, self.squares = self._merged(self.mean, self.squares, values.astype(np.float64))
        self.shaped_mean, self.shaped_squares = self._merged(
            self.shaped_mean, self.shaped_squares, shaped
        )
        self.rows += len(values)
        self.minimum = min(self.minimum, float(values.min()))
        self.maximum = max(self.maximum, float(values.max()))
        self._add_bins(values)

    def _merged(self, mean: float, squares: float, values: np.ndarray) -> tuple[float, float]:
        """Returns mean and squares with more values (Chan et al. 1979)."""
        new_mean, n, m = float(values.mean()), self.rows, len(values)
        apart = new_mean - mean
        squares += float(((values - new_mean) ** 2).sum()) + apart**2 * n * m / (n + m)
        return mean + apart * m / (n + m), squares

    def _add_bins(self, values: np.ndarray) -> None:
        ascending = np.sort(values)
        bins, starts = np.unique(_bins(ascending), return_index=True)
        all_bins = np.concatenate([self.bins, bins])
        all_least = np.concatenate([self.least, ascending[starts]])
        weights = np.concatenate([self.counts, np.diff(starts, append=len(values))])
        order = np.argsort(all_bins, kind="stable")
        self.bins, starts = np.unique(all_bins[order], return_index=True)
        self.least = np.minimum.reduceat(all_least[order], starts)
        self.counts = np.add.reduceat(weights[order], starts)

    def statistics(self) -> NumericStatistics | None:
        """Returns the spread, or None where there was no value."""
        if not self.rows:
            return None
        shares = np.arange(1, QUANTILE_BUCKETS) / QUANTILE_BUCKETS
        return NumericStatistics(
            mean=self.mean,
            stddev=float(np.sqrt(self.squares / self.rows)),
            minimum=self.minimum,
            maximum=self.maximum,
            quantiles=self.quantiles(shares),
        )

    def quantiles(self, shares: np.ndarray) -> tuple[float, ...]:
        """Returns boundaries at shares of the values: ascending, without repeats.

        Each is a value that was seen, at most 1/4096 of itself below the exact one.
        """
        ends = np.cumsum(self.counts)
        places = np.searchsorted(ends, shares * self.rows, side="right")
        chosen = self.least[np.minimum(places, len(self.least) - 1)]
        return tuple(np.unique(chosen).astype(float).tolist())

    def feature(self, spec: FeatureSpec) -> Feature:
        """Returns the schema's entry of the feature that the values are of."""
        shares = np.arange(1, spec.buckets) / max(spec.buckets, 1)
        return Feature(
            spec.name,
            Kind.NUMERIC,
            "float32",
            default=spec.missing,
            statistics=self.statistics(),
            transforms=self.fitted(),
            boundaries=self.quantiles(shares) if spec.buckets else spec.boundaries,
        )

    def fitted(self) -> tuple[Transform, ...]:
        """Returns the transforms with the mean and the standard deviation of `normalise`."""
        stddev = float(np.sqrt(self.shaped_squares / max(self.rows, 1)))
        values = (self.shaped_mean, stddev)
        return tuple(
            dataclasses.replace(t, values=values) if t.name == "normalise" else t
            for t in self.transforms
        )


def _bins(values: np.ndarray) -> np.ndarray:
    """Returns bins that ascend with the values, which are finite: (rows,), int64."""
    bits = np.ascontiguousarray(values, np.float32).view(np.int32).astype(np.int64)
    ordered = np.where(bits >= 0, bits, -(bits & 0x7FFFFFFF))
    return ordered >> _DROPPED_BITS
