"""Asks over TF Serving's gRPC API."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from typing import Any, TypeVar

import grpc
import numpy as np
import tensorflow as tf
from tensorflow.core.framework import tensor_pb2, types_pb2
from tensorflow_serving.apis import (
    get_model_metadata_pb2,
    get_model_status_pb2,
    model_pb2,
    model_service_pb2_grpc,
    predict_pb2,
    prediction_service_pb2_grpc,
)

from serving.client.errors import no_answer, refused
from serving.client.retries import with_retries
from serving.client.transport import Input
from serving.server.errors import ServingError
from serving.server.tensor_json import array_from_json
from serving.tensor_protos import array_from_proto, proto_from_array

MAX_MESSAGE_BYTES = 64 * 2**20
_SECURE = "grpcs://"
_UNANSWERED = (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED)

T = TypeVar("T")


def model_spec(name: str, version: int | None, label: str | None) -> model_pb2.ModelSpec:
    """Returns the message that names a model and, if given, a version or label of it."""
    spec = model_pb2.ModelSpec(name=name)
    if version is not None:
        spec.version.value = version
    if label is not None:
        spec.version_label = label
    return spec


def declared_inputs(signature_defs: Mapping[str, Any]) -> dict[str, dict[str, Input]]:
    """Returns the inputs that signatures declare, by signature and name."""
    return {
        name: {
            key: Input(types_pb2.DataType.Name(entry.dtype), len(entry.tensor_shape.dim))
            for key, entry in definition.inputs.items()
        }
        for name, definition in signature_defs.items()
    }


class GrpcTransport:
    """One model over gRPC.

    Args:
        url: Of the server: `grpc://127.0.0.1:8500`, or `grpcs://` for TLS.
        spec: The model, and its version or label if any.
        timeout: Seconds for a request, retries included.
        retries: Most attempts after the first.
    """

    def __init__(self, url: str, spec: model_pb2.ModelSpec, timeout: float, retries: int) -> None:
        target = url.partition("://")[2].rstrip("/")
        self.address = f"{url.rstrip('/')}, model {spec.name}"
        self._spec, self._timeout, self._retries = spec, timeout, retries
        size = MAX_MESSAGE_BYTES
        limits = [("grpc.max_receive_message_length", size), ("grpc.max_send_message_length", size)]
        if url.startswith(_SECURE):
            credentials = grpc.ssl_channel_credentials()
            self._channel = grpc.secure_channel(target, credentials, options=limits)
        else:
            self._channel = grpc.insecure_channel(target, options=limits)
        self._predictions = prediction_service_pb2_grpc.PredictionServiceStub(self._channel)
        self._models = model_service_pb2_grpc.ModelServiceStub(self._channel)

    def predict(self, signature: str, inputs: Mapping[str, Sequence[Any]]) -> dict[str, Any]:
        """Returns the outputs of a signature by name, as nested lists.

        Raises:
            RequestError: The server's error, or no answer.
        """
        request = predict_pb2.PredictRequest(model_spec=self._spec)
        request.model_spec.signature_name = signature
        known = self.inputs().get(signature, {})
        for name, values in inputs.items():
            array = self._array(values, known[name].dtype if name in known else "DT_STRING")
            request.inputs[name].CopyFrom(proto_from_array(array))
        response = self._call(self._predictions.Predict, request)
        return {name: _plain(name, proto) for name, proto in response.outputs.items()}

    def _array(self, values: Sequence[Any], type_name: str) -> np.ndarray:
        """Returns values as an array of an input's type; what REST refuses is refused here too."""
        try:
            return array_from_json(values, tf.as_dtype(types_pb2.DataType.Value(type_name)))
        except ServingError as error:
            raise refused(error.code.name, error.message, self.address) from error

    def inputs(self) -> dict[str, dict[str, Input]]:
        """Returns each signature's inputs by name; asked for once."""
        return self._inputs

    @cached_property
    def _inputs(self) -> dict[str, dict[str, Input]]:
        request = get_model_metadata_pb2.GetModelMetadataRequest(model_spec=self._spec)
        request.metadata_field.append("signature_def")
        response = self._call(self._predictions.GetModelMetadata, request)
        signatures = get_model_metadata_pb2.SignatureDefMap()
        response.metadata["signature_def"].Unpack(signatures)
        return declared_inputs(signatures.signature_def)

    def versions(self) -> dict[int, str]:
        """Returns the state of each version, such as `AVAILABLE`."""
        request = get_model_status_pb2.GetModelStatusRequest(model_spec=self._spec)
        states = get_model_status_pb2.ModelVersionStatus.State
        found = self._call(self._models.GetModelStatus, request).model_version_status
        return {entry.version: states.Name(entry.state) for entry in found}

    def close(self) -> None:
        """Closes the connection."""
        self._channel.close()

    def _call(self, method: Callable[..., T], request: Any) -> T:
        return with_retries(
            lambda seconds: self._once(method, request, seconds), self._timeout, self._retries
        )

    def _once(self, method: Callable[..., T], request: Any, seconds: float) -> T:
        try:
            return method(request, timeout=seconds)
        except grpc.RpcError as error:
            code, message = error.code(), error.details()
            if code in _UNANSWERED:
                raise no_answer(message, self.address, code.name) from error
            raise refused(code.name, f"{code.name}: {message}", self.address) from error


def _plain(name: str, proto: tensor_pb2.TensorProto) -> Any:
    array = array_from_proto(name, proto)
    if array.dtype != object:
        return array.tolist()
    texts = np.empty(array.size, object)
    texts[:] = [text.decode() for text in array.ravel()]
    return texts.reshape(array.shape).tolist()
