"""Dropout whose randomness comes with the batch, so that a resumed run drops the same values."""

from __future__ import annotations

import tensorflow as tf

from data.pipeline import Batch

DROPOUT_SEED = "dropout_seed"


def add_dropout_seed(batch: Batch, seed: tf.Tensor) -> Batch:
    """Adds the seed that `drop` folds, shape (2,), int32; a transform for training."""
    return {**batch, DROPOUT_SEED: seed}


class Dropout:
    """Dropout (Srivastava et al. 2014) of one pass over one batch.

    Args:
        rate: Share of values set to 0; the others are divided by 1 - rate.
        seed: Shape (2,), int32; None drops nothing.
    """

    def __init__(self, rate: float, seed: tf.Tensor | None) -> None:
        self._rate = rate if seed is not None else 0.0
        self._seed = seed
        self._calls = 0

    def __call__(self, values: tf.Tensor) -> tf.Tensor:
        """Returns values of the same shape; each call draws anew."""
        if not self._rate:
            return values
        self._calls += 1
        key = tf.random.experimental.stateless_fold_in(self._seed, self._calls)
        return tf.nn.experimental.stateless_dropout(values, self._rate, key)


NO_DROPOUT = Dropout(0.0, None)
