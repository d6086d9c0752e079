"""Graphs of functions that are written in TensorFlow throughout."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import tensorflow as tf


def graph_function(function: Callable[..., Any], **options: Any) -> Any:
    """Returns `tf.function` of a function, without AutoGraph.

    AutoGraph rewrites the source of all that is called, Keras's layers included, so that Python's
    `if` and `for` may depend on tensors. None here do, and the rewriting takes most of the time in
    which a graph is made. A function of a model that needs it asks by a `tf.function` of its own.

    Args:
        function: Of tensors.
        options: Of `tf.function`, such as `input_signature` and `jit_compile`.
    """
    plain = tf.autograph.experimental.do_not_convert(function)
    return tf.function(plain, autograph=False, **options)
