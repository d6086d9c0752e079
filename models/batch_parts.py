"""Parts of a batch that are taken one after the other.

Legend: B rows, P parts.
"""

from __future__ import annotations

import tensorflow as tf

from data.pipeline import Batch
from data.random_bits import GENERATOR
from models.dropout import DROPOUT_SEED


def cut(values: tf.Tensor, parts: int) -> tf.Tensor:
    """Returns values of shape (B, ...) as (P, B / P, ...)."""
    return tf.reshape(values, [parts, values.shape[0] // parts, *values.shape[1:]])


def cut_batch(batch: Batch, parts: int) -> Batch:
    """Cuts each entry of a batch; each part gets a dropout seed of its own."""
    pieces = {n: cut(values, parts) for n, values in batch.items() if n != DROPOUT_SEED}
    if DROPOUT_SEED in batch:
        fold = tf.random.experimental.stateless_fold_in
        seeds = [fold(batch[DROPOUT_SEED], part, GENERATOR) for part in range(parts)]
        pieces[DROPOUT_SEED] = tf.stack(seeds)
    return pieces
