"""Predict requests over gRPC: their names and tensors meet a signature."""

from __future__ import annotations

import numpy as np
from tensorflow_serving.apis import predict_pb2

from serving.server.errors import invalid_argument
from serving.server.signature import Signature, check_input
from serving.tensor_protos import array_from_proto, claim_of


def check_request(
    signature: Signature, request: predict_pb2.PredictRequest, most_repeated: int
) -> int:
    """Checks a request before its values are read, as few bytes may claim any number of values.

    Args:
        signature: The signature that is asked.
        request: The request.
        most_repeated: Most bytes of an input whose values are not all in the request.

    Returns:
        Bytes of all inputs once they are read.

    Raises:
        ServingError: INVALID_ARGUMENT for inputs or outputs that do not fit the signature, or
            inputs that are too large.
    """
    _check_inputs(signature, request)
    _check_outputs(signature, request)
    total = 0
    for name, proto in request.inputs.items():
        claim = claim_of(name, proto, most_repeated)
        check_input(signature, name, claim.shape, claim.dtype)
        total += claim.nbytes
    return total


def input_arrays(request: predict_pb2.PredictRequest, most_repeated: int) -> dict[str, np.ndarray]:
    """Returns a request's arrays by input name; strings are bytes in object arrays.

    Raises:
        ServingError: INVALID_ARGUMENT for a tensor that cannot be read.
    """
    return {
        name: array_from_proto(name, proto, most_repeated) for name, proto in request.inputs.items()
    }


def _check_inputs(signature: Signature, request: predict_pb2.PredictRequest) -> None:
    sent, known = set(request.inputs), set(signature.inputs)
    extra, missing = sent - known, known - sent - set(signature.defaults)
    if extra or missing:
        shown = [",".join(sorted(names)) for names in (sent, known, extra, missing)]
        raise invalid_argument(
            f"input size does not match signature: {len(sent)}!={len(known)} len({{{shown[0]}}}) "
            f"!= len({{{shown[1]}}}). Sent extra: {{{shown[2]}}}. Missing but required: "
            f"{{{shown[3]}}}."
        )


def _check_outputs(signature: Signature, request: predict_pb2.PredictRequest) -> None:
    for position, alias in enumerate(request.output_filter):
        if alias not in signature.fetches:
            raise invalid_argument(
                f"output tensor alias not found in signature: {alias} Outputs expected to be in "
                f"the set {{{','.join(signature.fetches)}}}."
            )
        if alias in request.output_filter[:position]:
            raise invalid_argument(f"duplicate output tensor alias: {alias}")
