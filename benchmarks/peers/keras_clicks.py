"""DLRM and Wide & Deep in plain Keras, as its tutorials would write them.

A functional model with one Embedding for each category, compiled and fitted on a TFRecord file of
one Example a row, with one optimizer, `optimizer.dense`, for all weights. Crosses are hashed by
Keras' own HashedCrossing. Run as `python -m benchmarks.peers.keras_clicks TASK.json`, with
TF_USE_LEGACY_KERAS=0 for Keras 3.

Legend: B rows, N numbers, F categories, D width of a vector, V vectors of a row.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

import tensorflow as tf

from benchmarks.peers import keras_parts, row_examples
from benchmarks.peers.row_examples import Features
from benchmarks.peers.timing import Task


class DotInteraction(tf.keras.layers.Layer):
    """The dot products of all pairs of a row's vectors."""

    def call(self, vectors: Sequence[tf.Tensor]) -> tf.Tensor:
        """Returns (B, V (V - 1) / 2) from V vectors (B, D)."""
        stacked = tf.stack(vectors, axis=1)
        dots = tf.matmul(stacked, stacked, transpose_b=True)
        count = len(vectors)
        pairs = [i * count + j for i in range(count) for j in range(i)]
        return tf.gather(tf.reshape(dots, [-1, count * count]), pairs, axis=1)


def dlrm(inputs: Features, sizes: dict[str, Any]) -> tf.Tensor:
    """Returns the logits (B, 1) of DLRM."""
    vectors = _embedded(inputs, sizes["cardinalities"], sizes["dim"])
    dense = _mlp(inputs[row_examples.NUMBERS], sizes["bottom"])
    dots = DotInteraction()([dense, *vectors])
    return _output(_mlp(tf.keras.layers.Concatenate()([dense, dots]), sizes["top"]))


def wide_deep(inputs: Features, sizes: dict[str, Any]) -> tf.Tensor:
    """Returns the logits (B, 1) of Wide & Deep."""
    vectors = _embedded(inputs, sizes["cardinalities"], sizes["dim"])
    deep = tf.keras.layers.Concatenate()([*vectors, inputs[row_examples.NUMBERS]])
    wide = _embedded(inputs, sizes["cardinalities"], 1)
    buckets, ids = sizes["cross_buckets"], list(inputs[row_examples.IDS].values())
    for left, right in sizes["crosses"]:
        crossed = tf.keras.layers.HashedCrossing(buckets)((ids[left], ids[right]))
        wide.append(tf.keras.layers.Embedding(buckets, 1)(crossed))
    return tf.keras.layers.Add()([_output(_mlp(deep, sizes["hidden"])), *wide])


def _embedded(inputs: Features, cardinalities: Sequence[int], dim: int) -> list[tf.Tensor]:
    """Returns the vectors (B, dim) of the categories."""
    return [
        tf.keras.layers.Embedding(rows, dim)(ids)
        for rows, ids in zip(cardinalities, inputs[row_examples.IDS].values(), strict=True)
    ]


def _mlp(hidden: tf.Tensor, widths: Sequence[int]) -> tf.Tensor:
    for width in widths:
        hidden = tf.keras.layers.Dense(width, activation="relu")(hidden)
    return hidden


def _output(hidden: tf.Tensor) -> tf.Tensor:
    return tf.keras.layers.Dense(1, dtype="float32")(hidden)


def make_model(task: Task, numbers: int) -> tf.keras.Model:
    """Returns the compiled model of a task, for rows of `numbers` numbers."""
    names = row_examples.names_of_ids(len(task.model["cardinalities"]))
    inputs = {
        row_examples.NUMBERS: tf.keras.Input((numbers,)),
        row_examples.IDS: {name: tf.keras.Input((), dtype="int64") for name in names},
    }
    logits = {"dlrm": dlrm, "wide_deep": wide_deep}[task.model["architecture"]]
    model = tf.keras.Model(inputs, logits(inputs, task.model))
    optimizer = tf.keras.optimizers.get(task.optimizer.dense)
    optimizer.learning_rate = task.optimizer.dense_rate
    model.compile(optimizer, tf.keras.losses.BinaryCrossentropy(from_logits=True))
    return model


if __name__ == "__main__":
    keras_parts.run(sys.argv[1], make_model, logs_means=True)
