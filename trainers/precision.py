"""Mixed precision: the type of the dense part's activations."""

from __future__ import annotations

import tensorflow as tf

import models  # noqa: F401  Keras 2 must be chosen before tf.keras is touched.

_POLICIES = {"off": "float32", "bfloat16": "mixed_bfloat16"}


def set_precision(mixed_precision: str) -> None:
    """Sets Keras's policy for models built from here on.

    Args:
        mixed_precision: `off` or `bfloat16`. Weights, tables, logits and losses stay float32.
    """
    tf.keras.mixed_precision.set_global_policy(_POLICIES[mixed_precision])
