"""How feature vectors meet: DLRM's dot products and DCN-v2's cross network.

Legend: F vectors of a row, D their width, W width of a row, R rank.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import tensorflow as tf


@tf.custom_gradient
def dot_interaction(vectors: tf.Tensor) -> tuple[tf.Tensor, Callable[[tf.Tensor], tf.Tensor]]:
    """Returns the dot products of all pairs of different vectors (Naumov et al. 2019, 2.1.3).

    The gradient is one product with the symmetric matrix S of the dots' gradients, d V = S V;
    TensorFlow's own would transpose, sum by segment and multiply twice. Rows of the triangle are
    copied whole, as gathering its elements takes longer than the products.

    Args:
        vectors: Shape (..., F, D).

    Returns:
        Shape (..., F (F - 1) / 2): the Gram matrix below its diagonal, row by row.
    """
    count = vectors.shape[-2]
    gram = tf.matmul(vectors, vectors, transpose_b=True)
    flat = tf.reshape(gram, tf.concat([tf.shape(gram)[:-2], [count * count]], axis=0))

    def gradient(upstream: tf.Tensor) -> tf.Tensor:
        return tf.matmul(_symmetric(upstream, count), vectors)

    rows = [flat[..., row * count : row * count + row] for row in range(max(count, 1))]
    return tf.concat(rows, axis=-1), gradient


def _symmetric(dots: tf.Tensor, count: int) -> tf.Tensor:
    """Returns the matrix (..., F, F) that holds each pair's value twice, and a diagonal of zeros.

    Values are gathered by column: whole columns of all rows are copied, not elements.
    """
    pairs = count * (count - 1) // 2
    places = np.full((count, count), pairs)  # the column of zeros that is appended
    below = np.tril_indices(count, -1)
    places[below] = places[below[::-1]] = np.arange(pairs)
    columns = tf.pad(tf.transpose(tf.reshape(dots, [-1, pairs])), [[0, 1], [0, 0]])
    matrices = tf.transpose(tf.gather(columns, places.reshape(-1)))
    return tf.reshape(matrices, tf.concat([tf.shape(dots)[:-1], [count, count]], axis=0))


class CrossNetwork(tf.keras.layers.Layer):
    """x_{l+1} = x_0 * (W_l x_l + b_l) + x_l (Wang et al. 2021, DCN-v2, equation 1).

    Args:
        width: Width W of a row.
        layers: Number of layers.
        rank: R of W_l = U_l V_l^T (equation 2); 0 for a full matrix.
        seed: Of the initial values.
    """

    def __init__(self, width: int, layers: int, rank: int, seed: int) -> None:
        super().__init__(name="cross", autocast=False)
        shapes = [(width, rank), (rank, width)] if rank else [(width, width)]
        self._kernels = [
            [
                self.add_weight(
                    f"{layer}/kernel_{n}",
                    shape,
                    initializer=tf.keras.initializers.GlorotUniform(
                        seed=seed * 1000 + 10 * layer + n
                    ),
                    experimental_autocast=False,
                )
                for n, shape in enumerate(shapes)
            ]
            for layer in range(layers)
        ]
        self._biases = [
            self.add_weight(
                f"{layer}/bias", (width,), initializer="zeros", experimental_autocast=False
            )
            for layer in range(layers)
        ]

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        """Returns (N, W) from rows (N, W), of the layer's compute type."""
        first = self._compute(inputs)
        values = first
        for kernels, bias in zip(self._kernels, self._biases, strict=True):
            mixed = values
            for kernel in kernels:
                mixed = tf.matmul(mixed, self._compute(kernel))
            values = first * tf.nn.bias_add(mixed, self._compute(bias)) + values
        return values

    def _compute(self, tensor: tf.Tensor) -> tf.Tensor:
        return tf.cast(tensor, self.compute_dtype)
