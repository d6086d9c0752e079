"""The HTTP server with a SavedModel that is not ours: TF Serving's answers and errors."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import requests
import tensorflow as tf
from conftest import Serve, running

from data.errors import InputError
from serving.server.model_manager import ModelManager
from serving.server.rest import RestOptions
from serving.server.running import ServerOptions
from serving.server.settings import BatchingParameters, ModelConfig

MAX_BODY = 20_000


@pytest.fixture(scope="module")
def url(serve: Serve, half_plus_two: Path) -> str:
    options = RestOptions(timeout_ms=20_000, max_body_bytes=MAX_BODY)
    return serve({"half": half_plus_two}, options) + "/v1/models/half"


def post(url: str, body: Any) -> tuple[int, Any]:
    data = body if isinstance(body, bytes | str) else json.dumps(body)
    response = requests.post(url, data=data, timeout=30)
    assert response.headers["Content-Type"].startswith("application/json")
    return response.status_code, response.json()


def test_row_format_with_one_input(url: str) -> None:
    body = {"instances": [1.0, 2.0, 5.0]}
    assert post(f"{url}:predict", body) == (200, {"predictions": [2.5, 3.0, 4.5]})


def test_column_format_with_one_input(url: str) -> None:
    assert post(f"{url}:predict", {"inputs": [1, 2]}) == (200, {"outputs": [2.5, 3.0]})
    assert post(f"{url}:predict", {"inputs": {"x": [4]}}) == (200, {"outputs": [4.0]})


def test_row_format_with_named_inputs(url: str) -> None:
    rows = [
        {"tag": "foo", "signal": [1, 2, 3]},
        {"tag": {"b64": "YmFy"}, "signal": [4, 5, 6]},
    ]
    status, answer = post(f"{url}:predict", {"signature_name": "describe", "instances": rows})
    assert status == 200
    assert answer == {
        "predictions": [
            {"raw_bytes": {"b64": "Zm9v"}, "tag": "foo!", "total": 6},
            {"raw_bytes": {"b64": "YmFy"}, "tag": "bar!", "total": 15},
        ]
    }


def test_column_format_with_inputs_of_unequal_length(url: str) -> None:
    inputs = {"x": [1.0, 2.0, 3.0], "scale": [2.0, 1.0]}
    status, answer = post(f"{url}:predict", {"signature_name": "uneven", "inputs": inputs})
    assert (status, answer) == (200, {"outputs": {"scale": [2.0, 1.0], "y": [2.0, 4.0, 6.0]}})


def test_tokens_pass_through(url: str) -> None:
    response = requests.post(
        f"{url}:predict", data='{"instances": [NaN, Infinity, -Infinity]}', timeout=30
    )
    assert response.text == '{"predictions": [NaN, Infinity, -Infinity]}'


def test_path_forms(url: str) -> None:
    expected = (200, {"predictions": [2.5]})
    assert post(f"{url}/versions/123:predict", {"instances": [1]}) == expected
    assert (
        post(url.replace("/v1/models", "/V1/Models") + ":predict", {"instances": [1]}) == expected
    )
    assert post(url.replace("half", "h%61lf") + ":predict", {"instances": [1]}) == expected


def test_model_status(url: str) -> None:
    status = {"error_code": "OK", "error_message": ""}
    expected = {
        "model_version_status": [{"version": "123", "state": "AVAILABLE", "status": status}]
    }
    assert requests.get(url, timeout=30).json() == expected
    assert requests.get(f"{url}/versions/123", timeout=30).json() == expected


def test_metadata(url: str) -> None:
    answer = requests.get(f"{url}/metadata", timeout=30).json()
    assert answer["model_spec"] == {"name": "half", "signature_name": "", "version": "123"}
    signatures = answer["metadata"]["signature_def"]["signature_def"]
    assert {"serving_default", "describe", "uneven"} <= signatures.keys()
    signal = signatures["describe"]["inputs"]["signal"]
    assert signal["dtype"] == "DT_INT32"
    assert signal["tensor_shape"] == {
        "dim": [{"size": "-1", "name": ""}, {"size": "3", "name": ""}],
        "unknown_rank": False,
    }
    assert signatures["describe"]["method_name"] == "tensorflow/serving/predict"


NAMED = {"signature_name": "describe"}
BAD_BODIES: dict[str, tuple[Any, str]] = {
    "empty": (b"", "JSON Parse error: The document is empty"),
    "not JSON": (b"{instances", "JSON Parse error: "),
    "not UTF-8": (b'{"instances": ["\xff"]}', "JSON Parse error: "),
    "too deep": (b'{"instances": ' + b"[" * 9_000 + b"]" * 9_000 + b"}", "nested too deeply"),
    "a number of thousands of digits": (b'{"instances": [' + b"9" * 5_000 + b"]}", "Parse error"),
    "a number beyond any double": (
        b'{"instances": [-1e999]}',
        "JSON Parse error: Number too big to be stored in double",
    ),
    "not an object": ([1], "JSON Value: [1] Is not object"),
    "neither form": ({"rows": [1]}, "Missing 'inputs' or 'instances' key"),
    "both forms": ({"inputs": [1], "instances": [1]}, "expecting only one of 'inputs' or"),
    "signature name not text": (
        {"signature_name": 1, "inputs": [1]},
        "'signature_name' key must be a string value",
    ),
    "unknown signature": (
        {"signature_name": "nope", "inputs": [1]},
        'Serving signature name: "nope" not found in signature def',
    ),
    "instances no list": ({"instances": 1}, "Expecting 'instances' to be a list/array"),
    "no instances": ({"instances": []}, "No values in 'instances' array"),
    "wrong type": ({"instances": ["a"]}, "Failed to process key: x of 'instances'. Error: JSON Va"),
    "wrong rank": ({"instances": [[1.0]]}, "Input x must have shape (None,). Received: (1, 1)"),
    "a number out of range": (
        {**NAMED, "instances": [{"tag": "a", "signal": [1, 2, 2**31]}]},
        "JSON Value: 2147483648 Type: Number is not of expected type: int32",
    ),
    "ragged": (
        {**NAMED, "instances": [{"tag": "a", "signal": [1, 2, 3]}, {"tag": "b", "signal": [1]}]},
        "Encountered list at unexpected size: 1 at level: 1 expected size: 3",
    ),
    "wrong shape": (
        {**NAMED, "instances": [{"tag": "a", "signal": [1]}]},
        "Input signal must have shape (None, 3). Received: (1, 1)",
    ),
    "missing input in a row": (
        {**NAMED, "instances": [{"tag": "a"}]},
        "Failed to process element: 0 of 'instances' list",
    ),
    "missing input in columns": (
        {**NAMED, "inputs": {"tag": ["a"]}},
        "Missing named input: signal in 'inputs' object.",
    ),
    "unknown input": (
        {"inputs": {"x": [1], "z": [1]}},
        "JSON object: does not have named input: z",
    ),
    "plain rows for several inputs": (
        {**NAMED, "instances": [1]},
        "expecting objects as multiple input tensors required: signal,tag",
    ),
    "plain value for several inputs": ({**NAMED, "inputs": 1}, "inputs is a plain value/list"),
    "objects and values mixed": (
        {**NAMED, "instances": [{"tag": "a", "signal": [1, 2, 3]}, 1]},
        "Expecting object but got value/list at item 1 of input list",
    ),
    "values and objects mixed": (
        {"instances": [1, {"x": 1}]},
        "Expecting value/list but got object at item 1 of input list",
    ),
    "the graph's own check": (
        {"signature_name": "uneven", "inputs": {"x": [1], "scale": [-1, 1]}},
        "assertion failed: [scale must be positive]",
    ),
}


@pytest.mark.parametrize("name", BAD_BODIES)
def test_bad_bodies(url: str, name: str) -> None:
    body, message = BAD_BODIES[name]
    status, answer = post(f"{url}:predict", body)
    assert (status, list(answer)) == (400, ["error"])
    assert message in answer["error"]
    assert "Traceback" not in answer["error"]


def test_outputs_that_do_not_share_their_first_dimension(url: str) -> None:
    rows = [{"x": 1.0, "scale": 1.0}, {"x": 2.0, "scale": 2.0}]
    body = {"signature_name": "uneven", "instances": rows}
    assert post(f"{url}:predict", body)[0] == 200
    inputs = {"x": [1.0] * 3, "scale": [1.0, 1.0]}
    assert post(f"{url}:predict", {"signature_name": "uneven", "inputs": inputs})[0] == 200


def test_unknown_model_version_and_label(url: str) -> None:
    other = url.replace("half", "other")
    body = {"instances": [1]}
    assert post(f"{other}:predict", body) == (
        404,
        {"error": "Servable not found for request: Latest(other)"},
    )
    assert post(f"{url}/versions/3:predict", body) == (
        404,
        {"error": "Servable not found for request: Specific(half, 3)"},
    )
    assert post(f"{url}/labels/stable:predict", body) == (
        400,
        {"error": "Unrecognized servable version label: stable"},
    )
    assert post(f"{url}/versions/{10**19}:predict", body)[0] == 400
    gets = {
        other: (404, "Could not find any versions of model other"),
        f"{url}/versions/3": (404, "Could not find version 3 of model half"),
        f"{url}/labels/stable": (400, "Unrecognized servable version label: stable"),
        f"{other}/metadata": (404, "Servable not found for request: Latest(other)"),
    }
    for address, expected in gets.items():
        response = requests.get(address, timeout=30)
        assert (response.status_code, response.json()["error"]) == expected


@pytest.mark.parametrize(
    ("method", "path", "status", "message"),
    [
        ("GET", ":predict", 400, "Malformed request: GET /v1/models/half:predict"),
        ("POST", "", 400, "Malformed request: POST /v1/models/half"),
        ("DELETE", "", 400, "Malformed request: DELETE /v1/models/half"),
        ("POST", ":explain", 400, "Malformed request: POST /v1/models/half:explain"),
        ("GET", "/versions/x", 400, "Malformed request: GET /v1/models/half/versions/x"),
        ("GET", "/../../../etc", 404, "Not Found: /etc"),
    ],
)
def test_paths_that_mean_nothing(
    url: str, method: str, path: str, status: int, message: str
) -> None:
    response = requests.request(method, url + path, timeout=30)
    assert (response.status_code, response.json()) == (status, {"error": message})


def test_too_large_a_body(url: str) -> None:
    status, answer = post(f"{url}:predict", b" " * (MAX_BODY + 1))
    assert status == 413
    assert answer == {"error": f"The request body must not exceed {MAX_BODY} bytes"}


def test_requests_at_once_get_their_own_answers(url: str) -> None:
    with ThreadPoolExecutor(8) as pool:
        answers = pool.map(lambda x: post(f"{url}:predict", {"instances": [x]}), range(64))
    assert list(answers) == [(200, {"predictions": [x / 2 + 2]}) for x in range(64)]


def test_a_request_over_the_deadline(serve: Serve, tmp_path: Path) -> None:
    class Slow(tf.Module):
        @tf.function(input_signature=[tf.TensorSpec([None], tf.int32, name="steps")])
        def count(self, steps: tf.Tensor) -> tf.Tensor:
            return tf.while_loop(lambda i: i < steps[0], lambda i: [i + 1], [0])[0]

    model = Slow()
    tf.saved_model.save(model, str(tmp_path / "1"), signatures=model.count)
    url = serve({"slow": tmp_path}, RestOptions(timeout_ms=20))
    status, answer = post(f"{url}/v1/models/slow:predict", {"instances": [200_000]})
    assert (status, answer) == (504, {"error": "Deadline of 20 ms exceeded"})


def test_a_keras_sequential_is_served(serve: Serve, tmp_path: Path) -> None:
    layers = [tf.keras.layers.Dense(2, "relu", input_shape=[3]), tf.keras.layers.Dense(1)]
    model = tf.keras.Sequential(layers)
    tf.saved_model.save(model, str(tmp_path / "1"))
    rows = [[1.0, -2.0, 0.5], [0.0, 3.0, 1.0]]
    url = serve({"dense": tmp_path}) + "/v1/models/dense:predict"
    status, answer = post(url, {"instances": rows})
    assert status == 200
    np.testing.assert_allclose(answer["predictions"], model(tf.constant(rows)), rtol=1e-5)


def test_a_full_queue_is_busy(half_plus_two: Path) -> None:
    batching = BatchingParameters(1, max_enqueued_batches=1, num_batch_threads=1)
    manager = ModelManager({"half": ModelConfig(half_plus_two)})
    with running(manager, ServerOptions(batching=batching)) as addresses:
        url = f"http://{addresses.rest}/v1/models/half:predict"
        with ThreadPoolExecutor(16) as pool:
            answers = list(pool.map(lambda x: post(url, {"instances": [x]}), range(200)))
    assert {status for status, _ in answers} == {200, 503}
    for x, (status, answer) in enumerate(answers):
        full = "The batch scheduling queue to which this task was submitted is full"
        assert answer == ({"predictions": [x / 2 + 2]} if status == 200 else {"error": full})


def test_a_base_path_without_versions(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="must hold at least one version folder"):
        ModelManager({"empty": ModelConfig(tmp_path)})
    with pytest.raises(InputError, match="which does not exist"):
        ModelManager({"none": ModelConfig(tmp_path / "none")})


def test_a_version_is_no_base_path(half_plus_two: Path) -> None:
    with pytest.raises(InputError, match=f"holds version folders.*it is in: {half_plus_two}"):
        ModelManager({"half": ModelConfig(half_plus_two / "3")})


@pytest.mark.parametrize("content", [None, b"no protobuf", b""])
def test_a_version_that_cannot_be_loaded(tmp_path: Path, content: bytes | None) -> None:
    (tmp_path / "1").mkdir()
    if content is not None:
        (tmp_path / "1" / "saved_model.pb").write_bytes(content)
    with pytest.raises(InputError, match="must hold a SavedModel that TensorFlow can load"):
        ModelManager({"broken": ModelConfig(tmp_path)})
