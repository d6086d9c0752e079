"""Tensors of gRPC requests: read as TensorFlow writes them, and refused before they fill memory."""

from __future__ import annotations

import resource
import tracemalloc
from pathlib import Path

import grpc
import numpy as np
import pytest
import tensorflow as tf
from conftest import Exported, running
from tensorflow.core.framework import tensor_pb2
from test_grpc import Asked, predict_request, refusal

from serving.server.errors import Code, ServingError
from serving.server.model_manager import ModelManager
from serving.server.predict_proto import check_request
from serving.server.running import ServerOptions
from serving.server.servable import Servable
from serving.server.settings import ModelConfig
from serving.tensor_protos import array_from_proto, claim_of


def proto_of(dtype: tf.DType, *shape: int, **values: list[object]) -> tensor_pb2.TensorProto:
    dims = [{"size": size} for size in shape]
    return tensor_pb2.TensorProto(
        dtype=dtype.as_datatype_enum, tensor_shape={"dim": dims}, **values
    )


def code_of(proto: tensor_pb2.TensorProto) -> tuple[Code, str]:
    with pytest.raises(ServingError) as raised:
        array_from_proto("x", proto)
    return raised.value.code, raised.value.message


@pytest.mark.parametrize(
    ("dtype", "value"),
    [(tf.uint8, 300), (tf.uint8, -1), (tf.int8, 128), (tf.int16, 2**15), (tf.uint16, 2**16)],
)
def test_numbers_out_of_the_range_of_their_type(dtype: tf.DType, value: int) -> None:
    assert code_of(proto_of(dtype, 1, int_val=[value])) == (
        Code.INVALID_ARGUMENT,
        f"Tensor x cannot be decoded: {value} is out of the range of {dtype.name}",
    )


@pytest.mark.parametrize(
    "proto",
    [
        proto_of(tf.qint8, 1, int_val=[300]),
        proto_of(tf.float16, 1, half_val=[2**20]),
        proto_of(tf.bfloat16, 1, half_val=[2**20]),
    ],
)
def test_bits_that_are_no_number_of_their_type(proto: tensor_pb2.TensorProto) -> None:
    code, message = code_of(proto)
    assert code is Code.INVALID_ARGUMENT
    assert message.startswith("Tensor x cannot be decoded: ")


@pytest.mark.parametrize("depth", [65, 300])
def test_shapes_of_more_dimensions_than_any_array(depth: int) -> None:
    shape = [1] * depth
    assert code_of(proto_of(tf.float32, *shape, float_val=[1.0]))[0] is Code.INVALID_ARGUMENT


@pytest.mark.parametrize("number", [0, 21, 101, 999])
def test_types_that_are_none_or_hold_no_values(number: int) -> None:
    proto = tensor_pb2.TensorProto(dtype=number, tensor_shape={"dim": [{"size": 2}]})
    assert code_of(proto)[0] is Code.INVALID_ARGUMENT


@pytest.mark.parametrize(
    ("proto", "expected"),
    [
        (proto_of(tf.int64, 2, 2, int64_val=[1, 7]), np.array([[1, 7], [7, 7]])),
        (proto_of(tf.float32, 3), np.zeros(3, np.float32)),
        (proto_of(tf.string, 3, string_val=[b"a\x00"]), np.array([b"a\x00"] * 3, object)),
        (proto_of(tf.string, 2), np.array([b"", b""], object)),
        (proto_of(tf.float16, 2, half_val=[0x3C00]), np.ones(2, np.float16)),
        (proto_of(tf.bool, 0), np.zeros(0, np.bool_)),
    ],
)
def test_values_that_are_not_sent_repeat_the_last(
    proto: tensor_pb2.TensorProto, expected: np.ndarray
) -> None:
    array = array_from_proto("x", proto)
    np.testing.assert_array_equal(array, expected, strict=True)


@pytest.mark.parametrize(
    ("proto", "most"),
    [
        (proto_of(tf.float32, 10**6, 10**6, float_val=[1.0]), 2**24),
        (proto_of(tf.int64, 2**23 + 1), 2**23),
        (proto_of(tf.float16, 2**25 + 1, half_val=[0]), 2**25),
        (proto_of(tf.string, 10**6, string_val=[b"x" * 1000]), 2**26 // 1024),
    ],
)
def test_no_tensor_grows_beyond_what_a_message_can_hold(
    proto: tensor_pb2.TensorProto, most: int
) -> None:
    code, message = code_of(proto)
    assert code is Code.INVALID_ARGUMENT
    assert f"must have at most {most} elements if its values are not all sent" in message
    whole = proto_of(tf.int64, 4, int64_val=[1, 2, 3, 4])
    assert array_from_proto("x", whole, most_repeated=1).tolist() == [1, 2, 3, 4]


def test_what_a_tensor_takes_is_known_before_it_is_read() -> None:
    claim = claim_of("x", proto_of(tf.int64, 1000, 1000, int64_val=[1]))
    assert (claim.shape, claim.dtype, claim.nbytes) == ((1000, 1000), np.int64, 8_000_000)


def test_what_does_not_fit_a_signature_is_refused_before_it_is_read(half_plus_two: Path) -> None:
    servable = Servable("half", 123, half_plus_two / "123")
    signature = servable.signature("")
    for proto, message in (
        (proto_of(tf.float32, 1000, 10_000, float_val=[1.0]), "Input x must have shape (None,)"),
        (proto_of(tf.int64, 5_000_000, int64_val=[1]), "to be float32 but int64 is provided"),
    ):
        tracemalloc.start()
        with pytest.raises(ServingError) as raised:
            check_request(signature, predict_request("half", x=proto), 2**26)
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert message in raised.value.message
        assert peak < 1_000_000
    servable.close()


def test_a_number_out_of_range_is_the_clients_fault(tmp_path: Path) -> None:
    class Pixels(tf.Module):
        @tf.function(input_signature=[tf.TensorSpec([None], tf.uint8, name="x")])
        def invert(self, x: tf.Tensor) -> dict[str, tf.Tensor]:
            return {"y": 255 - x}

    model = Pixels()
    tf.saved_model.save(model, str(tmp_path / "1"), signatures=model.invert)
    manager = ModelManager({"pixels": ModelConfig(tmp_path)})
    with running(manager, ServerOptions()) as addresses:
        asked = Asked(addresses)
        good = predict_request("pixels", x=proto_of(tf.uint8, 2, int_val=[0, 255]))
        assert list(asked.predictions.Predict(good).outputs["y"].int_val) == [255, 0]
        bad = predict_request("pixels", x=proto_of(tf.uint8, 1, int_val=[300]))
        code, message = refusal(asked.predictions.Predict, bad)
        assert code == grpc.StatusCode.INVALID_ARGUMENT
        assert message == "Tensor x cannot be decoded: 300 is out of the range of uint8"


def test_a_few_bytes_do_not_ask_for_millions_of_lists(neumf: Exported) -> None:
    rows = 1_000_000
    request = predict_request(
        "ncf",
        "recommend_user",
        user=proto_of(tf.int64, rows, int64_val=[1]),
        k=proto_of(tf.int32, rows, int_val=[1]),
    )
    assert request.ByteSize() < 200
    manager = ModelManager({"ncf": ModelConfig(neumf.path.parent)})
    with running(manager, ServerOptions()) as addresses:
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        code, message = refusal(Asked(addresses).predictions.Predict, request)
        grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    assert code == grpc.StatusCode.INVALID_ARGUMENT
    assert "user must have at most 1024 rows" in message
    assert grown < 400_000  # KiB; the scores alone would take more than 1 GB
