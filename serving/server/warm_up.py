"""Warm-up requests: run once a version is loaded, so that its first users need not wait.

TF Serving's form: `assets.extra/tf_serving_warmup_requests`, a TFRecord file of `PredictionLog`.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import numpy as np
import tensorflow as tf
from google.protobuf.message import DecodeError
from tensorflow_serving.apis import prediction_log_pb2

from serving.server.errors import Code, ServingError
from serving.server.servable import Servable
from serving.server.signature import checked_inputs
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
    count = 0
    for name, inputs in warm_up_requests(servable.path):
        signature = servable.signature(name)
        servable.run(checked_inputs(signature, inputs), list(signature.fetches.values()))
        count += 1
    return count


def warm_up_requests(folder: Path) -> Iterator[tuple[str, dict[str, np.ndarray]]]:
    """Yields the signature and the inputs of each warm-up request of a version.

    Raises:
        ServingError: The file is broken, or asks for something else than Predict.
    """
    path = folder / WARM_UP_FILE
    if not path.is_file():
        return
    try:
        for record in islice(tf.compat.v1.io.tf_record_iterator(str(path)), MAX_REQUESTS):
            log = prediction_log_pb2.PredictionLog.FromString(record)
            if log.WhichOneof("log_type") != "predict_log":
                message = "Only warm-up requests of Predict are supported"
                raise ServingError(Code.UNIMPLEMENTED, message)
            request = log.predict_log.request
            inputs = {name: array_from_proto(name, proto) for name, proto in request.inputs.items()}
            yield request.model_spec.signature_name, inputs
    except (tf.errors.OpError, DecodeError) as error:
        raise ServingError(Code.DATA_LOSS, f"{WARM_UP_FILE}: {error}") from error
