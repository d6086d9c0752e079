"""What a request must hold; checked in the graph, so that every server refuses the same.

A check alone may run after what it is to prevent: make that depend on it by
`tf.control_dependencies`.
"""

from __future__ import annotations

import tensorflow as tf

MAX_K = 10_000  # a longer list is refused, as one request could take all memory
# More rows are refused likewise, as each takes a score of every item. A batch of several requests
# counts as one: by default TF Serving and the local server put at most 1,000 rows together.
MAX_ROWS = 1_024


def check_rows(**inputs: tf.Tensor) -> list[tf.Operation]:
    """Returns checks that all inputs have as many rows as the first."""
    (first, tensor), *others = inputs.items()
    rows = tf.shape(tensor)[0]
    checks = []
    for name, other in others:
        message = f"{first} and {name} must have equally many rows"
        checks.append(tf.debugging.assert_equal(tf.shape(other)[0], rows, message=message))
    return checks


def check_few_rows(name: str, tensor: tf.Tensor) -> tf.Operation:
    """Returns a check that an input has at most `MAX_ROWS` rows."""
    message = f"{name} must have at most {MAX_ROWS} rows, as each is scored on all items"
    return tf.debugging.assert_less_equal(tf.shape(tensor)[0], MAX_ROWS, message=message)


def check_k(k: tf.Tensor) -> list[tf.Operation]:
    """Returns checks that every k lies between 1 and `MAX_K`."""
    return [
        tf.debugging.assert_positive(k, message="k must be at least 1"),
        tf.debugging.assert_less_equal(k, MAX_K, message=f"k must be at most {MAX_K}"),
    ]
