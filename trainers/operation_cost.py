"""What a graph computes and moves, counted from the shapes of its operations."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import tensorflow as tf

_PRODUCTS = ("MatMul", "BatchMatMul", "BatchMatMulV2", "BatchMatMulV3")
_FREE = ("Reshape", "Identity", "Squeeze", "ExpandDims", "Const", "Placeholder", "Shape")


@dataclass(frozen=True)
class GraphCost:
    """The cost of one run of a graph.

    Attributes:
        flops: Floating-point operations of its products of matrices: two a multiplication. The
            rest is element-wise and hardly counts in a model that is limited by arithmetic.
        moved: Bytes that its operations read and write if none is fused with another.
    """

    flops: float
    moved: float


def graph_cost(graph: tf.Graph) -> GraphCost:
    """Counts a function's graph, the functions that it calls included.

    Dimensions that the graph leaves open count as 1; a loop's body counts once.
    """
    flops = moved = 0.0
    for operation in _operations(graph):
        sizes = [_bytes(tensor) for tensor in operation.outputs]
        if operation.type in _PRODUCTS:
            flops += _product_flops(operation)
        if operation.type not in _FREE:
            moved += sum(sizes) + sum(_bytes(tensor) for tensor in operation.inputs)
    return GraphCost(flops, moved)


def _operations(graph: tf.Graph) -> Iterator[tf.Operation]:
    yield from graph.get_operations()
    functions = graph._functions  # all that are called, at any depth
    for function in functions.values():
        inner = getattr(function, "graph", None)
        if inner is not None:
            yield from inner.get_operations()


def _product_flops(operation: tf.Operation) -> float:
    left = operation.inputs[0].shape
    transposed = "transpose_a" if operation.type == "MatMul" else "adj_x"
    summed = left[-2] if operation.get_attr(transposed) else left[-1]
    return 2.0 * _count(operation.outputs[0].shape) * (summed or 1)


def _bytes(tensor: tf.Tensor) -> float:
    if tensor.dtype in (tf.resource, tf.variant, tf.string):
        return 0.0
    return _count(tensor.shape) * tensor.dtype.size


def _count(shape: tf.TensorShape) -> float:
    if shape.rank is None:
        return 1.0
    return float(math.prod(dim or 1 for dim in shape))
