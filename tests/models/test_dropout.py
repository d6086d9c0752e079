"""Dropout keyed by the batch."""

from __future__ import annotations

import numpy as np
import tensorflow as tf

from models.dropout import Dropout


def test_drops_its_share_and_keeps_the_mean() -> None:
    drop = Dropout(0.25, tf.constant([3, 4]))
    dropped = drop(tf.ones([200, 100])).numpy()
    assert set(np.unique(dropped)) == {0.0, np.float32(1 / 0.75)}
    assert abs((dropped == 0).mean() - 0.25) < 0.01
    again = drop(tf.ones([200, 100])).numpy()
    assert (again != dropped).any()


def test_without_a_seed_nothing_is_dropped() -> None:
    assert Dropout(0.9, None)(tf.ones([5])).numpy().tolist() == [1.0] * 5


def test_xla_drops_the_same_values() -> None:
    def dropped() -> tf.Tensor:
        drop = Dropout(0.3, tf.constant([3, -4]))
        return drop(drop(tf.ones([7, 11])))

    compiled = tf.function(dropped, jit_compile=True)()
    np.testing.assert_allclose(compiled, dropped(), rtol=1e-6)
