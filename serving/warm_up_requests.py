"""Warm-up requests of an export: one for each signature, of users and rows that the data holds."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import tensorflow as tf
from tensorflow_serving.apis import prediction_log_pb2

from serving.sample import SCORED, Sample
from serving.versions import WARM_UP_FILE

_K = 10


def write_warm_up(folder: Path, answers: Sample) -> None:
    """Writes the requests into a version, in TF Serving's form.

    Args:
        folder: The version.
        answers: Of `serving.sample`, whose raw ids and rows are asked for.
    """
    (folder / WARM_UP_FILE).parent.mkdir(exist_ok=True)
    with tf.io.TFRecordWriter(str(folder / WARM_UP_FILE)) as writer:
        for signature, inputs in _requests(answers).items():
            log = prediction_log_pb2.PredictionLog()
            request = log.predict_log.request
            request.model_spec.signature_name = signature
            for name, value in inputs.items():
                request.inputs[name].CopyFrom(tf.make_tensor_proto(value))
            writer.write(log.SerializeToString())


def _requests(answers: Sample) -> dict[str, Mapping[str, np.ndarray]]:
    requests: dict[str, Mapping[str, np.ndarray]] = {}
    if "user" in answers:
        user, k = answers["user"][:1], np.array([_K], np.int32)
        item = answers["items"][:1, :1]
        requests["recommend_user"] = {"user": user, "k": k}
        requests["recommend"] = {
            "user": user,
            "history": item,
            "exclude": item[:, :0],
            "allow": item[:, :0],
            "k": k,
            "exclude_seen": np.array([True]),
        }
    rows = {n.removeprefix(SCORED): v[:1] for n, v in answers.items() if n.startswith(SCORED)}
    if rows:
        requests["score"] = rows
    return requests
