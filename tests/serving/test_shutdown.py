"""A server that is told to stop answers what is under way, in both protocols, and ends well."""

from __future__ import annotations

import signal
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import grpc
import numpy as np
import requests
import tensorflow as tf
from tensorflow_serving.apis import predict_pb2, prediction_service_pb2_grpc
from test_versions import publish

from benchmarks.served import server

STEPS = 300_000  # of the graph: about a second


def test_requests_under_way_are_answered(tmp_path: Path) -> None:
    publish(tmp_path, 1, work=STEPS)
    request = predict_pb2.PredictRequest()
    request.model_spec.name = "slow"
    request.inputs["x"].CopyFrom(tf.make_tensor_proto(np.ones(1, np.float32)))
    with server({"slow": tmp_path}, []) as (addresses, process), ThreadPoolExecutor(2) as pool:
        url = f"{addresses['rest']}/v1/models/slow:predict"
        channel = grpc.insecure_channel(addresses["grpc"].removeprefix("grpc://"))
        stub = prediction_service_pb2_grpc.PredictionServiceStub(channel)
        over_rest = pool.submit(requests.post, url, json={"instances": [1.0]}, timeout=60)
        over_grpc = pool.submit(stub.Predict, request, timeout=60)
        time.sleep(0.3)
        assert not over_rest.done()
        process.send_signal(signal.SIGTERM)
        assert over_rest.result().json() == {"predictions": [1]}
        assert list(over_grpc.result().outputs["y"].int_val) == [1]
        assert process.wait(timeout=30) == 0
        channel.close()
