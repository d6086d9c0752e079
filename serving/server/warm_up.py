"""Warm-up requests: run once a version is loaded, so that its first users need not wait.

TF Serving's form: `assets.extra/tf_serving_warmup_requests`, a TFRecord file of `PredictionLog`.
"""

from __future__ import annotations

from itertools import islice

import tensorflow as tf
from google.protobuf.message import DecodeError
from tensorflow_serving.apis import prediction_log_pb2

from serving.server.errors import Code, ServingError
from serving.server.servable import Servable, checked_inputs
from serving.tensor_protos import array_from_proto
from serving.versions import WARM_UP_FILE

MAX_REQUESTS = 1000  # TF Serving's limit


def warm_up(servable: Servable) -> int:
    """Answers a version's warm-up requests.

    Returns:
        How many there were.

    Raises:
        ServingError: The file is broken, or a request cannot be answered.
    """
    path = servable.path / WARM_UP_FILE
    if not path.is_file():
        return 0
    count = 0
    try:
        for record in islice(tf.compat.v1.io.tf_record_iterator(str(path)), MAX_REQUESTS):
            log = prediction_log_pb2.PredictionLog.FromString(record)
            _replay(servable, log)
            count += 1
    except (tf.errors.OpError, DecodeError) as error:
        raise ServingError(Code.DATA_LOSS, f"{WARM_UP_FILE}: {error}") from error
    return count


def _replay(servable: Servable, log: prediction_log_pb2.PredictionLog) -> None:
    if log.WhichOneof("log_type") != "predict_log":
        raise ServingError(Code.UNIMPLEMENTED, "Only warm-up requests of Predict are supported")
    request = log.predict_log.request
    signature = servable.signature(request.model_spec.signature_name)
    inputs = {name: array_from_proto(name, proto) for name, proto in request.inputs.items()}
    servable.run(checked_inputs(signature, inputs), list(signature.fetches.values()))
