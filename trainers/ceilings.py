"""What this machine can do at most, measured: a product of matrices, and streaming memory."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass

import tensorflow as tf

_SIZE = 2_048  # rows and columns of the matrices: 17 GFLOP a product
_STREAMED = 2**28  # bytes of a vector, far more than a cache holds
_TIMES = 7


@dataclass(frozen=True)
class Ceilings:
    """Measured ceilings.

    Attributes:
        flops: Floating-point operations a second of a product of two square matrices.
        streamed: Bytes a second that adding one large vector to another reads and writes.
    """

    flops: float
    streamed: float


def measure_ceilings(dtype: str) -> Ceilings:
    """Measures both; takes about a second or two.

    Args:
        dtype: Type of the matrices, such as `float32`.
    """
    left = tf.cast(tf.random.stateless_normal([_SIZE, _SIZE], [1, 2]), dtype)
    product = tf.function(lambda: tf.matmul(left, left))
    source, target = tf.zeros([_STREAMED // 4]), tf.Variable(tf.ones([_STREAMED // 4]))
    # In place, where a copy would ask the system for memory first.
    add = tf.function(lambda: target.assign_add(source))
    return Ceilings(2 * _SIZE**3 / _median_seconds(product), 3 * _STREAMED / _median_seconds(add))


def _median_seconds(function: Callable[[], object]) -> float:
    function()
    seconds = []
    for _ in range(_TIMES):
        started = time.perf_counter()
        function()
        tf.test.experimental.sync_devices()
        seconds.append(time.perf_counter() - started)
    return statistics.median(seconds)
