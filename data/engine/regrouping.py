"""Parts regrouped by user: all rows of a user in one part, in the order of time.

Two passes over the disk, so that memory holds one part, or one group of users, at a time:

    scatter   each part -> a file with its rows of group 0, of group 1, ...
    gather    the rows of a group from all those files -> one part, sorted by user and time

A user's group is a hash of the raw id. How many groups there are depends on the number of rows
only, so neither the size of parts nor the engine changes what is written.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.compute as pc
import tensorflow as tf

from data.engine.engines import Engine
from data.engine.parts import SPLIT, codes_of, part_of_values, read_part, write_batches, write_part
from data.engine.row_splits import RowSplits
from data.errors import InputError
from data.filters import DuplicatePolicy
from data.spec.table_spec import TableSpec
from data.splits import last_of_each

_GROUP_ROWS = 500_000  # of a group, on average


def regroup(spec: TableSpec, splits: RowSplits, work: Path, engine: Engine) -> list[Path]:
    """Writes the parts of a table anew, by user; those that are there already stay.

    Args:
        spec: What the columns mean: `user` among them, and `time` where there is one.
        splits: The parts, and the split of each row; `leave_last_out` is decided here.
        work: The folder of the parts.
        engine: Where the work is done.

    Returns:
        The new parts, each sorted by user, then time, ties as in the source.

    Raises:
        InputError: A user has an item twice, where the spec allows it once.
    """
    groups = -(-int(splits.counts().sum()) // _GROUP_ROWS)
    scattered = engine.map(
        partial(_scatter, splits, groups=groups, work=work), range(len(splits.paths))
    )
    return engine.map(partial(_gather, spec, scattered, work), range(groups))


def _scatter(splits: RowSplits, index: int, *, groups: int, work: Path) -> Path:
    """Writes the rows of a part by group, one record batch each."""
    path = work / f"scattered-{index:06d}.arrow"
    if path.exists():
        return path
    part = read_part(splits.paths[index])
    part = part.set_column(part.schema.get_field_index(SPLIT), SPLIT, splits.of_part(index))
    codes, raw = codes_of(part.column("user"))
    texts = tf.constant(raw.cast(pl.String).to_numpy(), tf.string)
    group = tf.strings.to_hash_bucket_fast(texts, groups).numpy()[codes]
    order = np.argsort(group, kind="stable")
    ends = np.cumsum(np.bincount(group, minlength=groups))
    starts = np.concatenate([[0], ends[:-1]])
    chosen = (order[start:end] for start, end in zip(starts, ends, strict=True))
    write_batches(path, part.schema, (part.take(pa.array(rows)) for rows in chosen))
    return path


def _gather(spec: TableSpec, scattered: Sequence[Path], work: Path, group: int) -> Path:
    """Writes the part of one group of users."""
    path = work / f"users-{group:06d}.arrow"
    if path.exists():
        return path
    batches = [_plain(read_part(file, batch=group)) for file in scattered]
    table = pa.Table.from_batches(batches)
    by = ["user", "time"] if "time" in table.column_names else ["user"]
    rows = pl.from_arrow(table)
    assert isinstance(rows, pl.DataFrame)
    rows = rows.sort(by, maintain_order=True)
    if spec.holds_interactions:
        rows = _once(rows, spec.interactions.duplicates)
    if spec.split.method == "leave_last_out":
        counts = rows.select(pl.col("user").rle().struct.field("len")).to_series().to_numpy()
        rows = rows.with_columns(pl.Series(SPLIT, last_of_each(counts)))
    write_part(path, part_of_values(spec, rows))
    return path


def _plain(batch: pa.RecordBatch) -> pa.RecordBatch:
    """Returns a batch with raw ids in place of the part's codes, which differ from part to part."""
    return pa.RecordBatch.from_arrays([_decoded(column) for column in batch], batch.schema.names)


def _decoded(column: pa.Array) -> pa.Array:
    if isinstance(column, pa.DictionaryArray):
        return column.dictionary_decode()
    if isinstance(column, pa.ListArray):
        return pa.ListArray.from_arrays(
            pc.subtract(column.offsets, column.offsets[0]), column.flatten().dictionary_decode()
        )
    return column


def _once(rows: pl.DataFrame, policy: DuplicatePolicy) -> pl.DataFrame:
    """Returns rows with each item of a user as often as the policy has it."""
    pair = ["user", "item"]
    if policy == "keep_all":
        return rows
    if policy != "error":
        first = policy == "keep_first"
        return rows.unique(pair, keep="first" if first else "last", maintain_order=True)
    twice = rows.filter(pl.struct(pair).is_duplicated())
    if len(twice):
        user, item = twice.select(pair).row(0)
        times = len(twice.filter(pl.col("user") == user, pl.col("item") == item))
        raise InputError(
            "A user may have an item only once",
            received=f"user {user!r} with item {item!r}, {times} times",
            where="features user and item",
            action="Write `interactions: {duplicates: keep_last}`, keep_first or keep_all",
        )
    return rows
