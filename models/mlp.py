"""A multi-layer perceptron whose first layer can be summed from shares of its inputs.

The candidates of a row share its user, so W_1 [x; y] is taken apart into W_1's share of x, computed
once a row, and that of y.

Legend: K inputs, H widths of the layers.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import tensorflow as tf

from models.affine import affine_relu, bias_relu
from models.dropout import NO_DROPOUT, Dropout


class MLP(tf.keras.layers.Layer):
    """relu(W_L ... relu(W_1 x + b_1) ... + b_L).

    Activations are of the layer's compute type, with weights and sums in float32.

    Args:
        inputs: Width K.
        hidden: Widths H, at least one.
        seed: Of the initial values.
        name: Of the layer.
    """

    def __init__(self, inputs: int, hidden: Sequence[int], seed: int, name: str) -> None:
        super().__init__(name=name, autocast=False)
        sizes = list(itertools.pairwise((inputs, *hidden)))
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

    def call(self, inputs: tf.Tensor, drop: Dropout | None = None) -> tf.Tensor:
        """Returns the last activations (..., H[-1]) from inputs (..., K)."""
        return self.rest(self.share(inputs, 0), drop)

    def share(self, inputs: tf.Tensor, start: int) -> tf.Tensor:
        """Returns the first layer's share, without bias, of some inputs.

        Args:
            inputs: Shape (..., k), inputs `start` to `start` + k.
            start: Where they start.

        Returns:
            Shape (..., H[0]).
        """
        kernel = self._compute(self._kernels[0])
        if inputs.shape[-1] < kernel.shape[0]:  # the gradient of a slice fills the rest with zeros
            kernel = kernel[start : start + inputs.shape[-1]]
        return tf.tensordot(self._compute(inputs), kernel, axes=1)

    def rest(self, first: tf.Tensor, drop: Dropout | None = None) -> tf.Tensor:
        """Returns the last activations (..., H[-1]) from the first layer's sums (..., H[0]).

        `drop` is applied to the activations of every layer.
        """
        drop = drop or NO_DROPOUT
        flat = tf.reshape(first, [-1, first.shape[-1]])
        flat = drop(bias_relu(flat, self._compute(self._biases[0])))
        for kernel, bias in zip(self._kernels[1:], self._biases[1:], strict=True):
            flat = drop(affine_relu(flat, self._compute(kernel), self._compute(bias)))
        return tf.reshape(flat, tf.concat([tf.shape(first)[:-1], [flat.shape[-1]]], axis=0))

    def _compute(self, tensor: tf.Tensor) -> tf.Tensor:
        return tf.cast(tensor, self.compute_dtype)
