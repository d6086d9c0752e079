"""Warm-up requests: run once a version is loaded, so that its first users need not wait.

TF Serving's form: `assets.extra/tf_serving_warmup_requests`, a TFRecord file of `PredictionLog`.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
from google.protobuf.message import DecodeError
from tensorflow_serving.apis import predict_pb2, prediction_log_pb2

from serving.server.errors import Code, ServingError
from serving.server.graph_runs import GraphRun, classification, multi_inference, regression
from serving.server.servable import Servable
from serving.server.signature import checked_inputs
from serving.tensor_protos import array_from_proto
from serving.versions import WARM_UP_FILE

MAX_REQUESTS = 1000  # TF Serving's limit

logger = logging.getLogger(__name__)


def warm_up(servable: Servable) -> int:
    """Answers a version's warm-up requests: of Predict, Classify, Regress and MultiInference.

    Returns:
        How many there were.

    Raises:
        ServingError: The file is broken, or a request cannot be answered.
    """
    count = 0
    for log in _logs(servable.path):
        kind = log.WhichOneof("log_type")
        if kind == "session_run_log":
            raise ServingError(Code.UNIMPLEMENTED, f"Unsupported log_type for warmup: {kind}")
        if (run := _run_of(servable, log)) is None:
            logger.warning("A warm-up request of %s is left out: %s", servable.path, kind)
            continue
        run.read(servable.run(run.feeds, run.fetches))
        count += 1
    return count


def warm_up_requests(folder: Path) -> Iterator[tuple[str, dict[str, np.ndarray]]]:
    """Yields the signature and the inputs of each warm-up request of Predict of a version.

    Raises:
        ServingError: The file is broken.
    """
    for log in _logs(folder):
        if log.HasField("predict_log"):
            yield _predict_request(log.predict_log.request)


def _logs(folder: Path) -> Iterator[prediction_log_pb2.PredictionLog]:
    path = folder / WARM_UP_FILE
    if not path.is_file():
        return
    try:
        for record in islice(tf.compat.v1.io.tf_record_iterator(str(path)), MAX_REQUESTS):
            yield prediction_log_pb2.PredictionLog.FromString(record)
    except (tf.errors.OpError, DecodeError) as error:
        raise ServingError(Code.DATA_LOSS, f"{WARM_UP_FILE}: {error}") from error


def _predict_request(request: predict_pb2.PredictRequest) -> tuple[str, dict[str, np.ndarray]]:
    inputs = {name: array_from_proto(name, proto) for name, proto in request.inputs.items()}
    return request.model_spec.signature_name, inputs


def _run_of(servable: Servable, log: prediction_log_pb2.PredictionLog) -> GraphRun[Any] | None:
    """Returns what a request runs; None for a kind of request that is not known."""
    if log.HasField("predict_log"):
        name, inputs = _predict_request(log.predict_log.request)
        signature = servable.signature(name)
        feeds = checked_inputs(signature, inputs)
        return GraphRun(feeds, list(signature.fetches.values()), lambda found: found)
    if log.HasField("multi_inference_log"):
        return multi_inference(servable, log.multi_inference_log.request)
    if log.HasField("classify_log"):
        given = log.classify_log.request
        return classification(servable, given.model_spec.signature_name, given.input)
    if log.HasField("regress_log"):
        asked = log.regress_log.request
        return regression(servable, asked.model_spec.signature_name, asked.input)
    return None
