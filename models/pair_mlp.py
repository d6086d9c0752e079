"""A multi-layer perceptron over pairs of a user and an item.

Its first layer sees [p; q]; as pairs share users and items, W_1 [p; q] is taken apart into the
user's half and the item's half, each computed once.

Legend: B rows, C items of a row, M width of a vector, H widths of the hidden layers.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import tensorflow as tf

from models.dropout import NO_DROPOUT, Dropout


class PairMLP(tf.keras.layers.Layer):
    """relu(W_L ... relu(W_1 [p; q] + b_1) ... + b_L), He et al. 2017, equation 10.

    Args:
        dim: Width M of the user's and of the item's vector.
        hidden: Widths H of the layers.
        seed: Of the initial values.
    """

    def __init__(self, dim: int, hidden: Sequence[int], seed: int) -> None:
        super().__init__(name="mlp")
        sizes = list(itertools.pairwise((2 * dim, *hidden)))
        self._kernels = [
            self.add_weight(
                f"{n}/kernel",
                size,
                initializer=tf.keras.initializers.GlorotUniform(seed=seed * 1000 + n),
                experimental_autocast=False,
            )
            for n, size in enumerate(sizes)
        ]
        self._biases = [
            self.add_weight(f"{n}/bias", size[1:], initializer="zeros", experimental_autocast=False)
            for n, size in enumerate(sizes)
        ]

    def user_half(self, user: tf.Tensor) -> tf.Tensor:
        """Returns the user's share of the first layer, bias included: (B, H[0])."""
        kernel = self._compute(self._kernels[0])
        half = tf.matmul(self._compute(user), kernel[: user.shape[-1]])
        return half + self._compute(self._biases[0])

    def item_half(self, items: tf.Tensor) -> tf.Tensor:
        """Returns the items' share of the first layer: (..., H[0])."""
        kernel = self._compute(self._kernels[0])
        return tf.tensordot(self._compute(items), kernel[items.shape[-1] :], axes=1)

    def rest(self, first: tf.Tensor, drop: Dropout = NO_DROPOUT) -> tf.Tensor:
        """Returns the last activations (..., H[-1]) from the first layer's sums (..., H[0]).

        They are of the layer's compute type, with weights in float32. `drop` is applied to the
        activations between layers.
        """
        flat = tf.nn.relu(tf.reshape(first, [-1, first.shape[-1]]))
        for kernel, bias in zip(self._kernels[1:], self._biases[1:], strict=True):
            # bias_add, as TensorFlow fuses matmul, bias_add and relu, but not `+`.
            sums = tf.nn.bias_add(tf.matmul(drop(flat), self._compute(kernel)), self._compute(bias))
            flat = tf.nn.relu(sums)
        return tf.reshape(flat, tf.concat([tf.shape(first)[:-1], [flat.shape[-1]]], axis=0))

    def _compute(self, tensor: tf.Tensor) -> tf.Tensor:
        return tf.cast(tensor, self.compute_dtype)
