"""Bounds of the dimensions that a graph leaves open: unique rows, ids that are there, slices."""

from __future__ import annotations

import math
from dataclasses import dataclass

import tensorflow as tf

Shape = tuple[int, ...]

_GATHERS = ("GatherV2", "ResourceGather")
_SIZE_OF = ("Shape", "Size", "ShapeN")


@dataclass(frozen=True)
class OpenSizes:
    """What bounds open dimensions, beside the shapes that are known.

    Attributes:
        filled: Share of the places of padded lists that hold a value, which is how many entries a
            search for them returns: on average over a split, as a batch sums many lists.
        unique: Most different values of a list of rows: the rows of the largest table.
    """

    filled: float = 1.0
    unique: int = 2**62


class BoundedShapes:
    """Shapes of a graph's tensors, each open dimension at its bound.

    Args:
        sizes: What bounds them.
        given: Shapes by tensor name that are known from outside: those of a function's inputs.
    """

    def __init__(self, sizes: OpenSizes, given: dict[str, Shape]) -> None:
        self._sizes = sizes
        self._shapes = dict(given)

    def set(self, tensor: tf.Tensor, shape: Shape) -> None:
        """Notes the shape of a tensor that a called function returns."""
        self._shapes[tensor.name] = shape

    def __call__(self, tensor: tf.Tensor) -> Shape:
        """Returns a tensor's shape. Those of its operation's inputs are asked for first."""
        if tensor.name not in self._shapes:
            self._shapes[tensor.name] = self._bound(tensor)
        return self._shapes[tensor.name]

    def _bound(self, tensor: tf.Tensor) -> Shape:
        shape = tensor.shape
        if shape.rank is None:
            return ()
        dims = shape.as_list()
        if None not in dims:
            return tuple(dims)
        if tensor.op.type in _GATHERS:
            tail = dims[self._rank(tensor.op.inputs[1]) :]
            return (*self(tensor.op.inputs[1]), *(dim or 1 for dim in tail))
        if dims.count(None) == 1:
            known = math.prod(dim for dim in dims if dim is not None)
            axis = dims.index(None)
            dims[axis] = self._one(tensor, axis, known)
            return tuple(dims)
        return tuple(self._alike(tensor, i) if d is None else d for i, d in enumerate(dims))

    def _one(self, tensor: tf.Tensor, axis: int, known: int) -> int:
        operation = tensor.op
        if operation.type == "Where":
            return math.ceil(self._elements(operation.inputs[0]) * self._sizes.filled)
        if operation.type in ("Unique", "UniqueV2"):
            return min(self._elements(operation.inputs[0]), self._limit(tensor))
        if operation.type == "Reshape":
            return self._elements(operation.inputs[0]) // max(known, 1)
        return self._alike(tensor, axis)

    def _limit(self, tensor: tf.Tensor) -> int:
        """The values of `Unique` are few, their places as many as the input."""
        return self._sizes.unique if tensor.value_index == 0 else 2**62

    def _alike(self, tensor: tf.Tensor, axis: int) -> int:
        """Returns the dimension of the inputs of the same rank, or what their sizes come from."""
        rank = tensor.shape.rank
        inputs = [t for t in tensor.op.inputs if self._rank(t) == rank and t.dtype != tf.resource]
        if rank == 1 and tensor.op.type in ("Fill", "StatelessRandomUniformV2"):
            inputs = []  # their vector is a shape
        if inputs:
            return max(self(t)[axis] for t in inputs)
        return max((self._size_behind(t) for t in tensor.op.inputs), default=1)

    def _size_behind(self, tensor: tf.Tensor, depth: int = 12) -> int:
        """Returns the elements of the largest tensor whose size a scalar or a shape came from."""
        if tensor.op.type in _SIZE_OF:
            return self._elements(tensor.op.inputs[0])
        if not depth or self._elements(tensor) > 8:  # no shape, and no part of one
            return 1
        return max((self._size_behind(t, depth - 1) for t in tensor.op.inputs), default=1)

    def _elements(self, tensor: tf.Tensor) -> int:
        return math.prod(self(tensor))

    def _rank(self, tensor: tf.Tensor) -> int:
        return len(self(tensor))
