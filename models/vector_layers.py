"""Layers of a Transformer that look at one vector at a time."""

from __future__ import annotations

import tensorflow as tf

_EPSILON = 1e-6


class Norm(tf.keras.layers.Layer):
    """Layer normalisation (Ba et al. 2016) of vectors (..., dim), in float32."""

    def __init__(self, dim: int, name: str) -> None:
        super().__init__(name=name, autocast=False)
        keep = {"experimental_autocast": False}
        self.gain = self.add_weight("gain", (dim,), initializer="ones", **keep)
        self.bias = self.add_weight("bias", (dim,), initializer="zeros", **keep)

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        """Returns vectors of the compute type."""
        inputs = tf.cast(inputs, tf.float32)
        centred = inputs - tf.reduce_mean(inputs, axis=-1, keepdims=True)
        variance = tf.reduce_mean(tf.square(centred), axis=-1, keepdims=True)
        normed = centred * tf.math.rsqrt(variance + _EPSILON) * self.gain + self.bias
        return tf.cast(normed, self.compute_dtype)


class Linear(tf.keras.layers.Layer):
    """x W + b on vectors (..., I), in the compute type.

    Args:
        sizes: Widths of input and output, (I, O).
        stddev: Standard deviation of the initial W.
        seed: Of the initial W.
        name: Name of the layer.
    """

    def __init__(self, sizes: tuple[int, int], stddev: float, seed: int, name: str) -> None:
        super().__init__(name=name)
        start = tf.keras.initializers.TruncatedNormal(stddev=stddev, seed=seed)
        keep = {"experimental_autocast": False}
        self.kernel = self.add_weight("kernel", sizes, initializer=start, **keep)
        self.bias = self.add_weight("bias", sizes[1:], initializer="zeros", **keep)

    def call(self, inputs: tf.Tensor, left: int = 0, right: int | None = None) -> tf.Tensor:
        """Returns columns `left` to `right` of the output."""
        kernel = tf.cast(self.kernel[:, left:right], self.compute_dtype)
        bias = tf.cast(self.bias[left:right], self.compute_dtype)
        flat = tf.reshape(tf.cast(inputs, self.compute_dtype), [-1, inputs.shape[-1]])
        outputs = tf.nn.bias_add(tf.matmul(flat, kernel), bias)
        return tf.reshape(outputs, [-1, *inputs.shape[1:-1], outputs.shape[-1]])
