"""Losses of one prediction: an item against all others, or against sampled ones; float32.

Legend: B rows, M targets of a row, N targets of all rows, I items, K negatives of a row.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import tensorflow as tf

_NEVER = -1e9  # finite, as weight 0 times infinity is not a number


@tf.custom_gradient
def full_softmax_loss(
    logits: tf.Tensor, targets: tf.Tensor
) -> tuple[tf.Tensor, Callable[[tf.Tensor], tuple[tf.Tensor, None]]]:
    """Returns the cross-entropy of a softmax over all items.

    TensorFlow's own runs on one thread.

    Args:
        logits: Shape (N, I), float32.
        targets: Columns of the right items, shape (N,), int32.

    Returns:
        Shape (N,).
    """
    shares = tf.nn.softmax(logits)
    largest = tf.reduce_max(logits, axis=1)
    # The largest logit's share is at least 1 / I, so that its logarithm is exact.
    log_sum = largest - tf.math.log(tf.reduce_max(shares, axis=1))
    places = tf.stack([tf.range(tf.shape(targets)[0]), targets], axis=1)

    def gradient(upstream: tf.Tensor) -> tuple[tf.Tensor, None]:
        of_logits = shares * upstream[:, None]
        return tf.tensor_scatter_nd_sub(of_logits, places, upstream), None

    return log_sum - tf.gather_nd(logits, places), gradient


def without_targets(logits: tf.Tensor, negatives: tf.Tensor, targets: tf.Tensor) -> tf.Tensor:
    """Takes a target out of its own negatives: its logits there become too low to count.

    Args:
        logits: Of the negatives, shape (B, M, K).
        negatives: Ids that the targets of a row share, shape (B, K).
        targets: Ids, shape (B, M).
    """
    return tf.where(negatives[:, None, :] == targets[..., None], _NEVER, logits)


def sampled_softmax_loss(positive: tf.Tensor, negative: tf.Tensor) -> tf.Tensor:
    """Returns the cross-entropy of a softmax over a target and its negatives.

    Negatives drawn uniformly need no correction by their probability: all have the same.

    Args:
        positive: Logits of the targets, shape (B, M), float32.
        negative: Logits of the negatives, shape (B, M, K), float32.

    Returns:
        Shape (B, M).
    """
    everything = tf.concat([positive[..., None], negative], axis=-1)
    return tf.reduce_logsumexp(everything, axis=-1) - positive


def gbce_beta(negatives: int, items: int, t: float) -> float:
    """Returns the power of the positive's probability (Petrov & Macdonald 2023, equation 21).

    Sampling K of I - 1 negatives makes a model trained by binary cross-entropy overconfident; at
    t = 1 the power undoes that, at t = 0 it is 1, plain binary cross-entropy.

    Args:
        negatives: Sampled negatives K.
        items: Number of items I.
        t: Calibration in [0, 1].
    """
    rate = negatives / (items - 1)
    return rate * ((1 - 1 / rate) * t + 1 / rate)


def gbce_loss(positive: tf.Tensor, negative: tf.Tensor, beta: float) -> tf.Tensor:
    """Returns -(log sigmoid(positive)^beta + sum of log(1 - sigmoid(negative))).

    Args:
        positive: Logits of the targets, shape (B, M), float32.
        negative: Logits of the negatives, shape (B, M, K), float32.
        beta: From `gbce_beta`.

    Returns:
        Shape (B, M).
    """
    return beta * tf.nn.softplus(-positive) + tf.reduce_sum(tf.nn.softplus(negative), axis=-1)


def uninformed_target_loss(loss: str, items: int, negatives: int, t: float) -> float:
    """Returns the loss of a target where all items score 0.

    Args:
        loss: `full`, `sampled` or `gbce`.
        items: Number of items I.
        negatives: Sampled negatives K, of the latter two.
        t: Calibration of `gbce`.
    """
    if loss == "full":
        return math.log(items)
    if loss == "sampled":
        return math.log(1 + negatives)
    return (gbce_beta(negatives, items, t) + negatives) * math.log(2)
