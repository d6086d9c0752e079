"""The memory that a graph's tensors need at most, predicted from their shapes and order."""

from __future__ import annotations

import math
from collections import Counter

import tensorflow as tf

from trainers.planning.open_shapes import BoundedShapes, OpenSizes, Shape

# Their output is their input's buffer, seen otherwise.
_VIEWS = (
    "Reshape",
    "Identity",
    "IdentityN",
    "Squeeze",
    "ExpandDims",
    "StopGradient",
    "PreventGradient",
    "EnsureShape",
)
# Values are read where they are; a constant is part of the graph.
_HELD_ELSEWHERE = (
    "ReadVariableOp",
    "Const",
    "Placeholder",
    "VarHandleOp",
)
# They write over an input of the same size that dies with them.
_IN_PLACE = (
    "Add",
    "AddV2",
    "AddN",
    "Sub",
    "Mul",
    "RealDiv",
    "DivNoNan",
    "Neg",
    "Square",
    "Sqrt",
    "Rsqrt",
    "Exp",
    "Log",
    "Log1p",
    "Tanh",
    "TanhGrad",
    "Sigmoid",
    "SigmoidGrad",
    "Relu",
    "ReluGrad",
    "Erf",
    "Maximum",
    "Minimum",
    "Pow",
    "SquaredDifference",
    "BiasAdd",
    "Softmax",
    "LogSoftmax",
    "Softplus",
    "SoftplusGrad",
    "SelectV2",
)
_FUNCTIONS = ("f", "body", "cond", "then_branch", "else_branch")


def live_bytes(
    graph: tf.Graph, sizes: OpenSizes | None = None, given: dict[str, Shape] | None = None
) -> float:
    """Returns the largest sum of the bytes of the tensors that are alive at once.

    Args:
        graph: The graph; what it is given and what its variables hold does not count.
        sizes: What bounds the dimensions that it leaves open.
        given: Shapes of its inputs by name, where it leaves them open.

    Operations run in the order in which they were made, which is an order of their dependencies,
    and a tensor dies with its last reader; an operation on single elements writes over an input
    that dies. Functions are descended into.
    """
    functions = dict(graph._functions)  # of the innermost names too
    return _Liveness(graph, functions, sizes or OpenSizes(), given or {}).peak()


class _Liveness:
    def __init__(
        self,
        graph: tf.Graph,
        functions: dict[str, object],
        sizes: OpenSizes,
        given: dict[str, Shape],
    ) -> None:
        self._operations = graph.get_operations()
        self._functions, self._open = functions, sizes
        self.shapes = BoundedShapes(sizes, given)
        self._readers: Counter[str] = Counter()
        for operation in self._operations:
            self._readers.update(tensor.name for tensor in operation.inputs)
        self._readers.update(tensor.name for tensor in getattr(graph, "outputs", []))
        self._root: dict[str, str] = {}  # of a view, the tensor that holds its buffer
        self._alive: dict[str, float] = {}

    def peak(self) -> float:
        """Returns the largest sum of sizes."""
        most = 0.0
        for operation in self._operations:
            inside = self._inside(operation)
            if operation.type in _VIEWS:
                self._see_through(operation)
            elif operation.type not in _HELD_ELSEWHERE:
                most = max(most, self._run(operation, inside))
            for tensor in operation.inputs:
                self._release(tensor, 1)
            for tensor in operation.outputs:
                self._release(tensor, 0)
        return most

    def _run(self, operation: tf.Operation, inside: float) -> float:
        """Adds the outputs. Returns the bytes alive while the operation runs."""
        made = {o.name: self._bytes(o) for o in operation.outputs}
        held = sum(self._alive.values()) + sum(made.values()) + inside
        self._alive.update(made)
        if operation.type in _IN_PLACE:
            size = self._bytes(operation.outputs[0])
            dying = (t for t in operation.inputs if self._last_read(t, operation))
            held -= size if any(self._alive.get(self._root_of(t)) == size for t in dying) else 0.0
        return held

    def _root_of(self, tensor: tf.Tensor) -> str:
        return self._root.get(tensor.name, tensor.name)

    def _last_read(self, tensor: tf.Tensor, operation: tf.Operation) -> bool:
        root = self._root_of(tensor)
        return self._readers[root] == sum(self._root_of(t) == root for t in operation.inputs)

    def _see_through(self, operation: tf.Operation) -> None:
        for source, output in zip(operation.inputs, operation.outputs, strict=False):
            root = self._root_of(source)
            self._root[output.name] = root
            self._readers[root] += self._readers[output.name]

    def _release(self, tensor: tf.Tensor, reads: int) -> None:
        root = self._root_of(tensor)
        self._readers[root] -= reads
        if not self._readers[root]:
            self._alive.pop(root, None)

    def _bytes(self, tensor: tf.Tensor) -> float:
        """Returns the bytes of the values; those of resources and texts count as none."""
        if tensor.dtype in (tf.resource, tf.variant, tf.string) or tensor.shape.rank is None:
            return 0.0
        return float(math.prod(self.shapes(tensor))) * tensor.dtype.size

    def _inside(self, operation: tf.Operation) -> float:
        """Returns what a called function needs beyond its inputs and outputs."""
        inner = 0.0
        for name in _FUNCTIONS:
            graph = self._graph_of(operation, name)
            if graph is None:
                continue
            # A condition comes before the inputs of its branches.
            inputs = list(operation.inputs)[-len(graph.inputs) :] if graph.inputs else []
            pairs = zip(graph.inputs, inputs, strict=True)
            given = {mine.name: self.shapes(theirs) for mine, theirs in pairs}
            called = _Liveness(graph, self._functions, self._open, given)
            peak = called.peak()
            if name != "cond":
                for outer, output in zip(operation.outputs, graph.outputs, strict=False):
                    self.shapes.set(outer, called.shapes(output))
            inner = max(inner, peak - sum(self._bytes(o) for o in operation.outputs))
        return max(inner, 0.0)

    def _graph_of(self, operation: tf.Operation, name: str) -> tf.Graph | None:
        try:
            function = self._functions.get(operation.get_attr(name).name)
        except ValueError:
            return None
        return getattr(function, "graph", None)
