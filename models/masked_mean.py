"""Means over the rows of a batch, of which some may be padding."""

from __future__ import annotations

import tensorflow as tf


def masked_mean(values: tf.Tensor, mask: tf.Tensor) -> tf.Tensor:
    """Returns the sum over rows with mask 1, divided by the static number of rows.

    Args:
        values: Shape (batch,) or (batch, C), averaged over C.
        mask: Shape (batch,), float32.
    """
    values = tf.cast(values, tf.float32)
    if values.shape.rank > 1:
        values = tf.reduce_mean(values, axis=1)
    return tf.reduce_sum(values * mask) / float(mask.shape[0])
