"""Adam in one kernel is Keras's Adam."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

from trainers.fused_adam import FusedAdam


@pytest.mark.parametrize("decay", [None, 0.1])
def test_it_takes_the_steps_of_keras(decay: float | None) -> None:
    rng = np.random.default_rng(0)
    start = rng.normal(size=(7, 5)).astype(np.float32)
    gradients = rng.normal(size=(20, 7, 5)).astype(np.float32)
    ends = []
    for kind in (FusedAdam, tf.keras.optimizers.Adam):
        schedule = tf.keras.optimizers.schedules.PolynomialDecay(0.1, 20)
        optimizer = kind(schedule, weight_decay=decay, jit_compile=False)
        weights = tf.Variable(start)
        optimizer.build([weights])
        for gradient in gradients:
            optimizer.apply_gradients([(tf.constant(gradient), weights)])
        slots = [v.numpy() for v in optimizer.variables if v.shape == weights.shape]
        assert len(slots) == 2
        ends.append([weights.numpy(), *slots])
    assert np.abs(ends[0][0] - start).min() > 0
    for fused, keras in zip(*ends, strict=True):
        np.testing.assert_allclose(fused, keras, rtol=2e-5, atol=5e-6)
