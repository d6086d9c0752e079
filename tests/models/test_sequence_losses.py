"""Losses of one prediction against NumPy."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

from models.sequence_losses import (
    full_softmax_loss,
    gbce_beta,
    gbce_loss,
    sampled_softmax_loss,
    without_targets,
)


def test_gbce_has_the_power_of_its_paper() -> None:
    assert gbce_beta(256, 3417, 0.0) == pytest.approx(1.0)
    assert gbce_beta(256, 3417, 1.0) == pytest.approx(256 / 3416)
    assert gbce_beta(256, 3417, 0.75) == pytest.approx(0.25 + 0.75 * 256 / 3416)


def test_the_softmax_over_all_items_equals_tensorflows_own_with_its_gradient() -> None:
    rng = np.random.default_rng(3)
    spread = np.array([[1.0], [30.0], [200.0], [0.0]])  # the third row's shares vanish
    logits = tf.constant(rng.normal(size=(4, 7)) * spread, tf.float32)
    targets, upstream = tf.constant([6, 0, 3, 2]), tf.constant([0.5, 2.0, -1.0, 0.0])
    found = []
    for loss in (
        full_softmax_loss,
        lambda x, y: tf.nn.sparse_softmax_cross_entropy_with_logits(y, x),
    ):
        with tf.GradientTape() as tape:
            tape.watch(logits)
            losses = loss(logits, targets)
        found.append((losses, tape.gradient(losses, logits, output_gradients=upstream)))
    (ours, of_ours), (theirs, of_theirs) = found
    np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(of_ours, of_theirs, rtol=1e-5, atol=1e-6)


def test_sampled_losses_equal_numpy() -> None:
    rng = np.random.default_rng(2)
    positive, negative = rng.normal(size=(2, 3)), rng.normal(size=(2, 3, 5))
    as_tensors = tf.constant(positive, tf.float32), tf.constant(negative, tf.float32)

    def sigmoid(x: np.ndarray) -> np.ndarray:
        return 1 / (1 + np.exp(-x))

    expected = -np.log(sigmoid(positive) ** 0.3) - np.log(1 - sigmoid(negative)).sum(-1)
    np.testing.assert_allclose(gbce_loss(*as_tensors, 0.3), expected, rtol=1e-5)
    share = np.exp(positive) / (np.exp(positive) + np.exp(negative).sum(-1))
    np.testing.assert_allclose(sampled_softmax_loss(*as_tensors), -np.log(share), rtol=1e-5)


def test_a_target_among_its_negatives_counts_for_nothing() -> None:
    positive = tf.constant([[1.0, 2.0]])
    negative = tf.constant([[[0.5, 3.0], [0.5, 3.0]]])
    kept = without_targets(negative, tf.constant([[7, 8]]), tf.constant([[8, 9]]))
    for loss in (sampled_softmax_loss, lambda p, n: gbce_loss(p, n, 0.5)):
        found = loss(positive, kept).numpy()[0]
        alone = loss(positive[:, :1], negative[:, :1, :1]).numpy()[0, 0]
        both = loss(positive[:, 1:], negative[:, 1:]).numpy()[0, 0]
        np.testing.assert_allclose(found, [alone, both], rtol=1e-6)
