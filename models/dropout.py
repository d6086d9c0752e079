"""Dropout whose randomness comes with the batch, so that a resumed run drops the same values."""

from __future__ import annotations

import tensorflow as tf

from data.pipeline import Batch
from data.random_bits import GENERATOR, random_bits

DROPOUT_SEED = "dropout_seed"


def add_dropout_seed(batch: Batch, seed: tf.Tensor) -> Batch:
    """Adds the seed that `drop` folds, shape (2,), int32; a transform for training."""
    return {**batch, DROPOUT_SEED: seed}


class Dropout:
    """Dropout (Srivastava et al. 2014) of one pass over one batch.

    Args:
        rate: Share of values set to 0, rounded to a multiple of 1/256: a random byte a value is
            enough, and random numbers cost most of it. The others are divided by 1 - that share.
        seed: Shape (2,), int32; None drops nothing.
    """

    def __init__(self, rate: float, seed: tf.Tensor | None) -> None:
        # At least 1 drops something, at most 255 keeps something.
        self._below = min(max(round(rate * 256), 1), 255) if rate and seed is not None else 0
        self._seed = seed
        self._calls = 0

    def __call__(self, values: tf.Tensor) -> tf.Tensor:
        """Returns values of the same shape; each call draws anew."""
        if not self._below:
            return values
        self._calls += 1
        key = tf.random.experimental.stateless_fold_in(self._seed, self._calls, GENERATOR)
        kept = random_bits(tf.shape(values), key, tf.uint8) >= self._below
        return tf.where(kept, values * (256 / (256 - self._below)), tf.zeros_like(values))


NO_DROPOUT = Dropout(0.0, None)
