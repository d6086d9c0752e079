"""Tensors of gRPC requests and answers to arrays and back."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import tensorflow as tf
from tensorflow.core.framework import tensor_pb2

from serving.server.errors import ServingError, invalid_argument

# A proto of a few bytes may claim any shape, as its last value is repeated to fill it. No tensor
# may grow so beyond what a message can hold.
MAX_REPEATED_BYTES = 64 * 2**20

_STRING_BYTES = 24  # of a string in a tensor, beside its text where that is long
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
_KNOWN = {number: (dtype, field) for dtype, (number, field) in _KINDS.items()}


@dataclass(frozen=True)
class Claim:
    """What a message says of its tensor, known before its values are read.

    Attributes:
        shape: The tensor's shape.
        dtype: Its type as an array; strings are objects.
        nbytes: Bytes that it takes once it is read.
    """

    shape: tuple[int, ...]
    dtype: np.dtype
    nbytes: int


def claim_of(
    name: str, proto: tensor_pb2.TensorProto, most_repeated: int = MAX_REPEATED_BYTES
) -> Claim:
    """Returns what a message says of its tensor.

    Args:
        name: The input's name, for errors.
        proto: The tensor as a message.
        most_repeated: Most bytes of a tensor whose values are not all in the message.

    Raises:
        ServingError: INVALID_ARGUMENT for a shape or type that is none, or too large a tensor.
    """
    shape = tuple(entry.size for entry in proto.tensor_shape.dim)
    if proto.tensor_shape.unknown_rank or any(size < 0 for size in shape):
        raise invalid_argument(f"Tensor {name} must have a shape that is fully known")
    dtype, field = _KNOWN.get(proto.dtype) or (_dtype(name, proto.dtype), None)
    values = getattr(proto, field) if field else ()
    size = dtype.itemsize
    if dtype.kind == "O":
        size = _STRING_BYTES + (len(values[-1]) if values else 0)
    count = math.prod(shape)
    if count > len(values) and not proto.tensor_content and count * size > most_repeated:
        raise invalid_argument(
            f"Tensor {name} of shape {list(shape)} must have at most {most_repeated // size} "
            "elements if its values are not all sent"
        )
    return Claim(shape, dtype, count * size)


def _dtype(name: str, number: int) -> np.dtype:
    try:
        return np.dtype(tf.as_dtype(number).as_numpy_dtype)
    except (TypeError, KeyError) as error:
        raise _not_decoded(name, error) from error


def array_from_proto(
    name: str, proto: tensor_pb2.TensorProto, most_repeated: int = MAX_REPEATED_BYTES
) -> np.ndarray:
    """Returns the array of an input.

    Args:
        name: The input's name, for errors.
        proto: The tensor as a message.
        most_repeated: Most bytes of a tensor whose values are not all in the message.

    Raises:
        ServingError: INVALID_ARGUMENT for a message that holds no tensor, or too large a one.
    """
    claim = claim_of(name, proto, most_repeated)
    try:
        return _decoded(proto, claim)
    except (TypeError, ValueError, KeyError, OverflowError) as error:
        raise _not_decoded(name, error) from error


def _not_decoded(name: str, error: Exception) -> ServingError:
    return invalid_argument(f"Tensor {name} cannot be decoded: {error}")


def _decoded(proto: tensor_pb2.TensorProto, claim: Claim) -> np.ndarray:
    _, field = _KNOWN.get(proto.dtype, (claim.dtype, None))
    if field is None or proto.tensor_content:
        array = tf.make_ndarray(proto)
        # Of a string tensor without any element it makes one of characters.
        return array.astype(object) if array.dtype.kind in "SU" else array
    # By hand, as most requests are of a few values, for which `make_ndarray` takes long.
    array = _sent(proto, field, claim.dtype)
    count = math.prod(claim.shape)
    if len(array) < count:  # the last value, or nothing at all, stands for the rest
        last = array[-1:] if len(array) else _nothing(claim.dtype)
        array = np.concatenate([array, np.repeat(last, count - len(array))])
    return array.reshape(claim.shape)


def _sent(proto: tensor_pb2.TensorProto, field: str, dtype: np.dtype) -> np.ndarray:
    array = np.array(getattr(proto, field), dtype)
    if field == "int_val" and dtype != np.int32:  # the field of smaller types, too
        sent = np.array(proto.int_val, np.int32)
        if (lost := sent != array).any():
            raise ValueError(f"{sent[lost][0]} is out of the range of {dtype.name}")
    return array


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
