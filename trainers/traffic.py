"""Bytes that a rank sends and time that it spends in collectives, counted while it trains."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

import tensorflow as tf

from models.communicator import Traffic

Result = TypeVar("Result")


class TrafficCounter:
    """Counts in variables, so that collectives within a `tf.function` count each time they run."""

    def __init__(self) -> None:
        with tf.device("cpu"):
            self._sent, self._seconds = (
                tf.Variable(0.0, dtype=tf.float64, trainable=False) for _ in range(2)
            )

    def run(
        self, inputs: Sequence[tf.Tensor], sent: tf.Tensor, collective: Callable[[], Result]
    ) -> Result:
        """Returns what a collective returns.

        Args:
            inputs: What it waits for.
            sent: Bytes that it sends.
            collective: Calls it.
        """
        with tf.control_dependencies(list(inputs)):
            began = tf.timestamp()
        with tf.control_dependencies([began]):
            result = collective()
        with tf.control_dependencies(tf.nest.flatten(result)):
            self._seconds.assign_add(tf.timestamp() - began)
        self._sent.assign_add(tf.cast(sent, tf.float64))
        return result

    def take(self) -> Traffic:
        """Returns what was counted, and begins anew."""
        found = Traffic(float(self._sent.numpy()), float(self._seconds.numpy()))
        self._sent.assign(0.0)
        self._seconds.assign(0.0)
        return found


def size_of(tensor: tf.Tensor) -> tf.Tensor:
    """Returns a tensor's bytes, scalar, float64."""
    return tf.cast(tf.size(tensor, tf.int64) * tensor.dtype.size, tf.float64)
