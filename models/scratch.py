"""Rows of a table and of its slots, side by side, for TensorFlow's dense kernels to update.

Its kernels for sparse rows run on one thread, and operations one by one pass over memory a dozen
times; its dense kernels take one pass, on all threads, but want variables of their own.
"""

from __future__ import annotations

import tensorflow as tf


class Scratch:
    """Variables that hold some rows while a step updates them.

    Args:
        count: How many variables: the values, and each slot.
        dim: Width of a row.
    """

    def __init__(self, count: int, dim: int) -> None:
        self._variables = [
            tf.Variable(
                lambda: tf.zeros([0, dim]), trainable=False, dtype=tf.float32, shape=[None, dim]
            )
            for _ in range(count)
        ]

    def hold(self, *parts: tf.Tensor) -> list[tf.Variable]:
        """Returns the variables, holding rows (n, D), float32, which nobody else may read."""
        for variable, rows in zip(self._variables, parts, strict=True):
            variable.assign(rows)  # no copy: the gather that made them has no other reader
        return self._variables

    def clear(self) -> None:
        """Lets go of the rows, so that they take memory during an update only."""
        for variable in self._variables:
            variable.assign(tf.zeros([0, variable.shape[1]]))
