"""Malformed requests over both protocols, and what TF Serving answers to each."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import grpc
import numpy as np
import requests
from tensorflow_serving.apis import predict_pb2, prediction_service_pb2_grpc

from serving.tensor_protos import proto_from_array

_SECONDS = 30.0


@dataclass(frozen=True)
class _Bad:
    """A malformed HTTP request: its method, path after the model, body, and the status expected."""

    method: str
    path: str
    body: str
    status: int


_OVER_REST = {
    "no JSON": _Bad("POST", ":predict", "{instances", 400),
    "missing input": _Bad("POST", ":predict", '{"instances": [{"user": 1}]}', 400),
    "wrong type": _Bad("POST", ":predict", '{"inputs": {"user": [1.5], "k": [3]}}', 400),
    "k of 0": _Bad("POST", ":predict", '{"inputs": {"user": [1], "k": [0]}}', 400),
    "unknown signature": _Bad("POST", ":predict", '{"signature_name": "x", "inputs": [1]}', 400),
    "unknown version": _Bad("POST", "/versions/999999:predict", '{"inputs": [1]}', 404),
    "no such call": _Bad("POST", ":explain", "{}", 400),
    "not classified": _Bad("POST", ":classify", '{"examples": [{"x": 1}]}', 400),
}
_OVER_GRPC: dict[str, tuple[Mapping[str, Any], Mapping[str, np.ndarray], grpc.StatusCode]] = {
    "missing input": ({}, {"user": np.ones(1, np.int64)}, grpc.StatusCode.INVALID_ARGUMENT),
    "wrong type": (
        {},
        {"user": np.ones(1, np.float32), "k": np.ones(1, np.int32)},
        grpc.StatusCode.INVALID_ARGUMENT,
    ),
    "k of 0": (
        {},
        {"user": np.ones(1, np.int64), "k": np.zeros(1, np.int32)},
        grpc.StatusCode.INVALID_ARGUMENT,
    ),
    "unknown signature": ({"signature_name": "x"}, {}, grpc.StatusCode.FAILED_PRECONDITION),
    "unknown version": ({"version": {"value": 999_999}}, {}, grpc.StatusCode.NOT_FOUND),
    "no name": ({"name": ""}, {}, grpc.StatusCode.INVALID_ARGUMENT),
}

# Sends a model the n-th malformed request, counted round; returns a fault, or nothing.
AskBadly = Callable[[str, int], str]


def over_rest(url: str) -> AskBadly:
    """Returns what sends malformed requests to an HTTP server."""
    session = requests.Session()

    def ask(model: str, number: int) -> str:
        name = list(_OVER_REST)[number % len(_OVER_REST)]
        bad = _OVER_REST[name]
        where = f"{url}/v1/models/{model}{bad.path}"
        answer = session.request(bad.method, where, data=bad.body, timeout=_SECONDS)
        if answer.status_code == bad.status and list(answer.json()) == ["error"]:
            return ""
        return f"'{name}' over REST got {answer.status_code}: {answer.text[:100]}"

    return ask


def over_grpc(address: str) -> AskBadly:
    """Returns what sends malformed requests to a gRPC server, such as `grpc://127.0.0.1:8500`."""
    channel = grpc.insecure_channel(address.partition("://")[2])
    stub = prediction_service_pb2_grpc.PredictionServiceStub(channel)

    def ask(model: str, number: int) -> str:
        name = list(_OVER_GRPC)[number % len(_OVER_GRPC)]
        spec, inputs, expected = _OVER_GRPC[name]
        request = predict_pb2.PredictRequest(model_spec={"name": model, **spec})
        for key, value in inputs.items():
            request.inputs[key].CopyFrom(proto_from_array(value))
        try:
            stub.Predict(request, timeout=_SECONDS)
        except grpc.RpcError as error:
            if error.code() == expected:
                return ""
            return f"'{name}' over gRPC got {error.code()}: {error.details()[:100]}"
        return f"'{name}' over gRPC got an answer"

    return ask
