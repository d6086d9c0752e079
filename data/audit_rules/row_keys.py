"""64-bit hashes of rows, so that equal rows are found without keeping them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from data.blocks import ColumnData, Ragged

_STEP, _FIRST, _SECOND = map(
    np.uint64, (0x9E3779B97F4A7C15, 0xBF58476D1CE4E5B9, 0x94D049BB133111EB)
)


def row_keys(columns: Sequence[ColumnData]) -> np.ndarray:
    """Returns a hash of each row: (rows,), uint64.

    Args:
        columns: Columns of as many rows; equal rows have equal values in all of them.
    """
    keys = np.zeros(len(columns[0]), np.uint64)
    for column in columns:
        keys = _mixed(keys + (_of_lists(column) if isinstance(column, Ragged) else _bits(column)))
    return keys


def _of_lists(lists: Ragged) -> np.ndarray:
    lengths = lists.lengths.astype(np.int64)
    starts = lists.offsets()
    place = np.arange(starts[-1]) - np.repeat(starts[:-1], lengths)
    of_values = _mixed(_bits(lists.values) + place.astype(np.uint64))
    sums = np.concatenate([np.zeros(1, np.uint64), np.cumsum(of_values, dtype=np.uint64)])
    return sums[starts[1:]] - sums[starts[:-1]] + _mixed(lengths.astype(np.uint64))


def _bits(values: np.ndarray) -> np.ndarray:
    """Returns numbers that are equal where the values are, well mixed."""
    if values.dtype.kind == "f":
        # Minus zero equals zero.
        values = (values.astype(np.float64) + 0.0).view(np.uint64)
    return _mixed(values.astype(np.uint64))


def _mixed(bits: np.ndarray) -> np.ndarray:
    """SplitMix64's last step (Steele et al. 2014)."""
    bits = bits + _STEP
    bits = (bits ^ (bits >> np.uint64(30))) * _FIRST
    bits = (bits ^ (bits >> np.uint64(27))) * _SECOND
    return bits ^ (bits >> np.uint64(31))
