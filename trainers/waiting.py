"""How long training waits for its input, measured inside the graph."""

from __future__ import annotations

import tensorflow as tf

from data.pipeline import Batch


def wait_for_next(
    batches: tf.data.Iterator, after: list[tf.Tensor], received: tf.Variable
) -> tuple[Batch, tf.Tensor]:
    """Takes the next batch. Returns it and the seconds until it came, float64.

    Args:
        batches: The iterator.
        after: Results of the step before, until which no time is lost.
        received: Scalar, int64: is raised by one when it has come.
    """
    with tf.control_dependencies(after):
        began = tf.timestamp()
    with tf.control_dependencies([began]):
        batch = batches.get_next()
    with tf.control_dependencies(tf.nest.flatten(batch)):
        received.assign_add(1)
        return batch, tf.timestamp() - began
