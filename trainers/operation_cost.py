"""What a call computes and moves, counted from the shapes of the operations that it takes."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import tensorflow as tf
from tensorflow.python.framework import op_callbacks  # what tf.debugging's dumps are made with

_PRODUCTS = ("MatMul", "BatchMatMul", "BatchMatMulV2", "BatchMatMulV3")
_FREE = ("Reshape", "Identity", "Squeeze", "ExpandDims", "Const", "Shape")


@dataclass
class OperationCost:
    """The cost of a call.

    Attributes:
        flops: Floating-point operations of its products of matrices: two a multiplication. The
            rest is element-wise and hardly counts in a model that is limited by arithmetic.
        moved: Bytes that its operations read and write if none is fused with another.
    """

    flops: float = 0.0
    moved: float = 0.0


def operation_cost(call: Callable[[], object]) -> OperationCost:
    """Calls a function, with all functions that it calls, operation by operation, and counts.

    Not from a graph, whose shapes are open where the values decide how much is computed.
    """
    cost = OperationCost()

    def count(
        kind: str | bytes,
        inputs: Sequence[tf.Tensor],
        attributes: Sequence[Any],
        outputs: Sequence[tf.Tensor],
        name: str | None = None,
        graph: tf.Graph | None = None,
    ) -> None:
        del name, graph
        kind = tf.compat.as_str(kind)
        if kind in _PRODUCTS:
            cost.flops += _product_flops(kind, inputs[0], attributes, outputs[0])
        if kind not in _FREE:
            cost.moved += sum(_bytes(tensor) for tensor in (*inputs, *outputs))

    were_eager = tf.config.functions_run_eagerly()
    tf.config.run_functions_eagerly(True)
    op_callbacks.add_op_callback(count)
    try:
        call()
    finally:
        op_callbacks.remove_op_callback(count)
        tf.config.run_functions_eagerly(were_eager)
    return cost


def _product_flops(
    kind: str, left: tf.Tensor, attributes: Sequence[Any], product: tf.Tensor
) -> float:
    named = dict(zip(attributes[::2], attributes[1::2], strict=True))
    transposed = named["transpose_a" if kind == "MatMul" else "adj_x"]
    summed = left.shape[-2] if transposed else left.shape[-1]
    return 2.0 * math.prod(product.shape) * summed


def _bytes(tensor: tf.Tensor) -> float:
    if tensor.dtype in (tf.resource, tf.variant, tf.string):
        return 0.0
    return float(math.prod(tensor.shape)) * tensor.dtype.size
