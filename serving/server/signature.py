"""One function of a SavedModel: what it takes and gives, and whether a request's inputs fit it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import tensorflow as tf

from serving.server.errors import invalid_argument

DEFAULT_SIGNATURE = "serving_default"

SignatureDef = Any  # meta_graph_pb2.SignatureDef


@dataclass(frozen=True)
class Signature:
    """One function of a SavedModel.

    Attributes:
        name: Its key in the SavedModel.
        method: What it may be asked by, such as `tensorflow/serving/predict`.
        inputs: Input tensors by name, with the dimensions that are fixed.
        shapes: Their shapes; None for a dimension, or a whole shape, that is not fixed.
        dtypes: Their types as arrays.
        defaults: Values of inputs that a request may leave out.
        feeds: The graph's tensor of each input.
        fetches: The graph's tensor of each output.
    """

    name: str
    method: str
    inputs: Mapping[str, tf.TensorSpec]
    shapes: Mapping[str, Sequence[int | None] | None]
    dtypes: Mapping[str, np.dtype]
    defaults: Mapping[str, np.ndarray]
    feeds: Mapping[str, str]
    fetches: Mapping[str, str]

    @classmethod
    def of(cls, name: str, definition: SignatureDef) -> Signature:
        """Returns the signature that a SavedModel holds under a name."""
        specs = {
            key: tf.TensorSpec(tf.TensorShape(entry.tensor_shape), tf.as_dtype(entry.dtype))
            for key, entry in sorted(definition.inputs.items())
        }
        return cls(
            name,
            definition.method_name,
            specs,
            {key: None if s.shape.rank is None else s.shape.as_list() for key, s in specs.items()},
            {key: np.dtype(spec.dtype.as_numpy_dtype) for key, spec in specs.items()},
            {key: tf.make_ndarray(value) for key, value in definition.defaults.items()},
            {key: definition.inputs[key].name for key in specs},
            {key: definition.outputs[key].name for key in sorted(definition.outputs)},
        )


def checked_inputs(signature: Signature, inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Returns the graph's feeds of a request's inputs.

    Args:
        signature: The signature.
        inputs: Arrays by input name; inputs that have a default may be left out.

    Raises:
        ServingError: INVALID_ARGUMENT for inputs that do not fit the signature.
    """
    feeds = {}
    for name in signature.inputs:
        value = inputs.get(name, signature.defaults.get(name))
        if value is None:
            raise invalid_argument(f"Missing named input: {name}")
        check_input(signature, name, value.shape, value.dtype)
        feeds[signature.feeds[name]] = value
    return feeds


def check_input(signature: Signature, name: str, shape: Sequence[int], dtype: np.dtype) -> None:
    """Checks that one input fits the signature.

    Args:
        signature: The signature.
        name: The input's name, which the signature has.
        shape: Its shape.
        dtype: Its type; strings are objects.

    Raises:
        ServingError: INVALID_ARGUMENT where it does not fit.
    """
    spec = signature.inputs[name]
    if not _fits(shape, signature.shapes[name]):
        raise invalid_argument(
            f"Input {name} must have shape {spec.shape}. Received: {tuple(shape)}"
        )
    if dtype != signature.dtypes[name]:
        received = "string" if dtype.kind == "O" else dtype.name
        raise invalid_argument(f"Expects {name} to be {spec.dtype.name} but {received} is provided")


def _fits(shape: Sequence[int], wanted: Sequence[int | None] | None) -> bool:
    if wanted is None:
        return True
    return len(shape) == len(wanted) and all(
        size is None or size == given for given, size in zip(shape, wanted, strict=True)
    )
