"""gRPC with SavedModels that are not ours: TF Serving's answers, codes and messages."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest
import requests
import tensorflow as tf
from conftest import running, save_example_model
from tensorflow.core.framework import tensor_pb2
from tensorflow_serving.apis import (
    classification_pb2,
    get_model_metadata_pb2,
    get_model_status_pb2,
    inference_pb2,
    input_pb2,
    model_management_pb2,
    model_service_pb2_grpc,
    predict_pb2,
    prediction_service_pb2_grpc,
    regression_pb2,
)
from test_versions import publish

from serving.server.model_manager import ModelManager
from serving.server.rest import RestOptions
from serving.server.running import Addresses, ServerOptions
from serving.server.settings import BatchingParameters, ModelConfig

Code = grpc.StatusCode
MAX_MESSAGE = 100_000


class Asked:
    """The services of one server."""

    def __init__(self, addresses: Addresses) -> None:
        assert addresses.grpc is not None
        channel = self.channel = grpc.insecure_channel(addresses.grpc)
        self.rest = f"http://{addresses.rest}"
        self.predictions = prediction_service_pb2_grpc.PredictionServiceStub(channel)
        self.models = model_service_pb2_grpc.ModelServiceStub(channel)


@pytest.fixture(scope="module")
def asked(half_plus_two: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Asked]:
    examples = tmp_path_factory.mktemp("examples")
    save_example_model(examples / "1")
    configs = {"half": ModelConfig(half_plus_two), "examples": ModelConfig(examples)}
    options = ServerOptions(max_message_bytes=MAX_MESSAGE, rest=RestOptions(metrics_path="/m"))
    with running(ModelManager(configs), options) as addresses:
        yield Asked(addresses)


def floats(*values: float) -> np.ndarray:
    return np.array(values, np.float32)


def predict_request(name: str, signature: str = "", **inputs: Any) -> predict_pb2.PredictRequest:
    request = predict_pb2.PredictRequest()
    request.model_spec.name = name
    request.model_spec.signature_name = signature
    for key, value in inputs.items():
        is_proto = isinstance(value, tensor_pb2.TensorProto)
        request.inputs[key].CopyFrom(value if is_proto else tf.make_tensor_proto(value))
    return request


def refusal(call: Any, request: Any) -> tuple[grpc.StatusCode, str]:
    with pytest.raises(grpc.RpcError) as caught:
        call(request, timeout=20)
    return caught.value.code(), caught.value.details()


def input_of(*values: float, context: float | None = None) -> input_pb2.Input:
    def example(name: str, value: float) -> tf.train.Example:
        made = tf.train.Example()
        made.features.feature[name].float_list.value.append(value)
        return made

    rows = [example("x", value) for value in values]
    if context is None:
        return input_pb2.Input(example_list=input_pb2.ExampleList(examples=rows))
    with_context = input_pb2.ExampleListWithContext(
        examples=rows, context=example("scale", context)
    )
    return input_pb2.Input(example_list_with_context=with_context)


def test_predict_fills_the_fields_of_each_type(asked: Asked) -> None:
    answer = asked.predictions.Predict(predict_request("half", x=floats(1, 5)))
    assert list(answer.outputs["y"].float_val) == [2.5, 4.5]
    assert answer.model_spec.name == "half"
    assert answer.model_spec.version.value == 123
    assert answer.model_spec.signature_name == "serving_default"
    inputs = {
        "tag": np.array([b"a", b"\xff"], object),
        "signal": np.array([[1, 2, 3], [4, 5, 6]], np.int32),
    }
    answer = asked.predictions.Predict(predict_request("half", "describe", **inputs))
    assert list(answer.outputs["raw_bytes"].string_val) == [b"a", b"\xff"]
    assert tf.make_ndarray(answer.outputs["total"]).tolist() == [6, 15]


@pytest.mark.parametrize(
    "value",
    [
        tensor_pb2.TensorProto(dtype=1, tensor_shape={"dim": [{"size": 3}]}, float_val=[2.0]),
        tf.make_tensor_proto(floats(2, 2, 2)),
        tensor_pb2.TensorProto(
            dtype=1, tensor_shape={"dim": [{"size": 3}]}, float_val=[2.0, 2.0, 2.0]
        ),
    ],
)
def test_every_form_of_a_tensor_is_read(asked: Asked, value: tensor_pb2.TensorProto) -> None:
    answer = asked.predictions.Predict(predict_request("half", x=value))
    assert list(answer.outputs["y"].float_val) == [3.0, 3.0, 3.0]


def test_outputs_can_be_chosen(asked: Asked) -> None:
    request = predict_request("half", "uneven", x=floats(1), scale=floats(2, 3))
    request.output_filter.append("scale")
    assert list(asked.predictions.Predict(request).outputs) == ["scale"]
    request.output_filter.append("scale")
    code, message = refusal(asked.predictions.Predict, request)
    assert (code, message) == (Code.INVALID_ARGUMENT, "duplicate output tensor alias: scale")
    request.output_filter[:] = ["z"]
    code, message = refusal(asked.predictions.Predict, request)
    assert code == Code.INVALID_ARGUMENT
    assert message.startswith("output tensor alias not found in signature: z Outputs expected to")


_SCALE = {"x": floats(1), "scale": floats(-1, 1)}
_HUGE = tensor_pb2.TensorProto(
    dtype=1, tensor_shape={"dim": [{"size": 10**6}, {"size": 10**6}]}, float_val=[0]
)
_NEGATIVE = tensor_pb2.TensorProto(dtype=1, tensor_shape={"dim": [{"size": -2}]})
_CUT = tensor_pb2.TensorProto(dtype=1, tensor_shape={"dim": [{"size": 2}]}, tensor_content=b"123")


@pytest.mark.parametrize(
    ("request_", "code", "message"),
    [
        (predict_request(""), Code.INVALID_ARGUMENT, "ModelSpec has no name specified."),
        (predict_request("no"), Code.NOT_FOUND, "Servable not found for request: Latest(no)"),
        (predict_request("half", "no"), Code.FAILED_PRECONDITION, 'signature key "no" not found'),
        (
            predict_request("half"),
            Code.INVALID_ARGUMENT,
            "input size does not match signature: 0!",
        ),
        (
            predict_request("half", x=floats(1), z=1),
            Code.INVALID_ARGUMENT,
            "Sent extra: {z}. Missing but required: {}.",
        ),
        (predict_request("half", x=np.array([1])), Code.INVALID_ARGUMENT, "but int64 is provided"),
        (predict_request("half", x=[["a"]]), Code.INVALID_ARGUMENT, "must have shape (None,)"),
        (predict_request("half", "uneven", **_SCALE), Code.INVALID_ARGUMENT, "must be positive"),
        (predict_request("half", x=_HUGE), Code.INVALID_ARGUMENT, "must have at most"),
        (predict_request("half", x=_NEGATIVE), Code.INVALID_ARGUMENT, "fully known"),
        (predict_request("half", x=_CUT), Code.INVALID_ARGUMENT, "cannot be decoded"),
    ],
)
def test_bad_requests(
    asked: Asked, request_: predict_pb2.PredictRequest, code: grpc.StatusCode, message: str
) -> None:
    found, told = refusal(asked.predictions.Predict, request_)
    assert found == code
    assert message in told
    assert "Traceback" not in told


def test_a_label_that_no_version_has(asked: Asked) -> None:
    request = predict_request("half", x=floats(1))
    request.model_spec.version_label = "stable"
    code, message = refusal(asked.predictions.Predict, request)
    assert (code, message) == (
        Code.INVALID_ARGUMENT,
        "Unrecognized servable version label: stable",
    )


def test_a_call_that_does_not_exist(asked: Asked) -> None:
    call = asked.channel.unary_unary("/tensorflow.serving.PredictionService/Explain")
    assert refusal(call, b"")[0] == Code.UNIMPLEMENTED


def test_a_request_over_its_deadline_is_given_up(tmp_path: Path) -> None:
    publish(tmp_path, 1, work=200_000)
    with running(ModelManager({"slow": ModelConfig(tmp_path)}), ServerOptions()) as addresses:
        call = Asked(addresses).predictions.Predict
        with pytest.raises(grpc.RpcError) as caught:
            call(predict_request("slow", x=floats(1)), timeout=0.05)
        assert caught.value.code() == Code.DEADLINE_EXCEEDED
        answer = call(predict_request("slow", x=floats(1)), timeout=60)
        assert list(answer.outputs["y"].int_val) == [1]


def test_too_large_a_message(asked: Asked) -> None:
    request = predict_request("half", x=np.zeros(MAX_MESSAGE, np.float32))
    assert refusal(asked.predictions.Predict, request)[0] == Code.RESOURCE_EXHAUSTED


def test_a_full_queue_is_busy(half_plus_two: Path) -> None:
    batching = BatchingParameters(1, max_enqueued_batches=1, num_batch_threads=1)
    manager = ModelManager({"half": ModelConfig(half_plus_two)})
    with running(manager, ServerOptions(batching=batching)) as addresses:
        call = Asked(addresses).predictions.Predict
        asking = [call.future(predict_request("half", x=floats(x))) for x in range(200)]
        failures = [one.exception(timeout=20) for one in asking]
    assert {failure.code() for failure in failures if failure} == {Code.UNAVAILABLE}
    for x, (one, failure) in enumerate(zip(asking, failures, strict=True)):
        if failure is None:
            assert list(one.result().outputs["y"].float_val) == [x / 2 + 2]
        else:
            assert "queue to which this task was submitted is full" in failure.details()


def test_a_context_is_not_repeated_without_end(asked: Asked) -> None:
    request = regression_pb2.RegressionRequest(input=input_of(*[1.0] * 1000, context=1.0))
    request.model_spec.name, request.model_spec.signature_name = "examples", "regress"
    context = request.input.example_list_with_context.context
    context.features.feature["note"].bytes_list.value.append(b"x" * 70_000)
    code, message = refusal(asked.predictions.Regress, request)
    assert code == Code.INVALID_ARGUMENT
    assert "must have at most 95" in message


def test_classify_and_regress_over_both_protocols(asked: Asked) -> None:
    request = classification_pb2.ClassificationRequest(input=input_of(0.25, 2.0))
    request.model_spec.name, request.model_spec.signature_name = "examples", "classify_both"
    classes = asked.predictions.Classify(request).result.classifications
    assert [[(c.label, c.score) for c in row.classes] for row in classes] == [
        [("small", 0.75), ("large", 0.25)],
        [("", -1.0), ("large", 2.0)],
    ]
    asking = regression_pb2.RegressionRequest(input=input_of(0.25, 2.0, context=10.0))
    asking.model_spec.name, asking.model_spec.signature_name = "examples", "regress"
    values = [entry.value for entry in asked.predictions.Regress(asking).result.regressions]
    assert values == [2.5, 20.0]
    url = f"{asked.rest}/v1/models/examples"
    body: dict[str, Any] = {
        "signature_name": "classify_both",
        "examples": [{"x": 0.25}, {"x": [2.0]}],
    }
    assert requests.post(f"{url}:classify", json=body, timeout=20).json() == {
        "results": [[["small", 0.75], ["large", 0.25]], [["", -1.0], ["large", 2.0]]]
    }
    body = {"signature_name": "regress", "context": {"scale": 10.0}, "examples": [{"x": 0.25}]}
    assert requests.post(f"{url}:regress", json=body, timeout=20).json() == {"results": [2.5]}


def test_several_signatures_in_one_run(asked: Asked) -> None:
    request = inference_pb2.MultiInferenceRequest(input=input_of(2.0))
    for signature in ("regress", "classify_both"):
        task = request.tasks.add(method_name=f"tensorflow/serving/{signature.partition('_')[0]}")
        task.model_spec.name, task.model_spec.signature_name = "examples", signature
    first, second = asked.predictions.MultiInference(request).results
    assert first.regression_result.regressions[0].value == 4.0
    assert second.classification_result.classifications[0].classes[1].label == "large"
    assert second.model_spec.version.value == 1
    request.tasks.append(request.tasks[0])
    assert refusal(asked.predictions.MultiInference, request) == (
        Code.INVALID_ARGUMENT,
        "Duplicate evaluation of signature: regress",
    )
    del request.tasks[:]
    assert refusal(asked.predictions.MultiInference, request)[0] == Code.INVALID_ARGUMENT


@pytest.mark.parametrize(
    ("name", "signature", "rows", "message"),
    [
        ("examples", "no", [1.0], "No signature was found with the name: no"),
        (
            "examples",
            "regress",
            [1.0],
            "Expected classification signature method_name to be",
        ),
        (
            "half",
            "",
            [1.0],
            "to be tensorflow/serving/classify. Was: tensorflow/serving",
        ),
        ("examples", "classify_both", [], "Input is empty."),
    ],
)
def test_bad_classifications(
    asked: Asked, name: str, signature: str, rows: list[float], message: str
) -> None:
    request = classification_pb2.ClassificationRequest(input=input_of(*rows))
    request.model_spec.name, request.model_spec.signature_name = name, signature
    code, told = refusal(asked.predictions.Classify, request)
    assert code == Code.INVALID_ARGUMENT
    assert message in told


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({}, "key 'examples' is expected and was not found"),
        ({"examples": 1}, "Expecting 'examples' value to be an list/array"),
        ({"examples": []}, "'examples' value is an empty array"),
        ({"examples": [1]}, "Example must be JSON object but got JSON Number"),
        ({"examples": [{"x": None}]}, "Feature: x has element with unexpected JSON type: Null"),
        ({"examples": [{"x": [[1]]}]}, "Feature: x has element with unexpected JSON type: Array"),
        ({"examples": [{"x": {"y": 1}}]}, "not formatted correctly for base64 data"),
        ({"examples": [{"x": [1.5, "a"]}]}, "element type in feature: x expecting type: float"),
        ({"examples": [{"x": 2**63}]}, "is not of expected type: int64"),
        ({"examples": [{"y": 1.0}]}, "x"),
    ],
)
def test_bad_bodies_of_examples(asked: Asked, body: dict[str, Any], message: str) -> None:
    url = f"{asked.rest}/v1/models/examples:regress"
    answer = requests.post(url, json={"signature_name": "regress", **body}, timeout=20)
    assert answer.status_code == 400
    assert message in answer.json()["error"]


def test_metadata_and_status(asked: Asked) -> None:
    request = get_model_metadata_pb2.GetModelMetadataRequest()
    assert refusal(asked.predictions.GetModelMetadata, request)[1] == "Missing ModelSpec"
    request.model_spec.name = "half"
    assert "at least one metadata_field" in refusal(asked.predictions.GetModelMetadata, request)[1]
    request.metadata_field.append("signature_def")
    answer = asked.predictions.GetModelMetadata(request)
    signatures = get_model_metadata_pb2.SignatureDefMap()
    assert answer.metadata["signature_def"].Unpack(signatures)
    assert signatures.signature_def["describe"].inputs["signal"].dtype == tf.int32.as_datatype_enum
    asking = get_model_status_pb2.GetModelStatusRequest()
    assert refusal(asked.models.GetModelStatus, asking)[1] == "Missing ModelSpec"
    asking.model_spec.name = "half"
    (version,) = asked.models.GetModelStatus(asking).model_version_status
    assert (version.version, version.state, version.status.error_code) == (123, 30, 0)
    asking.model_spec.version.value = 4
    code, message = refusal(asked.models.GetModelStatus, asking)
    assert (code, message) == (Code.NOT_FOUND, "Could not find version 4 of model half")


def test_reload_of_what_cannot_be_served_changes_nothing(asked: Asked, tmp_path: Path) -> None:
    request = model_management_pb2.ReloadConfigRequest()
    assert refusal(asked.models.HandleReloadConfigRequest, request)[0] == Code.INVALID_ARGUMENT
    request.config.model_config_list.config.add(
        name="new", base_path=str(tmp_path), model_platform="tensorflow"
    )
    code, message = refusal(asked.models.HandleReloadConfigRequest, request)
    assert code == Code.INVALID_ARGUMENT
    assert "must hold at least one version folder" in message
    assert asked.predictions.Predict(predict_request("half", x=floats(1))).outputs["y"]


def test_metrics_count_requests_by_model_and_status(asked: Asked) -> None:
    asked.predictions.Predict(predict_request("half", x=floats(1)))
    refusal(asked.predictions.Predict, predict_request("half", x=np.array([1])))
    refusal(asked.predictions.Predict, predict_request("made up by a client"))
    text = requests.get(f"{asked.rest}/m", timeout=20).text
    assert ':tensorflow:serving:request_count{model_name="half",status="OK"}' in text
    assert ':tensorflow:serving:request_count{model_name="half",status="INVALID_ARGUMENT"}' in text
    latency = ':tensorflow:serving:request_latency_bucket{API="predict",entrypoint="GRPC"'
    assert latency in text
    assert "\n# TYPE :tensorflow:serving:request_count counter\n" in text
    assert "untyped" not in text
    assert "made up" not in text
