"""Block records: many rows packed by column into one `tf.train.Example`.

A record holds the rows of one block. Columns with one value a row are stacked by type into
matrices of shape (rows, columns of that type), stored as raw little-endian bytes under the keys
`float32`, `int32` and `int64`, in the view's column order. A ragged column is stored as
`<name>/values` (raw bytes, all rows one after the other) and `<name>/lengths` (int32, one a row).
The number of rows is stored under `rows`.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import tensorflow as tf

from data.schema import Column, Schema, Shard, Split

SCALAR_DTYPES = ("float32", "int32", "int64")


@dataclass(frozen=True)
class Ragged:
    """Lists of unequal length: `values` of all rows one after the other, `lengths` by row."""

    values: np.ndarray
    lengths: np.ndarray

    def __len__(self) -> int:
        return len(self.lengths)

    def offsets(self) -> np.ndarray:
        """Returns where each row starts in `values`, and the end: shape (rows + 1,), int64."""
        return np.concatenate([[0], np.cumsum(self.lengths, dtype=np.int64)])

    def take(self, order: np.ndarray) -> Ragged:
        """Returns the rows in the given order."""
        starts = self.offsets()[:-1][order]
        lengths = self.lengths[order]
        ends = np.cumsum(lengths, dtype=np.int64)
        within = np.arange(ends[-1] if len(ends) else 0) - np.repeat(ends - lengths, lengths)
        return Ragged(self.values[np.repeat(starts, lengths) + within], lengths)


ColumnData = np.ndarray | Ragged


def column_groups(columns: Sequence[Column], schema: Schema) -> dict[str, list[Column]]:
    """Returns the columns with one value a row, by stored type, in column order."""
    groups: dict[str, list[Column]] = {}
    for column in columns:
        if not column.ragged:
            groups.setdefault(schema.feature(column.feature).dtype, []).append(column)
    return groups


def encode_block(
    columns: Sequence[Column], dtypes: Mapping[str, str], data: Mapping[str, ColumnData]
) -> bytes:
    """Packs rows into one serialized block record.

    Args:
        columns: The view's columns.
        dtypes: Stored type of each feature.
        data: The block's rows by column: arrays of shape (rows,), or `Ragged` of as many rows.
    """
    features: dict[str, tf.train.Feature] = {}
    groups: dict[str, list[np.ndarray]] = {}
    rows = len(data[columns[0].name])
    for column in columns:
        values, dtype = data[column.name], dtypes[column.feature]
        if isinstance(values, Ragged):
            features[f"{column.name}/values"] = _bytes(values.values, dtype)
            features[f"{column.name}/lengths"] = _bytes(values.lengths, "int32")
        else:
            groups.setdefault(dtype, []).append(values)
    for dtype, arrays in groups.items():
        features[dtype] = _bytes(np.stack(arrays, axis=1), dtype)
    features["rows"] = tf.train.Feature(int64_list=tf.train.Int64List(value=[rows]))
    example = tf.train.Example(features=tf.train.Features(feature=features))
    return example.SerializeToString(deterministic=True)


def _bytes(values: np.ndarray, dtype: str) -> tf.train.Feature:
    little_endian = np.ascontiguousarray(values, dtype=np.dtype(dtype).newbyteorder("<"))
    return tf.train.Feature(bytes_list=tf.train.BytesList(value=[little_endian.tobytes()]))


def _slice(values: ColumnData, offsets: np.ndarray | None, start: int, stop: int) -> ColumnData:
    if isinstance(values, Ragged):
        assert offsets is not None
        return Ragged(values.values[offsets[start] : offsets[stop]], values.lengths[start:stop])
    return values[start:stop]


def write_split(
    folder: Path,
    view: str,
    split: str,
    columns: Sequence[Column],
    dtypes: Mapping[str, str],
    data: Mapping[str, ColumnData],
    *,
    block_rows: int,
    max_shards: int,
) -> Split:
    """Writes one split of a view as TFRecord shards under `folder/view/`.

    Rows keep their order; blocks are dealt to the shards in turn, so shards differ by one block
    at most.

    Args:
        folder: The prepared dataset being written.
        view: The view's name.
        split: The split's name.
        columns: The view's columns.
        dtypes: Stored type of each feature.
        data: All rows by column.
        block_rows: Rows of a block; the last block of the split may be shorter.
        max_shards: Most files to write; fewer where there are fewer blocks.

    Returns:
        The split's entry for the schema.
    """
    rows = len(data[columns[0].name])
    starts = range(0, rows, block_rows)
    count = max(1, min(max_shards, len(starts)))
    (folder / view).mkdir(parents=True, exist_ok=True)
    shards = []
    for index in range(count):
        name = shard_name(view, split, index, count)
        mine = starts[index::count]
        write_blocks(folder / name, columns, dtypes, data, mine, block_rows)
        held = sum(min(start + block_rows, rows) - start for start in mine)
        shards.append(Shard(name, len(mine), held, (folder / name).stat().st_size))
    ragged = {k: v.lengths for k, v in data.items() if isinstance(v, Ragged)}
    longest = {name: int(lengths.max(initial=1)) for name, lengths in ragged.items()}
    return Split(rows, block_rows, longest, tuple(shards))


def shard_name(view: str, split: str, index: int, count: int) -> str:
    """Returns the path of a shard in its dataset's folder."""
    return f"{view}/{split}-{index:05d}-of-{count:05d}.tfrecord"


def write_blocks(
    path: Path,
    columns: Sequence[Column],
    dtypes: Mapping[str, str],
    data: Mapping[str, ColumnData],
    starts: Sequence[int],
    block_rows: int,
) -> None:
    """Writes the blocks that begin at some rows as one TFRecord file.

    Raises:
        OSError: The disk is full or failing.
    """
    rows = len(data[columns[0].name])
    offsets = {k: v.offsets() if isinstance(v, Ragged) else None for k, v in data.items()}
    try:
        with tf.io.TFRecordWriter(str(path)) as writer:
            for start in starts:
                stop = min(start + block_rows, rows)
                block = {k: _slice(v, offsets[k], start, stop) for k, v in data.items()}
                writer.write(encode_block(columns, dtypes, block))
    except tf.errors.ResourceExhaustedError as error:  # which is no OSError
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path)) from error
    except tf.errors.OpError as error:
        raise OSError(errno.EIO, error.message) from error


def decode_blocks(
    serialized: tf.Tensor, columns: Sequence[Column], schema: Schema
) -> tuple[dict[str, tf.Tensor], dict[str, tf.RaggedTensor]]:
    """Unpacks block records and joins their rows.

    Args:
        serialized: Records of shape (blocks,), string.
        columns: The view's columns.
        schema: The dataset's schema.

    Returns:
        Matrices of shape (rows, columns of the type) by stored type, and ragged tensors of shape
        (rows, None) by column name.
    """
    groups = column_groups(columns, schema)
    ragged = {c.name: schema.feature(c.feature).dtype for c in columns if c.ragged}
    keys = [*groups, *(f"{n}/{part}" for n in ragged for part in ("values", "lengths"))]
    spec = {key: tf.io.FixedLenFeature([], tf.string) for key in keys}
    parsed = tf.io.parse_example(serialized, spec)

    def joined(key: str, dtype: str) -> tf.Tensor:
        return tf.io.decode_raw(tf.strings.reduce_join(parsed[key]), tf.as_dtype(dtype))

    matrices = {d: tf.reshape(joined(d, d), [-1, len(group)]) for d, group in groups.items()}
    lists = {
        name: tf.RaggedTensor.from_row_lengths(
            joined(f"{name}/values", dtype), joined(f"{name}/lengths", "int32"), validate=False
        )
        for name, dtype in ragged.items()
    }
    return matrices, lists
