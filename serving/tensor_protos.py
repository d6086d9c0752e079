"""Tensors of gRPC requests and answers to arrays and back."""

from __future__ import annotations

import math

import numpy as np
import tensorflow as tf
from tensorflow.core.framework import tensor_pb2

from serving.server.errors import invalid_argument

# A proto of a few bytes may claim any shape: one value is repeated to fill it.
MAX_ELEMENTS = 64 * 2**20

_FIELDS = {
    tf.float32: "float_val",
    tf.float64: "double_val",
    **dict.fromkeys((tf.int32, tf.int16, tf.int8, tf.uint8, tf.uint16), "int_val"),
    tf.int64: "int64_val",
    tf.uint32: "uint32_val",
    tf.uint64: "uint64_val",
    tf.bool: "bool_val",
    tf.string: "string_val",
}
_KINDS = {
    np.dtype(dtype.as_numpy_dtype): (dtype.as_datatype_enum, field)
    for dtype, field in _FIELDS.items()
}
_DTYPES = {dtype.as_datatype_enum: dtype for dtype in _FIELDS}


def array_from_proto(name: str, proto: tensor_pb2.TensorProto) -> np.ndarray:
    """Returns the array of an input.

    Args:
        name: The input's name, for errors.
        proto: The tensor as a message.

    Raises:
        ServingError: INVALID_ARGUMENT for a message that holds no tensor, or too large a one.
    """
    shape = [entry.size for entry in proto.tensor_shape.dim]
    if proto.tensor_shape.unknown_rank or any(size < 0 for size in shape):
        raise invalid_argument(f"Tensor {name} must have a shape that is fully known")
    if math.prod(shape) > MAX_ELEMENTS:
        raise invalid_argument(
            f"Tensor {name} of shape {shape} must have at most {MAX_ELEMENTS} elements"
        )
    try:
        return _decoded(proto, shape)
    except (TypeError, ValueError, KeyError) as error:
        raise invalid_argument(f"Tensor {name} cannot be decoded: {error}") from error


def _decoded(proto: tensor_pb2.TensorProto, shape: list[int]) -> np.ndarray:
    dtype = _DTYPES.get(proto.dtype)
    if dtype is None or proto.tensor_content:
        array = tf.make_ndarray(proto)
        # Of a string tensor without any element it makes one of characters.
        return array.astype(object) if array.dtype.kind in "SU" else array
    # By hand, as most requests are of a few values, for which `make_ndarray` takes long.
    values = getattr(proto, _FIELDS[dtype])
    array = np.array(values, object if dtype == tf.string else dtype.as_numpy_dtype)
    count = math.prod(shape)
    if len(array) < count:  # the last value, or nothing at all, stands for the rest
        last = array[-1:] if len(array) else _nothing(array.dtype)
        array = np.concatenate([array, np.repeat(last, count - len(array))])
    return array.reshape(shape)


def _nothing(dtype: np.dtype) -> np.ndarray:
    empty = np.zeros(1, dtype)
    if dtype.kind == "O":
        empty[0] = b""
    return empty


def proto_from_array(array: np.ndarray) -> tensor_pb2.TensorProto:
    """Returns an output as a message, its values in the field of its type as TF Serving does.

    Args:
        array: The output; strings are bytes in an object array.
    """
    kind = _KINDS.get(array.dtype)
    if kind is None:
        return tf.make_tensor_proto(array)
    number, field = kind
    proto = tensor_pb2.TensorProto(dtype=number)
    for size in array.shape:
        proto.tensor_shape.dim.add(size=size)
    getattr(proto, field).extend(array.ravel().tolist())
    return proto
