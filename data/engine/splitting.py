"""Which split a row belongs to, from the row alone; all but `position`."""

from __future__ import annotations

from fnmatch import fnmatch
from pathlib import PurePath

import numpy as np
import polars as pl
import tensorflow as tf

from data.errors import InputError
from data.events import SPLITS, TEST, TRAIN, VALIDATION
from data.feature import Kind
from data.shares import split_by_position
from data.sources.iso_times import iso_microseconds
from data.spec.table_spec import SplitSpec, TableSpec

_BETWEEN = "\x1f"  # the unit separator: no value of a table holds it
_HASH_RANGE = 1 << 30


def split_rows(spec: TableSpec, frame: pl.DataFrame, file: str) -> np.ndarray:
    """Returns the split of each row: positions in `SPLITS`, int8 of shape (rows,).

    With the method `position` all are train: `split_by_rank` is called later.

    Args:
        spec: The spec.
        frame: Values by column.
        file: Name of the file that they are from.
    """
    split, rows = spec.split, len(frame)
    if split.method == "files":
        code = _of_file(split, file)
        if code == TRAIN and split.validation and not split.validation_files:
            return np.where(_hashed(frame, split) < split.validation, VALIDATION, code).astype("i1")
        return np.full(rows, code, np.int8)
    if split.method == "column":
        codes = frame[split.column].replace_strict(
            {name: code for code, name in enumerate(SPLITS)}, return_dtype=pl.Int8
        )
        return codes.to_numpy()
    if split.method == "time":
        return _by_time(frame[split.column].to_numpy(), time_bounds(spec))
    if split.method == "hash":
        return _by_hash(frame, split)
    return np.full(rows, TRAIN, np.int8)


def split_by_rank(split: SplitSpec, rows: int) -> np.ndarray:
    """Returns the split of all rows of a table by their position, as `split_rows`."""
    return split_by_position(rows, split.validation, split.test)


def _of_file(split: SplitSpec, file: str) -> int:
    names = (file, PurePath(file).name)
    if any(fnmatch(name, pattern) for pattern in split.test_files for name in names):
        return TEST
    held_out = any(fnmatch(name, p) for p in split.validation_files for name in names)
    return VALIDATION if held_out else TRAIN


def time_bounds(spec: TableSpec) -> tuple[int, int]:
    """Returns the first times of validation and of test, in the unit that is stored.

    Raises:
        InputError: A time of another form than the column's, or test before validation.
    """
    (feature,) = spec.of_kind(Kind.TIME)
    test = _time(spec.split.test_from, feature.type, "test_from")
    start = spec.split.validation_from
    validation = _time(start, feature.type, "validation_from") if start else test
    if validation > test:
        raise InputError(
            "validation_from must not be after test_from",
            received=f"{start} and {spec.split.test_from}",
            where="split",
        )
    return validation, test


def _time(text: str, kind: str, option: str) -> int:
    try:
        if kind == "int64":
            return int(text)
        found = iso_microseconds(pl.Series([text]))[0]
        if found is not None:
            return int(found)
    except ValueError:
        pass
    expected = "an integer" if kind == "int64" else "an ISO 8601 date or time"
    raise InputError(
        f"split.{option} must be {expected}, as the column of times is",
        received=repr(text),
        where=f"split.{option}",
    )


def _by_time(times: np.ndarray, bounds: tuple[int, int]) -> np.ndarray:
    return np.searchsorted(np.array(bounds), times, side="right").astype(np.int8)


def _by_hash(frame: pl.DataFrame, split: SplitSpec) -> np.ndarray:
    bounds = (1 - split.validation - split.test, 1 - split.test)
    return np.searchsorted(np.array(bounds), _hashed(frame, split), side="right").astype(np.int8)


def _hashed(frame: pl.DataFrame, split: SplitSpec) -> np.ndarray:
    """Returns a number in [0, 1) for each row, the same for rows that are equal in `split.of`."""
    # Sorted: the order of columns in a file means nothing.
    columns = split.of or sorted(frame.columns)
    parts = [frame[column].cast(pl.String).fill_null("") for column in columns]
    text = pl.DataFrame({str(n): part for n, part in enumerate(parts)}).select(
        pl.concat_str(pl.lit(f"{split.seed}{_BETWEEN}"), pl.all(), separator=_BETWEEN)
    )
    # Farm hash, the same on every machine and in every version.
    hashed = tf.strings.to_hash_bucket_fast(text.to_series().to_numpy(), _HASH_RANGE).numpy()
    return hashed / _HASH_RANGE
