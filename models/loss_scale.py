"""Dynamic loss scaling, without which the small gradients of float16 would be zero.

Micikevicius et al., "Mixed Precision Training", ICLR 2018, section 3.2: the loss is multiplied by a
scale that halves when a gradient is no longer finite, and doubles after many steps in which all
were.
"""

from __future__ import annotations

import tensorflow as tf

_FIRST = 2.0**15
_LARGEST = 2.0**24
_GROW_AFTER = 2_000  # steps without an overflow


class LossScale(tf.Module):
    """The scale and its count of good steps; both belong to a checkpoint."""

    def __init__(self) -> None:
        super().__init__(name="loss_scale")
        self._scale = tf.Variable(_FIRST, trainable=False, name="scale")
        self._good_steps = tf.Variable(0, trainable=False, dtype=tf.int64, name="good_steps")

    def value(self) -> tf.Tensor:
        """Returns what the loss is multiplied by: scalar, float32."""
        return self._scale.read_value()

    def update(self, finite: tf.Tensor) -> None:
        """Counts a step: `finite` says whether all of its gradients were."""
        good = tf.where(finite, self._good_steps + 1, 0)
        grows = good >= _GROW_AFTER
        kept = tf.where(grows, tf.minimum(self._scale * 2.0, _LARGEST), self._scale)
        self._scale.assign(tf.where(finite, kept, tf.maximum(self._scale / 2.0, 1.0)))
        self._good_steps.assign(tf.where(grows, tf.zeros_like(good), good))
