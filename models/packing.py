"""Padded sequences without their padding, for what is computed slot by slot.

Of 200 slots for each of MovieLens-1M's users nearly half are padding. Layers that look at one slot
at a time take the others alone, one after the other; attention takes sequences side by side. XLA
wants static shapes: for it, all slots are taken.

Legend: B rows, L slots, N slots that are taken.
"""

from __future__ import annotations

from collections.abc import Callable

import tensorflow as tf


class Packing:
    """Which slots of padded sequences are taken.

    Args:
        present: Shape (B, L), bool.
        is_static: Takes all slots, those that are not present too.

    Attributes:
        present: As given.
    """

    def __init__(self, present: tf.Tensor, is_static: bool) -> None:
        self.present = present
        self._is_static = is_static
        if not is_static:
            # The first slot is always taken, so that there is one where all rows are padding.
            taken = tf.concat([[True], tf.reshape(present, [-1])[1:]], axis=0)
            self._taken = taken[:, None]
            self._slots = tf.cast(tf.reshape(tf.where(taken), [-1]), tf.int32)  # (N,)
            # Of slots that are not taken, the place of the one before: any, as nobody reads them.
            self._places = tf.cumsum(tf.cast(taken, tf.int32)) - 1  # (B L,)

    def pack(self, padded: tf.Tensor) -> tf.Tensor:
        """Returns what slots hold that are taken, (N, ...), of (B, L, ...)."""
        flat = tf.reshape(padded, [-1, *padded.shape[2:]])
        if self._is_static:
            return flat

        def gradient(upstream: tf.Tensor) -> tf.Tensor:
            moved = tf.gather(upstream, self._places)
            taken = tf.reshape(self._taken, [-1] + [1] * (len(moved.shape) - 1))
            return moved * tf.cast(taken, moved.dtype)

        return _move(flat, self._slots, gradient)

    def unpack(self, packed: tf.Tensor) -> tf.Tensor:
        """Returns (B, L, ...) from (N, ...); slots that are not taken hold what others do.

        Nobody may look at those: their gradients are taken to be zero.
        """
        shape = [-1, self.present.shape[1], *packed.shape[1:]]
        if self._is_static:
            return tf.reshape(packed, shape)
        flat = _move(packed, self._places, lambda upstream: tf.gather(upstream, self._slots))
        return tf.reshape(flat, shape)

    def places(self, slots: tf.Tensor) -> tf.Tensor:
        """Returns where in (N, ...) the given slots are, for slots (B, Q) of each row: (B, Q)."""
        length = self.present.shape[1]
        flat = slots + length * tf.range(tf.shape(slots)[0])[:, None]
        return flat if self._is_static else tf.gather(self._places, flat)


def _move(
    values: tf.Tensor, places: tf.Tensor, gradient: Callable[[tf.Tensor], tf.Tensor]
) -> tf.Tensor:
    """Returns the values at `places`; TensorFlow's own gradient would sum on one thread."""

    @tf.custom_gradient
    def move(values: tf.Tensor) -> tuple[tf.Tensor, Callable[[tf.Tensor], tf.Tensor]]:
        return tf.gather(values, places), gradient

    return move(values)
