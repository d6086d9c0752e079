"""Parts: parsed rows on disk, ids as codes of the part's own dictionary, nothing fitted yet.

A part is an Arrow file of one record batch with a column a feature, of kind

    label, weight, numeric      float32, null where missing
    time                        int64
    categorical, user, item     dictionary of strings or int64, null where missing
    multi_hot                   list of such

and `_split`, int8: the position in `SPLITS`.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.compute as pc

from data.atomic import fsync_path
from data.engine.splitting import split_rows
from data.feature import Kind
from data.spec.table_spec import FeatureSpec, TableSpec

SPLIT = "_split"


def make_part(spec: TableSpec, frame: pl.DataFrame, file: str) -> pa.RecordBatch:
    """Returns a part of a frame of values by column.

    Args:
        spec: What the columns mean.
        frame: The values.
        file: Name of the file that they are from.
    """
    for label in spec.of_kind(Kind.LABEL):
        if label.above is not None and not frame.is_empty():
            frame = frame.filter(pl.col(label.column) != label.above)
    if frame.is_empty():
        return pa.RecordBatch.from_pydict({})
    values = [feature_values(f, frame[f.column]).alias(f.name) for f in spec.features]
    split = pl.Series(SPLIT, split_rows(spec, frame, file))
    return part_of_values(spec, pl.DataFrame([*values, split]))


def feature_values(feature: FeatureSpec, values: pl.Series) -> pl.Series:
    """Returns a column as its feature has it: labels as 0 and 1, several ids as lists."""
    if feature.kind is Kind.LABEL and feature.above is not None:
        return (values > feature.above).cast(pl.Float32)
    if feature.kind is not Kind.MULTI_HOT:
        return values
    lists = values.fill_null("").str.split(feature.separator)
    return lists.list.eval(pl.element().filter(pl.element() != ""))


def part_of_values(spec: TableSpec, rows: pl.DataFrame) -> pa.RecordBatch:
    """Returns a part of values by feature, as `feature_values` gives them, and `_split`."""
    columns = {f.name: _column(f, rows[f.name]) for f in spec.features}
    return pa.RecordBatch.from_pydict(columns | {SPLIT: _arrow(rows[SPLIT])})


def _column(feature: FeatureSpec, values: pl.Series) -> pa.Array:
    if not feature.holds_ids:
        return _arrow(values)
    if feature.kind is not Kind.MULTI_HOT:
        return _coded(values)
    flat = values.explode(empty_as_null=False, keep_nulls=False)
    offsets = np.concatenate([[0], np.cumsum(values.list.len().to_numpy())]).astype(np.int32)
    return pa.ListArray.from_arrays(pa.array(offsets), _coded(flat))


def _arrow(values: pl.Series) -> pa.Array:
    array = values.to_arrow(compat_level=pl.CompatLevel.oldest())
    return array.combine_chunks() if isinstance(array, pa.ChunkedArray) else array


def _coded(values: pl.Series) -> pa.DictionaryArray:
    return pc.dictionary_encode(_arrow(values))


def write_part(path: Path, part: pa.RecordBatch) -> None:
    """Writes a part; it is complete or absent."""
    write_batches(path, part.schema, [part])


def write_batches(path: Path, schema: pa.Schema, batches: Iterable[pa.RecordBatch]) -> None:
    """Writes record batches to one file; it is complete or absent."""
    partial = path.with_suffix(".partial")
    with pa.OSFile(str(partial), "wb") as sink, pa.ipc.new_file(sink, schema) as writer:
        for batch in batches:
            writer.write_batch(batch)
    fsync_path(partial)
    partial.replace(path)


def read_part(path: Path, columns: list[str] | None = None, batch: int = 0) -> pa.RecordBatch:
    """Reads a part, or some of its columns, without copying what can stay on the disk."""
    part = pa.ipc.open_file(pa.memory_map(str(path))).get_batch(batch)
    return part if columns is None else part.select(columns)


def codes_of(array: Any) -> tuple[np.ndarray, pl.Series]:
    """Returns codes (values,), int32, -1 where missing, and the raw ids that they stand for."""
    if isinstance(array, pa.ListArray):
        array = array.flatten()
    codes = array.indices.fill_null(-1).to_numpy(zero_copy_only=False)
    raw = pl.from_arrow(array.dictionary)
    assert isinstance(raw, pl.Series)
    return codes, raw


def per_code(array: Any, of_row: np.ndarray) -> np.ndarray:
    """Returns for each code what is given for its row: (values,), from (rows,)."""
    if not isinstance(array, pa.ListArray):
        return of_row
    return np.repeat(of_row, np.diff(array.offsets.to_numpy()))


def split_codes_of(part: pa.RecordBatch) -> np.ndarray:
    """Returns the split of each row, int8."""
    return part.column(SPLIT).to_numpy(zero_copy_only=False)
