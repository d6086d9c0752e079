"""The update of some rows of a table, in float32 or rounded to bfloat16."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import tensorflow as tf

from data.random_bits import random_bits


class RowGradients(NamedTuple):
    """What this rank has to update of a table, from the batches of all ranks.

    Attributes:
        rows: Row numbers without repeats, shape (n,), int32 or int64.
        gradients: Means over the ranks, shape (n, dim), float32.
        values: The rows before the update, shape (n, dim), float32; None where they are to be read.
    """

    rows: tf.Tensor
    gradients: tf.Tensor
    values: tf.Tensor | None = None


@dataclass(frozen=True)
class RowUpdate:
    """What one step asks of a table.

    Attributes:
        rows: Row numbers without repeats, shape (n,), int32 or int64.
        gradients: Shape (n, dim), float32, summed over the batch: a non-linear rule applied to
            one id's gradients in turn would differ.
        learning_rate: Scalar, float32.
        step: Number of this update, from 1, scalar int64.
        values: The rows before it, shape (n, dim), float32; None where they are to be read.
    """

    rows: tf.Tensor
    gradients: tf.Tensor
    learning_rate: tf.Tensor
    step: tf.Tensor
    values: tf.Tensor | None = None


Slots = dict[str, tf.Variable]


def subtract_rows(table: tf.Variable, update: RowUpdate, step: tf.Tensor) -> None:
    """Subtracts `step`, of shape (n, dim), float32, from the updated rows of a table.

    Read, subtracted and written, as TensorFlow writes rows on all threads but subtracts on one.
    Tables of bfloat16 are rounded stochastically, up or down by chance so that the mean is right
    (Gupta et al. 2015, section 3): to the nearest, small steps would be lost for ever.
    """
    values = update.values
    if values is None:
        values = tf.cast(tf.gather(table, update.rows), tf.float32)
    values -= step
    if table.dtype != tf.float32:
        values = round_stochastically(values, update.step)
    table.scatter_update(tf.IndexedSlices(values, update.rows))


def round_stochastically(values: tf.Tensor, step: tf.Tensor) -> tf.Tensor:
    """Returns values (n, dim), float32, as bfloat16.

    Args:
        values: To round to one of both neighbours, with a chance that makes the mean exact.
        step: Seed of the chances, scalar, int64.
    """
    seed = tf.stack([tf.cast(step, tf.int32), 0])
    # A bfloat16 is the upper half of a float32: 16 random bits below it carry or do not.
    chance = tf.cast(random_bits(tf.shape(values), seed, tf.uint16), tf.uint32)
    bits = tf.bitcast(values, tf.uint32) + chance
    upper = tf.bitwise.bitwise_and(bits, tf.constant(0xFFFF0000, tf.uint32))
    return tf.cast(tf.bitcast(upper, tf.float32), tf.bfloat16)
