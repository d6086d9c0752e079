"""Clicks as tutorials store them: one `tf.train.Example` a row, in a TFRecord file.

The numbers of a row are one feature and its ids another, which parses in half the time of one
feature for each column.

Legend: B rows of a batch, N numbers, F categories.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from benchmarks.peers.timing import Task

NUMBERS, IDS = "dense_features", "sparse_features"  # as TFRS names them
_LABEL = "label"
_SHUFFLED_BATCHES = 10

Features = dict[str, Any]


def write(task: Task, path: Path) -> tuple[int, int]:
    """Writes the rows that the task needs. Returns how many, and how many numbers each has."""
    numbers, ids, labels = (task.array(name) for name in ("numbers", "ids", "labels"))
    steps = task.warmup_steps + task.steps
    rows = len(labels) if task.epoch else min(len(labels), steps * task.batch_size)
    with tf.io.TFRecordWriter(str(path)) as writer:
        for row in zip(numbers[:rows], ids[:rows], labels[:rows], strict=True):
            writer.write(_example(*row))
    return rows, numbers.shape[1]


def _example(numbers: np.ndarray, ids: np.ndarray, label: float) -> bytes:
    feature = {
        NUMBERS: _floats(numbers.tolist()),
        IDS: tf.train.Feature(int64_list=tf.train.Int64List(value=ids.tolist())),
        _LABEL: _floats([float(label)]),
    }
    return tf.train.Example(features=tf.train.Features(feature=feature)).SerializeToString()


def _floats(values: Iterable[float]) -> tf.train.Feature:
    return tf.train.Feature(float_list=tf.train.FloatList(value=values))


def read(task: Task, path: Path, numbers: int) -> tf.data.Dataset:
    """Returns shuffled batches of `path`, without end unless epochs are timed.

    Args:
        task: The task.
        path: A file of `write`.
        numbers: How many numbers a row has, N.

    Returns:
        Pairs of features and labels (B,), float32. The features are `NUMBERS`, (B, N), float32, and
        `IDS`, by name, each (B,), int64.
    """
    categories = len(task.model["cardinalities"])
    spec = {
        NUMBERS: tf.io.FixedLenFeature([numbers], tf.float32),
        IDS: tf.io.FixedLenFeature([categories], tf.int64),
        _LABEL: tf.io.FixedLenFeature([], tf.float32),
    }

    def parse(serialized: tf.Tensor) -> tuple[Features, tf.Tensor]:
        parsed = tf.io.parse_example(serialized, spec)
        ids = dict(zip(names_of_ids(categories), tf.unstack(parsed[IDS], axis=1), strict=True))
        return {NUMBERS: parsed[NUMBERS], IDS: ids}, parsed[_LABEL]

    rows = tf.data.TFRecordDataset(str(path)).shuffle(_SHUFFLED_BATCHES * task.batch_size)
    if not task.epoch:
        rows = rows.repeat()
    batches = rows.batch(task.batch_size).map(parse, num_parallel_calls=tf.data.AUTOTUNE)
    return batches.prefetch(tf.data.AUTOTUNE)


def names_of_ids(categories: int) -> list[str]:
    """Returns the names of the features with ids."""
    return [f"id_{n:02d}" for n in range(categories)]
