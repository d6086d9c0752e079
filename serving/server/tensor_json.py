"""One JSON value to one tensor and back, by the mapping of TF Serving's RESTful API.

The rules are those of https://www.tensorflow.org/tfx/serving/api_rest: nested lists of equal
lengths, `{"b64": ...}` for bytes, the tokens NaN, Infinity and -Infinity, and no silent conversion
between JSON types (true is not a number, 1.0 is not an integer).
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator, Sequence
from itertools import chain, repeat
from typing import Any

import numpy as np
import tensorflow as tf

from serving.server.errors import Code, ServingError, invalid_argument

BYTES_SUFFIX = "_bytes"  # outputs whose name ends so are written as base64
MAX_SHOWN = 200  # characters of a client's value that an error repeats
MAX_DIMENSIONS = 32  # of an array, in every NumPy that this project runs with

_INTEGERS = (tf.int8, tf.uint8, tf.int16, tf.int32, tf.uint32, tf.int64, tf.uint64)
_LEAF_TYPES: dict[tf.DType, frozenset[type]] = {
    tf.bool: frozenset([bool]),
    tf.string: frozenset([str, dict]),
    tf.float32: frozenset([int, float]),
    tf.float64: frozenset([int, float]),
    **{dtype: frozenset([int]) for dtype in _INTEGERS},
}
_TENSOR_TYPES = {tf.float32: "float", tf.float64: "double"}  # names where they differ from ours
_JSON_TYPES = {dict: "Object", list: "Array", str: "String", int: "Number", float: "Number"}


def is_base64(value: Any) -> bool:
    """Returns whether a JSON value is bytes in base64 rather than an object."""
    return isinstance(value, dict) and value.keys() == {"b64"} and isinstance(value["b64"], str)


def show(value: Any) -> str:
    """Returns a JSON value as an error repeats it: whole if short, else its start."""
    text = ""
    for part in _parts(value):
        text += part
        if len(text) > MAX_SHOWN:
            return f"{text[:MAX_SHOWN]}..."
    return text


def _parts(value: Any) -> Iterator[str]:
    """Yields the text of a JSON value part by part, without recursion, as it may be deep."""
    around: list[tuple[str, Iterator[tuple[str, Any]]]] = [("", iter([("", value)]))]
    while around:
        end, inner = around[-1]
        lead, entry = next(inner, (None, None))
        if lead is None:
            around.pop()
            yield end
            continue
        yield lead
        commas = chain([""], repeat(", "))
        if isinstance(entry, list):
            yield "["
            around.append(("]", zip(commas, entry, strict=False)))
        elif isinstance(entry, dict):
            yield "{"
            leads = (f"{comma}{_brief(key)}: " for comma, key in zip(commas, entry, strict=False))
            around.append(("}", zip(leads, entry.values(), strict=False)))
        else:
            yield _brief(entry)


def _brief(value: Any) -> str:
    return json.dumps(value[: MAX_SHOWN + 1] if isinstance(value, str) else value)


def array_from_json(value: Any, dtype: tf.DType) -> np.ndarray:
    """Turns a JSON value or nested list into an array.

    Args:
        value: The decoded JSON.
        dtype: The tensor's type.

    Returns:
        An array of that type; strings are bytes in an object array.

    Raises:
        ServingError: INVALID_ARGUMENT for lists of unequal length or depth or of more than
            `MAX_DIMENSIONS` levels, or a value that is not of the type or does not fit it;
            UNIMPLEMENTED for a type that JSON cannot express.
    """
    if dtype not in _LEAF_TYPES:
        raise ServingError(
            Code.UNIMPLEMENTED, f"Conversion of JSON Value: {show(value)} to type: {dtype.name}"
        )
    shape, leaves = _flatten(value)
    for kind in set(map(type, leaves)) - _LEAF_TYPES[dtype]:
        raise _type_error(next(leaf for leaf in leaves if type(leaf) is kind), dtype)
    return _convert(leaves, dtype).reshape(shape)


def _flatten(value: Any) -> tuple[list[int], list[Any]]:
    """Returns the shape of nested lists and their leaves; level by level, as requests are large."""
    shape: list[int] = []
    level = [value]
    while level and list in (kinds := set(map(type, level))):
        if len(shape) == MAX_DIMENSIONS:
            raise invalid_argument(
                f"Encountered list at unexpected level: {len(shape)} expected < {MAX_DIMENSIONS}"
            )
        if kinds != {list}:
            found = next(entry for entry in level if not isinstance(entry, list))
            raise invalid_argument(
                f"JSON Value: {show(found)} found at incorrect level: {len(shape) + 1} in the JSON "
                "DOM. Lists must be nested equally deep"
            )
        size = len(level[0])
        if set(map(len, level)) != {size}:
            unequal = next(len(entry) for entry in level if len(entry) != size)
            raise invalid_argument(
                f"Encountered list at unexpected size: {unequal} at level: {len(shape)} "
                f"expected size: {size}"
            )
        shape.append(size)
        level = list(chain.from_iterable(level))
    return shape, level


def _convert(leaves: Sequence[Any], dtype: tf.DType) -> np.ndarray:
    if dtype == tf.string:
        array = np.empty(len(leaves), object)
        array[:] = [_bytes(leaf) for leaf in leaves]
        return array
    if dtype.is_floating:
        return _floats(leaves, dtype)
    if dtype.is_integer and leaves:
        for extreme in (min(leaves), max(leaves)):
            if not dtype.min <= extreme <= dtype.max:
                raise _type_error(extreme, dtype)
    return np.array(leaves, dtype.as_numpy_dtype)


def _floats(leaves: Sequence[Any], dtype: tf.DType) -> np.ndarray:
    """Converts numbers, refusing integers past the mantissa and decimals out of range."""
    largest_integer = 2 ** (np.finfo(dtype.as_numpy_dtype).nmant + 1) - 1
    for leaf in leaves if int in set(map(type, leaves)) else ():
        if type(leaf) is int and abs(leaf) > largest_integer:
            raise _lossy(leaf, dtype)
    wide = np.array(leaves, np.float64)
    with np.errstate(over="ignore"):
        narrow = wide.astype(dtype.as_numpy_dtype)
    # After rounding: the shortest digits of the largest float32 lie above it as a double.
    lost = np.isfinite(wide) & ~np.isfinite(narrow)
    if lost.any():
        raise _lossy(leaves[int(lost.argmax())], dtype)
    return narrow


def _bytes(leaf: Any) -> bytes:
    if isinstance(leaf, str):
        try:
            return leaf.encode()
        except UnicodeEncodeError as error:
            raise invalid_argument(f"JSON Value: {show(leaf)} is not valid UTF-8") from error
    if not is_base64(leaf):
        raise invalid_argument(f"JSON Value: {show(leaf)} not formatted correctly for base64 data")
    try:
        return base64.b64decode(leaf["b64"], validate=True)
    except ValueError as error:
        raise invalid_argument("Unable to base64 decode") from error


def _lossy(leaf: Any, dtype: tf.DType) -> ServingError:
    return invalid_argument(
        f"Cannot convert JSON value: {show(leaf)} to {_TENSOR_TYPES[dtype]} without loss of "
        "precision."
    )


def json_type(value: Any) -> str:
    """Returns the name of a JSON value's type."""
    return _JSON_TYPES.get(type(value)) or {None: "Null", True: "True", False: "False"}[value]


def _type_error(leaf: Any, dtype: tf.DType) -> ServingError:
    return invalid_argument(
        f"JSON Value: {show(leaf)} Type: {json_type(leaf)} is not of expected type: "
        f"{_TENSOR_TYPES.get(dtype, dtype.name)}"
    )


def array_to_json(name: str, array: np.ndarray) -> Any:
    """Turns an output into a JSON value: nested lists, or a single value for a scalar.

    Args:
        name: The output's name; bytes are written as base64 where it ends in `_bytes`.
        array: The output; strings are bytes in an object array.

    Raises:
        ServingError: INVALID_ARGUMENT for a type that JSON cannot express, or bytes that are no
            text under a name that does not say so.
    """
    if array.dtype == object:
        return _strings_to_json(name, array)
    dtype = tf.as_dtype(array.dtype)
    if dtype not in _LEAF_TYPES:
        raise invalid_argument(f"Failed to write JSON value for tensor type: {dtype.name}")
    if dtype == tf.float32:
        # By way of text: the shortest digits that give the same float32, not those of a double.
        return array.astype(np.str_).astype(np.float64).tolist()
    return array.tolist()


def _strings_to_json(name: str, array: np.ndarray) -> Any:
    if name.endswith(BYTES_SUFFIX):
        texts = [{"b64": base64.b64encode(value).decode()} for value in array.flat]
    else:
        try:
            texts = [value.decode() for value in array.flat]
        except UnicodeDecodeError as error:
            raise invalid_argument(
                f"Tensor name: {name} holds bytes that are not UTF-8; only an output whose name "
                f"ends in {BYTES_SUFFIX} can"
            ) from error
    decoded = np.empty(array.size, object)
    decoded[:] = texts
    return decoded.reshape(array.shape).tolist()
