"""The two terms of Mult-VAE's loss.

Liang et al., "Variational Autoencoders for Collaborative Filtering", WWW 2018, section 2.2.1.

Legend: B rows (users), I real items, Z width of the latent vector.
"""

from __future__ import annotations

import tensorflow as tf


def multinomial_loss(logits: tf.Tensor, counts: tf.Tensor) -> tf.Tensor:
    """Returns -sum_i x_i log softmax_i(logits) of each row: (B,), float32.

    Args:
        logits: Of the real items, (B, I), float32.
        counts: How often each row has each of them, x, (B, I), float32.
    """
    total = tf.reduce_sum(counts, axis=1)
    return total * tf.reduce_logsumexp(logits, axis=1) - tf.reduce_sum(logits * counts, axis=1)


def kl_to_standard_normal(mean: tf.Tensor, log_variance: tf.Tensor) -> tf.Tensor:
    """Returns KL(N(mean, variance) || N(0, 1)) of each row: (B,), from (B, Z)."""
    terms = tf.exp(log_variance) + tf.square(mean) - 1.0 - log_variance
    return 0.5 * tf.reduce_sum(terms, axis=1)
