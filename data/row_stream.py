"""The rows of a view some blocks at a time, so that memory does not depend on their number."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import tensorflow as tf

from data.blocks import ColumnData, Ragged
from data.dataset import PreparedDataset
from data.engine.progress import Progress
from data.errors import InputError
from data.schema import Column, Schema, Split

Rows = dict[str, ColumnData]
Report = Callable[[str], None]

_BYTES_AT_ONCE = 1 << 23
_SAMPLED_BLOCKS = 16


def stream_rows(
    data: PreparedDataset, view: str, split: str, report: Report = lambda _: None
) -> Iterator[Rows]:
    """Yields the rows of one split of a view, by column, in the order of its files.

    Args:
        data: The dataset.
        view: The view.
        split: The split.
        report: Called with how far it is, every few seconds.

    Raises:
        InputError: A record that is corrupted, or an id outside its vocabulary.
    """
    entry = data.split(view, split)
    blocks = _blocks_at_once(entry)
    progress = Progress(f"reading {view} of {split}", entry.rows, report)
    columns = [c for c in data.schema.view(view).columns if _cardinality(data.schema, c)]
    with data.explained_reads():
        # Not file by file: to open a TFRecordDataset takes longer than to read a small file.
        for records in tf.data.TFRecordDataset(data.paths(view, split)).batch(blocks):
            rows = data.decode(view, records)
            for column in columns:
                _check_ids(rows[column.name], column, data.schema, f"view '{view}', split {split}")
            count = row_count(rows)
            progress.add(count, count)
            if count:
                yield rows


def _blocks_at_once(split: Split) -> int:
    blocks = sum(shard.blocks for shard in split.shards)
    content = sum(shard.bytes for shard in split.shards)
    return max(1, _BYTES_AT_ONCE * blocks // max(1, content))


def sample_rows(data: PreparedDataset, view: str, split: str) -> Rows:
    """Returns some blocks of a split from all over it, to choose the bounds of bins by.

    At most 16 of its files are read.
    """
    shards = data.split(view, split).shards
    files = shards[:: max(1, -(-len(shards) // _SAMPLED_BLOCKS))]
    per_file = -(-_SAMPLED_BLOCKS // len(files))
    records: list[tf.Tensor] = []
    with data.explained_reads():
        for shard in files:
            file = tf.data.TFRecordDataset(str(data.folder / shard.file))
            step = max(1, shard.blocks // per_file)
            records += list(file.shard(step, 0).take(per_file))
    return data.decode(view, tf.stack(records) if records else tf.zeros([0], tf.string))


def row_count(rows: Rows) -> int:
    """Returns how many rows there are."""
    return len(next(iter(rows.values())))


def take_rows(rows: Rows, chosen: np.ndarray) -> Rows:
    """Returns the rows at the given positions."""
    return {n: v.take(chosen) if isinstance(v, Ragged) else v[chosen] for n, v in rows.items()}


def flat(values: ColumnData) -> np.ndarray:
    """Returns the values of a column: (rows,), or (values of all lists,)."""
    return values.values if isinstance(values, Ragged) else values


def _cardinality(schema: Schema, column: Column) -> int | None:
    return schema.feature(column.feature).cardinality


def _check_ids(values: ColumnData, column: Column, schema: Schema, where: str) -> None:
    ids, cardinality = flat(values), schema.cardinality(column.feature)
    if not len(ids) or (ids.min() >= 0 and ids.max() < cardinality):
        return
    raise InputError(
        f"The ids of '{column.name}' must be at least 0 and below its cardinality {cardinality:,}",
        received=f"{ids.min():,} to {ids.max():,}",
        where=where,
        action="Prepare the dataset again",
    )
