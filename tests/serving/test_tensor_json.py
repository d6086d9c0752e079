"""JSON values and tensors: TF Serving's mapping, both ways."""

from __future__ import annotations

import json
import tracemalloc
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from serving.server.errors import Code, ServingError
from serving.server.tensor_json import (
    MAX_DIMENSIONS,
    MAX_SHOWN,
    array_from_json,
    array_to_json,
    show,
)


@pytest.mark.parametrize(
    ("value", "dtype", "expected"),
    [
        (7, tf.int32, np.array(7, np.int32)),
        ([1, -10, 0], tf.int64, np.array([1, -10, 0])),
        ([2**63 - 1], tf.int64, np.array([2**63 - 1])),
        ([2**64 - 1], tf.uint64, np.array([2**64 - 1], np.uint64)),
        ([[1, 2.5], [3, -1e3]], tf.float32, np.array([[1, 2.5], [3, -1e3]], np.float32)),
        ([0.1], tf.float64, np.array([0.1])),
        ([True, False], tf.bool, np.array([True, False])),
        ([[]], tf.int64, np.zeros((1, 0), np.int64)),
        ([[[1, 2]], [[3, 4]]], tf.uint8, np.array([[[1, 2]], [[3, 4]]], np.uint8)),
    ],
)
def test_numbers_and_truth_values(value: Any, dtype: tf.DType, expected: np.ndarray) -> None:
    array = array_from_json(value, dtype)
    np.testing.assert_array_equal(array, expected, strict=True)


def test_text_and_base64() -> None:
    array = array_from_json(["naïve", {"b64": "AP8="}, ""], tf.string)
    assert array.tolist() == ["naïve".encode(), b"\x00\xff", b""]


def test_tokens_for_what_json_lacks() -> None:
    value = json.loads("[NaN, Infinity, -Infinity]")
    np.testing.assert_array_equal(
        array_from_json(value, tf.float32), np.array([np.nan, np.inf, -np.inf], np.float32)
    )
    text = json.dumps(array_to_json("y", np.array([np.nan, np.inf, -np.inf], np.float32)))
    assert text == "[NaN, Infinity, -Infinity]"


@pytest.mark.parametrize(
    ("value", "dtype", "message"),
    [
        ("x", tf.float32, 'JSON Value: "x" Type: String is not of expected type: float'),
        (True, tf.int32, "JSON Value: true Type: True is not of expected type: int32"),
        (None, tf.int32, "JSON Value: null Type: Null is not of expected type: int32"),
        ([1, 1.0], tf.int64, "JSON Value: 1.0 Type: Number is not of expected type: int64"),
        ([1, 300], tf.uint8, "JSON Value: 300 Type: Number is not of expected type: uint8"),
        ([2**63], tf.int64, "is not of expected type: int64"),
        (1, tf.string, "JSON Value: 1 Type: Number is not of expected type: string"),
        (1, tf.bool, "JSON Value: 1 Type: Number is not of expected type: bool"),
        ({"a": 1}, tf.int32, 'JSON Value: {"a": 1} Type: Object is not of expected type: int32'),
        ([[1, 2], [3]], tf.int32, "list at unexpected size: 1 at level: 1 expected size: 2"),
        ([[1], 2], tf.int32, "JSON Value: 2 found at incorrect level: 2"),
        ([1, [2]], tf.int32, "JSON Value: 1 found at incorrect level: 2"),
        ({"b64": "?"}, tf.string, "Unable to base64 decode"),
        ({"b65": "AA=="}, tf.string, "not formatted correctly for base64 data"),
        ("\ud800", tf.string, "is not valid UTF-8"),
        (2**24, tf.float32, "Cannot convert JSON value: 16777216 to float without loss"),
        (1e39, tf.float32, "Cannot convert JSON value: 1e+39 to float without loss"),
        (10**400, tf.float64, "to double without loss of precision"),
    ],
)
def test_values_that_do_not_fit(value: Any, dtype: tf.DType, message: str) -> None:
    with pytest.raises(ServingError) as raised:
        array_from_json(value, dtype)
    assert raised.value.code is Code.INVALID_ARGUMENT
    assert message in raised.value.message


def nested(depth: int, value: Any = 1) -> Any:
    for _ in range(depth):
        value = [value]
    return value


@pytest.mark.parametrize("dtype", [tf.int32, tf.float32, tf.string])
@pytest.mark.parametrize("depth", [MAX_DIMENSIONS + 1, 65, 500, 900, 1000, 100_000])
def test_lists_nested_deeper_than_any_array(depth: int, dtype: tf.DType) -> None:
    with pytest.raises(ServingError, match="list at unexpected level: 32 expected < 32") as raised:
        array_from_json(nested(depth), dtype)
    assert raised.value.code is Code.INVALID_ARGUMENT
    assert array_from_json(nested(MAX_DIMENSIONS), tf.int32).shape == (1,) * MAX_DIMENSIONS


def test_types_that_json_cannot_express() -> None:
    with pytest.raises(ServingError, match="Conversion of JSON Value: 1 to type: complex64") as no:
        array_from_json(1, tf.complex64)
    assert no.value.code is Code.UNIMPLEMENTED
    with pytest.raises(ServingError, match="Failed to write JSON value for tensor type: complex64"):
        array_to_json("y", np.zeros(1, np.complex64))


def test_a_huge_value_is_not_repeated_whole() -> None:
    with pytest.raises(ServingError) as raised:
        array_from_json("x" * 100_000, tf.int32)
    assert len(raised.value.message) < 400


def test_floats_are_written_with_their_own_shortest_digits() -> None:
    assert json.dumps(array_to_json("y", np.array([0.2, 3.0, 1e-7], np.float32))) == (
        "[0.2, 3.0, 1e-07]"
    )


def test_bytes_are_written_as_base64_where_the_name_says_so() -> None:
    array = np.array([b"\x00\xff"], object)
    assert array_to_json("image_bytes", array) == [{"b64": "AP8="}]
    with pytest.raises(ServingError, match="Tensor name: image holds bytes that are not UTF-8"):
        array_to_json("image", array)


_DTYPES = st.sampled_from([np.int32, np.int64, np.uint8, np.float32, np.float64, np.bool_])


@given(st.data(), _DTYPES)
def test_arrays_survive_the_way_to_json_and_back(data: st.DataObject, dtype: type) -> None:
    shapes = hnp.array_shapes(min_dims=0, max_dims=3, min_side=1, max_side=4)
    array = data.draw(hnp.arrays(dtype, shapes))
    text = json.dumps(array_to_json("y", array))
    back = array_from_json(json.loads(text), tf.as_dtype(dtype))
    np.testing.assert_array_equal(back, array, strict=True)


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=20,
)


@given(_JSON, st.sampled_from([tf.int32, tf.float32, tf.string, tf.bool]))
def test_any_json_gives_an_array_or_a_serving_error(value: Any, dtype: tf.DType) -> None:
    try:
        array = array_from_json(value, dtype)
    except ServingError as error:
        assert error.code is Code.INVALID_ARGUMENT  # noqa: PT017  either outcome is allowed
    else:
        assert tf.constant(array, dtype).dtype == dtype


@given(_JSON)
def test_values_are_shown_as_json_writes_them_up_to_a_length(value: Any) -> None:
    whole = json.dumps(value)
    assert show(value) == (whole if len(whole) <= MAX_SHOWN else f"{whole[:MAX_SHOWN]}...")


def test_deep_and_large_values_are_shown_without_reading_them_whole() -> None:
    assert show(nested(100_000)) == "[" * MAX_SHOWN + "..."
    large = {"rows": list(range(200_000)), "text": "x" * 10_000_000}
    deep = nested(50, [large, {"text": "é" * 10_000_000}])
    tracemalloc.start()
    shown = [show(large), show(deep), show(large["text"])]
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert all(len(text) == MAX_SHOWN + len("...") for text in shown)
    assert peak < 100_000
