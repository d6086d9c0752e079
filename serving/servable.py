"""One version of a model: a SavedModel, from this project or any other, and its signatures."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
from google.protobuf.message import DecodeError
from tensorflow.core.protobuf import meta_graph_pb2, saved_model_pb2

from data.errors import InputError
from serving.errors import Code, ServingError, invalid_argument

DEFAULT_SIGNATURE = "serving_default"
GRAPH_FILE = "saved_model.pb"

SignatureDef = Any  # meta_graph_pb2.SignatureDef


@dataclass(frozen=True)
class Signature:
    """One function of a SavedModel.

    Attributes:
        name: Its key in the SavedModel.
        inputs: Input tensors by name, with the dimensions that are fixed.
        function: Takes and returns tensors by name.
    """

    name: str
    inputs: Mapping[str, tf.TensorSpec]
    function: Callable[..., Mapping[str, tf.Tensor]]


class Servable:
    """A loaded SavedModel.

    Args:
        name: The model's name.
        version: The model's version.
        path: Folder that holds `saved_model.pb`.

    Raises:
        InputError: No SavedModel there that can be loaded.
    """

    def __init__(self, name: str, version: int, path: Path) -> None:
        self.name = name
        self.version = version
        self.signature_defs: Mapping[str, SignatureDef] = _read_signature_defs(path)
        try:
            # Kept: a SavedModel's variables live as long as the object that was loaded.
            self._loaded = tf.saved_model.load(str(path))
        except (OSError, ValueError, tf.errors.OpError) as error:
            raise _not_loadable(path, error) from error
        functions = self._loaded.signatures
        self._signatures = {
            key: Signature(key, _tensor_specs(entry.inputs), functions[key])
            for key, entry in self.signature_defs.items()
            if key in functions
        }

    def signature(self, name: str) -> Signature:
        """Returns a signature; an empty name is the default one.

        Raises:
            ServingError: INVALID_ARGUMENT where there is no such signature.
        """
        key = name or DEFAULT_SIGNATURE
        if key not in self._signatures:
            raise invalid_argument(f'Serving signature name: "{key}" not found in signature def')
        return self._signatures[key]

    def predict(
        self, signature_name: str, inputs: Mapping[str, np.ndarray]
    ) -> dict[str, np.ndarray]:
        """Runs a signature.

        Args:
            signature_name: The signature; empty for the default one.
            inputs: Every input of the signature, of its type; strings are bytes in object arrays.

        Returns:
            Every output by name.

        Raises:
            ServingError: Inputs that do not fit the signature, or the graph's own error.
        """
        signature = self.signature(signature_name)
        tensors = {n: _tensor(n, spec, inputs) for n, spec in signature.inputs.items()}
        try:
            outputs = signature.function(**tensors)
            return {name: outputs[name].numpy() for name in sorted(outputs)}
        except tf.errors.OpError as error:
            raise ServingError(Code(error.error_code), _graph_message(error)) from error


def _tensor(name: str, spec: tf.TensorSpec, inputs: Mapping[str, np.ndarray]) -> tf.Tensor:
    if name not in inputs:
        raise invalid_argument(f"Missing named input: {name}")
    if not spec.shape.is_compatible_with(inputs[name].shape):
        raise invalid_argument(
            f"Input {name} must have shape {spec.shape}. Received: {inputs[name].shape}"
        )
    return tf.constant(inputs[name], spec.dtype)


def _tensor_specs(entries: Mapping[str, Any]) -> dict[str, tf.TensorSpec]:
    return {
        name: tf.TensorSpec(tf.TensorShape(entry.tensor_shape), tf.as_dtype(entry.dtype))
        for name, entry in sorted(entries.items())
    }


def _read_signature_defs(path: Path) -> Mapping[str, meta_graph_pb2.SignatureDef]:
    graphs = saved_model_pb2.SavedModel()
    try:
        graphs.ParseFromString((path / GRAPH_FILE).read_bytes())
    except (OSError, DecodeError) as error:
        raise _not_loadable(path, error) from error
    for graph in graphs.meta_graphs:
        if tf.saved_model.SERVING in graph.meta_info_def.tags:
            return dict(graph.signature_def)
    raise _not_loadable(path, f"no graph tagged '{tf.saved_model.SERVING}'")


def _not_loadable(path: Path, received: object) -> InputError:
    return InputError(
        "A version folder must hold a SavedModel that TensorFlow can load",
        received=received,
        where=path,
        action="Export the model again",
    )


def _graph_message(error: tf.errors.OpError) -> str:
    """Returns the graph's error without the parts that TensorFlow adds for developers."""
    message = str(error.message).rpartition("<stack traces unavailable>\n")[2]
    return message.partition("\n\t [[")[0]
