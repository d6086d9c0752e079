"""Prepared dataset to batches: one path for all views, models and ranks.

    shards -> this rank's -> interleave -> shuffle blocks -> windows of blocks -> shuffle rows
           -> batches -> (resume: skip) -> pad the last, mask -> transforms -> prefetch

The order of batches depends on (seed, epoch) only, and every random choice is keyed by
(seed, epoch, position), so a run that resumes at batch k sees what an uninterrupted run sees.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import tensorflow as tf

from data.blocks import column_groups, decode_blocks
from data.dataset import PreparedDataset
from data.errors import InputError, nearest
from data.reading import Reading, dealt_shards, steps_per_epoch
from data.schema import Column

Batch = dict[str, tf.Tensor]
# Batch and a seed of shape (2,), int32, to batch. Pure: all randomness comes from the seed.
Transform = Callable[[Batch, tf.Tensor], Batch]

MASK = "mask"
WINDOW_BLOCKS = 16  # blocks whose rows are shuffled together
BLOCK_SHUFFLE_BUFFER = 64
READ_CYCLE = 4  # shards read side by side

# Each random choice folds its own number into the key, so that no two share a stream.
_SHARD_ORDER, _BLOCK_ORDER, _ROW_ORDER, _TRANSFORM = range(4)


def make_dataset(
    data: PreparedDataset,
    reading: Reading,
    transforms: Sequence[Transform] = (),
    *,
    seed: int = 0,
    epoch: int = 0,
    epochs: int = 1,
    start: int = 0,
    stride: int = 1,
    rank: int = 0,
    ranks: int = 1,
) -> tf.data.Dataset:
    """Returns the batches of some epochs, one after the other.

    Several epochs of one dataset cost less than a dataset for each: the next one's first batches
    are read while the last ones of this are trained on.

    Args:
        data: The prepared dataset.
        reading: What to read and how to batch it.
        transforms: Applied to each batch in turn, each with a seed of its own.
        seed: Seed of the order and of the transforms.
        epoch: First epoch, from 0.
        epochs: Number of epochs.
        start: First batch of the first epoch to yield; the batches before it are skipped.
        stride: Batches of an epoch from one to yield to the next; those between are skipped.
        rank: This process.
        ranks: Number of processes; together they see each row once an epoch.

    Returns:
        Dataset of dicts: each column, of shape (batch_size,) or (batch_size, max_length) padded
        with 0 at the end, and `mask` of shape (batch_size,), float32: 1 for rows, 0 for padding.
    """
    steps = steps_per_epoch(data, reading, ranks)

    # Without AutoGraph, which takes seconds and changes the type of faults of the reading.
    @tf.autograph.experimental.do_not_convert
    def batches_of(number: tf.Tensor) -> tf.data.Dataset:
        rows = _rows(data, reading, _epoch_key(seed, number), rank, ranks)
        batches = rows.rebatch(reading.batch_size).map(_padder(reading.batch_size))
        empty = tf.data.Dataset.from_tensors(_empty_batch(batches.element_spec)).repeat()
        batches = batches.concatenate(empty).take(steps).enumerate()
        batches = batches.skip(tf.where(number == epoch, tf.constant(start, tf.int64), 0))
        return batches.shard(stride, 0).map(lambda position, batch: (number, position, batch))

    @tf.autograph.experimental.do_not_convert
    def transformed(number: tf.Tensor, position: tf.Tensor, batch: Batch) -> Batch:
        batch = _unpack(batch, data, reading)
        key = _epoch_key(seed, number)
        at = tf.cast(position * ranks + rank, tf.int32)
        for index, transform in enumerate(transforms):
            batch = transform(batch, _fold(key, _TRANSFORM, at, index))
        return batch

    batches = tf.data.Dataset.range(epoch, epoch + epochs).flat_map(batches_of)
    batches = batches.map(transformed, num_parallel_calls=tf.data.AUTOTUNE)
    count = -(-(steps - start) // stride) + -(-steps // stride) * (epochs - 1)
    known = tf.data.experimental.assert_cardinality(count)
    return batches.apply(known).prefetch(tf.data.AUTOTUNE).with_options(_options())


def _options() -> tf.data.Options:
    options = tf.data.Options()
    options.deterministic = True
    # TensorFlow's tuner sleeps by the clock of the day: where that is set back while a run trains,
    # the iterator can only be freed when it has caught up (TensorFlow 2.21).
    options.autotune.enabled = False
    return options


def _epoch_key(seed: int, number: tf.Tensor) -> tf.Tensor:
    return tf.stack([tf.constant(seed, tf.int32), tf.cast(number, tf.int32)])


def _fold(key: tf.Tensor, *values: int | tf.Tensor) -> tf.Tensor:
    for value in values:
        key = tf.random.experimental.stateless_fold_in(key, value)
    return key


def _rows(
    data: PreparedDataset, reading: Reading, key: tf.Tensor, rank: int, ranks: int
) -> tf.data.Dataset:
    """Returns windows of rows: packed columns with as many rows as the window's blocks hold."""
    dealt = list(dealt_shards(data, reading, rank, ranks))
    shards = (
        tf.constant([str(data.folder / part.shard.file) for part in dealt], tf.string),
        tf.constant([part.first for part in dealt], tf.int64),
        tf.constant([part.stride for part in dealt], tf.int64),
    )
    if reading.shuffle:
        order = tf.random.experimental.stateless_shuffle(
            tf.range(len(dealt)), _fold(key, _SHARD_ORDER)
        )
        shards = tuple(tf.gather(part, order) for part in shards)
    # Said here, as the options do not reach a dataset within another.
    parallel = {"num_parallel_calls": tf.data.AUTOTUNE, "deterministic": True}
    blocks = tf.data.Dataset.from_tensor_slices(shards).interleave(
        lambda path, phase, stride: tf.data.TFRecordDataset(path).shard(stride, phase),
        cycle_length=READ_CYCLE if reading.shuffle else 1,
        **(parallel if reading.shuffle else {}),
    )
    if reading.shuffle:
        blocks = _shuffle(blocks, BLOCK_SHUFFLE_BUFFER, _fold(key, _BLOCK_ORDER))
    windows = blocks.batch(WINDOW_BLOCKS).enumerate()
    decode = _window_decoder(data, reading, key)
    return windows.map(decode, **parallel)


def _shuffle(blocks: tf.data.Dataset, buffer: int, key: tf.Tensor) -> tf.data.Dataset:
    """Shuffles by `key` alone, where `Dataset.shuffle` would mix in TensorFlow's global seed."""
    first, second = tf.unstack(tf.cast(key, tf.int64))
    shuffled = tf.raw_ops.ShuffleDataset(
        input_dataset=tf.data.experimental.to_variant(blocks),
        buffer_size=buffer,
        seed=first,
        seed2=second,
        output_types=[tf.string],
        output_shapes=[[]],
        reshuffle_each_iteration=False,
    )
    return tf.data.experimental.from_variant(shuffled, blocks.element_spec)


def _columns(data: PreparedDataset, reading: Reading) -> list[Column]:
    """Returns the columns to read, in the view's order."""
    columns = data.schema.view(reading.view).columns
    if reading.lists is None:
        return list(columns)
    known = [column.name for column in columns if column.ragged]
    for name in reading.lists:
        if name not in known:
            raise InputError(
                f"Reading.lists must name ragged columns of the view '{reading.view}'",
                received=repr(name),
                action=nearest(name, known) if known else "It has none",
            )
    return [column for column in columns if not column.ragged or column.name in reading.lists]


def _window_decoder(
    data: PreparedDataset, reading: Reading, key: tf.Tensor
) -> Callable[[tf.Tensor, tf.Tensor], Batch]:
    columns = _columns(data, reading)
    splits = [data.split(reading.view, name) for name in reading.splits]
    lengths = {c.name: max(s.longest[c.name] for s in splits) for c in columns if c.ragged}
    lengths.update(reading.max_lengths)

    def decode(position: tf.Tensor, serialized: tf.Tensor) -> Batch:
        matrices, lists = decode_blocks(serialized, columns, data.schema)
        window: dict[str, Any] = {f"packed/{dtype}": m for dtype, m in matrices.items()}
        window.update({name: ragged[:, -lengths[name] :] for name, ragged in lists.items()})
        if reading.shuffle:  # before lists are padded, as padding may be most of them
            rows = tf.shape(next(iter(matrices.values())))[0]
            seed = _fold(key, _ROW_ORDER, position)
            order = tf.random.experimental.stateless_shuffle(tf.range(rows), seed)
            window = {name: tf.gather(values, order) for name, values in window.items()}
        for name in lists:
            window[name] = window[name].to_tensor(shape=[None, lengths[name]])
        return window

    return decode


def _padder(batch_size: int) -> Callable[[Batch], Batch]:
    def pad(batch: Batch) -> Batch:
        rows = tf.shape(next(iter(batch.values())))[0]
        padded = {MASK: tf.cast(tf.range(batch_size) < rows, tf.float32)}
        for name, values in batch.items():
            filled = tf.pad(values, [[0, batch_size - rows], [0, 0]])
            padded[name] = tf.ensure_shape(filled, [batch_size, values.shape[1]])
        return padded

    return pad


def empty_like(batch: Batch) -> Batch:
    """Returns a batch of the same shapes whose rows are all padding."""
    return {name: tf.zeros_like(values) for name, values in batch.items()}


def _empty_batch(spec: dict[str, tf.TensorSpec]) -> Batch:
    return {name: tf.zeros(entry.shape, entry.dtype) for name, entry in spec.items()}


def _unpack(batch: Batch, data: PreparedDataset, reading: Reading) -> Batch:
    """Splits the packed matrices into columns."""
    unpacked = {k: v for k, v in batch.items() if not k.startswith("packed/")}
    columns = data.schema.view(reading.view).columns
    for dtype, group in column_groups(columns, data.schema).items():
        parts = tf.unstack(batch[f"packed/{dtype}"], axis=1)
        unpacked.update({column.name: part for column, part in zip(group, parts, strict=True)})
    return unpacked
