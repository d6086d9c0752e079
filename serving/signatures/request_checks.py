"""What a request must hold; checked in the graph, so that every server refuses the same."""

from __future__ import annotations

import tensorflow as tf

MAX_K = 10_000  # a longer list is refused, as one request could take all memory


def check_rows(**inputs: tf.Tensor) -> None:
    """Checks that all inputs have as many rows as the first, in the graph."""
    (first, tensor), *others = inputs.items()
    rows = tf.shape(tensor)[0]
    for name, other in others:
        message = f"{first} and {name} must have equally many rows"
        tf.debugging.assert_equal(tf.shape(other)[0], rows, message=message)


def check_k(k: tf.Tensor) -> None:
    """Checks that every k lies between 1 and `MAX_K`, in the graph."""
    tf.debugging.assert_positive(k, message="k must be at least 1")
    tf.debugging.assert_less_equal(k, MAX_K, message=f"k must be at most {MAX_K}")
