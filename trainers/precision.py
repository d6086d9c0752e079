"""Mixed precision: the type of the dense part's activations in training."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import tensorflow as tf

import models  # noqa: F401  Keras 2 must be chosen before tf.keras is touched.

_POLICIES = {"off": "float32", "bfloat16": "mixed_bfloat16", "float16": "mixed_float16"}


@contextmanager
def precision(mixed_precision: str) -> Iterator[None]:
    """Builds models of this precision within the block.

    Only training is mixed: the final evaluation and the export build the model in float32, so that
    a served score does not depend on how the matrices of a batch are cut.

    Args:
        mixed_precision: `off`, `bfloat16` or `float16`. Weights, tables, logits and losses stay
            float32.
    """
    previous = tf.keras.mixed_precision.global_policy()
    tf.keras.mixed_precision.set_global_policy(_POLICIES[mixed_precision])
    try:
        yield
    finally:
        tf.keras.mixed_precision.set_global_policy(previous)
