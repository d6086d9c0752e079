"""relu(x W + b), with the sums of the bias's gradient taken as a product.

Legend: N rows, I inputs, O outputs.
"""

from __future__ import annotations

from collections.abc import Callable

import tensorflow as tf


@tf.custom_gradient
def affine_relu(
    inputs: tf.Tensor, kernel: tf.Tensor, bias: tf.Tensor
) -> tuple[tf.Tensor, Callable[[tf.Tensor], tuple[tf.Tensor, tf.Tensor, tf.Tensor]]]:
    """Returns relu(inputs kernel + bias), (N, O).

    Args:
        inputs: Shape (N, I).
        kernel: Shape (I, O).
        bias: Shape (O,).
    """
    # bias_add, as TensorFlow fuses matmul, bias_add and relu, but not `+`.
    outputs = tf.nn.relu(tf.nn.bias_add(tf.matmul(inputs, kernel), bias))

    def gradient(upstream: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        sums = tf.raw_ops.ReluGrad(gradients=upstream, features=outputs)
        of_inputs = tf.matmul(sums, kernel, transpose_b=True)
        return of_inputs, tf.matmul(inputs, sums, transpose_a=True), _column_sums(sums)

    return outputs, gradient


@tf.custom_gradient
def bias_relu(
    sums: tf.Tensor, bias: tf.Tensor
) -> tuple[tf.Tensor, Callable[[tf.Tensor], tuple[tf.Tensor, tf.Tensor]]]:
    """Returns relu(sums + bias), (N, O), from sums (N, O)."""
    outputs = tf.nn.relu(tf.nn.bias_add(sums, bias))

    def gradient(upstream: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        of_sums = tf.raw_ops.ReluGrad(gradients=upstream, features=outputs)
        return of_sums, _column_sums(of_sums)

    return outputs, gradient


def _column_sums(values: tf.Tensor) -> tf.Tensor:
    """Returns the sums (O,) over rows (N, O); a product is the fastest way on several threads."""
    ones = tf.ones([1, tf.shape(values)[0]], values.dtype)
    return tf.matmul(ones, values)[0]
