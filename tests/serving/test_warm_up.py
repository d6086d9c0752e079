"""Warm-up requests of any program: every kind that TF Serving runs is run."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import tensorflow as tf
from conftest import save_example_model
from tensorflow_serving.apis.prediction_log_pb2 import PredictionLog
from test_grpc import input_of

from serving.server.errors import Code, ServingError
from serving.server.servable import Servable
from serving.server.warm_up import warm_up, warm_up_requests
from serving.versions import WARM_UP_FILE


@pytest.fixture(scope="module")
def servable(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Servable]:
    folder = tmp_path_factory.mktemp("examples") / "1"
    save_example_model(folder)
    loaded = Servable("examples", 1, folder)
    yield loaded
    loaded.close()


def write(servable: Servable, *logs: PredictionLog) -> None:
    path = servable.path / WARM_UP_FILE
    path.parent.mkdir(exist_ok=True)
    with tf.io.TFRecordWriter(str(path)) as writer:
        for log in logs:
            writer.write(log.SerializeToString())


def predict_log() -> PredictionLog:
    log = PredictionLog()
    examples = [row.SerializeToString() for row in input_of(2.0).example_list.examples]
    log.predict_log.request.inputs["examples"].CopyFrom(tf.make_tensor_proto(examples))
    return log


def classify_log(signature: str = "classify_both") -> PredictionLog:
    log = PredictionLog()
    log.classify_log.request.model_spec.signature_name = signature
    log.classify_log.request.input.CopyFrom(input_of(0.25, 2.0))
    return log


def regress_log(*values: float) -> PredictionLog:
    log = PredictionLog()
    log.regress_log.request.model_spec.signature_name = "regress"
    log.regress_log.request.input.CopyFrom(input_of(*values, context=10.0))
    return log


def multi_inference_log(*names: str) -> PredictionLog:
    """Returns a request that names the model as it was served where it was recorded."""
    log = PredictionLog()
    request = log.multi_inference_log.request
    request.input.CopyFrom(input_of(2.0))
    for name, signature in zip(names, ("regress", "classify_both"), strict=True):
        task = request.tasks.add(method_name=f"tensorflow/serving/{signature.partition('_')[0]}")
        task.model_spec.name, task.model_spec.signature_name = name, signature
    return log


def test_every_kind_of_request_is_run(servable: Servable, monkeypatch: pytest.MonkeyPatch) -> None:
    logs = [predict_log(), classify_log(), regress_log(1.0), multi_inference_log("old", "old")]
    write(servable, *logs)
    fetched = []
    run = servable.run

    def note(feeds: dict[str, object], fetches: list[str]) -> object:
        fetched.append(len(fetches))
        return run(feeds, fetches)  # type: ignore[arg-type]

    monkeypatch.setattr(servable, "run", note)
    assert warm_up(servable) == 4
    assert fetched == [1, 2, 1, 3]
    assert [name for name, _ in warm_up_requests(servable.path)] == [""]


@pytest.mark.parametrize(
    ("log", "code", "message"),
    [
        (classify_log("regress"), Code.INVALID_ARGUMENT, "Expected classification signature"),
        (classify_log("no"), Code.INVALID_ARGUMENT, "No signature was found with the name: no"),
        (regress_log(), Code.INVALID_ARGUMENT, "Input is empty."),
        (
            multi_inference_log("one", "other"),
            Code.INVALID_ARGUMENT,
            "All ModelSpecs in a MultiInferenceRequest must access the same model name.",
        ),
    ],
)
def test_requests_that_cannot_be_answered_refuse_the_version(
    servable: Servable, log: PredictionLog, code: Code, message: str
) -> None:
    write(servable, log)
    with pytest.raises(ServingError) as raised:
        warm_up(servable)
    assert raised.value.code is code
    assert message in raised.value.message


def test_kinds_that_tf_serving_does_not_run(
    servable: Servable, caplog: pytest.LogCaptureFixture
) -> None:
    write(servable, PredictionLog(), classify_log())
    assert warm_up(servable) == 1
    assert "is left out" in caplog.text
    session = PredictionLog()
    session.session_run_log.SetInParent()
    write(servable, session)
    with pytest.raises(ServingError, match="Unsupported log_type for warmup: session_run_log"):
        warm_up(servable)
