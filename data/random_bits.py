"""Random bytes and halves: enough for a choice by chance, and random numbers cost most of it."""

from __future__ import annotations

import tensorflow as tf

GENERATOR = "philox"  # by default XLA picks another one, and would draw other values


def random_bits(shape: tf.Tensor, seed: tf.Tensor, dtype: tf.DType) -> tf.Tensor:
    """Returns uniform random integers over all of a type's range.

    Args:
        shape: Shape of the result.
        seed: Shape (2,), integers.
        dtype: `tf.uint8` or `tf.uint16`.
    """
    size = tf.reduce_prod(shape)
    per_word = tf.uint32.size // dtype.size
    words = tf.random.stateless_uniform(
        [(size + per_word - 1) // per_word], seed, None, None, tf.uint32, alg=GENERATOR
    )
    return tf.reshape(tf.reshape(tf.bitcast(words, dtype), [-1])[:size], shape)
