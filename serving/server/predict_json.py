"""Bodies of TF Serving's REST predict call: row format (`instances`), column format (`inputs`).

In row format the tensors share their first dimension: one JSON value, or one object with every
input, for each row. In column format an object holds the tensors by name.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any

import numpy as np
import tensorflow as tf

from serving.server.errors import ServingError, invalid_argument
from serving.server.tensor_json import (
    MAX_SHOWN,
    array_from_json,
    array_to_json,
    is_base64,
    show,
)


class Format(Enum):
    """The two forms; the value is the key that holds the input."""

    ROW = "instances"
    COLUMN = "inputs"


@dataclass(frozen=True)
class PredictBody:
    """A predict request before its values meet a signature.

    Attributes:
        signature_name: The signature asked for; empty for the default.
        format: Row or column format.
        value: The decoded JSON under `instances` or `inputs`.
    """

    signature_name: str
    format: Format
    value: Any


def parse_body(body: bytes) -> PredictBody:
    """Decodes the body of a predict request.

    Raises:
        ServingError: INVALID_ARGUMENT where the body is not JSON of the documented form.
    """
    document, signature_name = parse_document(body)
    given = [form for form in Format if form.value in document]
    if not given:
        raise invalid_argument("Missing 'inputs' or 'instances' key")
    if len(given) == 2:
        raise invalid_argument(
            f"JSON Value: {show(document)} Not formatted correctly expecting only one of 'inputs' "
            "or 'instances' keys to exist"
        )
    return PredictBody(signature_name, given[0], document[given[0].value])


def parse_document(body: bytes) -> tuple[dict[str, Any], str]:
    """Returns the object of a request's body, and the signature that it names.

    Raises:
        ServingError: INVALID_ARGUMENT where the body is not a JSON object.
    """
    document = _parse_json(body)
    if not isinstance(document, dict):
        raise invalid_argument(f"JSON Value: {show(document)} Is not object")
    signature_name = document.get("signature_name", "")
    if not isinstance(signature_name, str):
        raise invalid_argument(
            f"JSON Value: {show(document)} not formatted correctly. 'signature_name' key must be "
            "a string value."
        )
    return document, signature_name


def _parse_json(body: bytes) -> Any:
    if not body:
        raise invalid_argument("JSON Parse error: The document is empty")
    try:
        return json.loads(body, parse_float=_finite)
    except RecursionError as error:
        raise invalid_argument("JSON Parse error: The document is nested too deeply") from error
    except ValueError as error:  # not JSON, not UTF-8, or a number that is too large
        raise invalid_argument(f"JSON Parse error: {error}") from error


def _finite(text: str) -> float:
    value = float(text)
    if math.isinf(value):  # as RapidJSON: infinity has a token of its own
        raise ValueError(f"Number too big to be stored in double: {text[:MAX_SHOWN]}")
    return value


def input_arrays(body: PredictBody, inputs: Mapping[str, tf.TensorSpec]) -> dict[str, np.ndarray]:
    """Turns a request's values into arrays for a signature.

    Args:
        body: The decoded request.
        inputs: Input tensors of the signature by name.

    Returns:
        Arrays by input name, of the inputs' types.

    Raises:
        ServingError: INVALID_ARGUMENT for inputs that are missing, unknown, ragged or of a wrong
            type; UNIMPLEMENTED for an input type that JSON cannot express.
    """
    if body.format is Format.ROW:
        columns = _columns_of_rows(body.value, inputs)
    else:
        columns = _columns(body.value, inputs)
    arrays = {}
    for name, value in columns.items():
        try:
            arrays[name] = array_from_json(value, inputs[name].dtype)
        except ServingError as error:
            message = f"Failed to process key: {name} of '{body.format.value}'."
            raise ServingError(error.code, f"{message} Error: {error.message}") from error
    return arrays


def _columns_of_rows(rows: Any, inputs: Mapping[str, tf.TensorSpec]) -> dict[str, Any]:
    if not isinstance(rows, list):
        raise invalid_argument(f"JSON Value: {show(rows)} Expecting 'instances' to be a list/array")
    if not rows:
        raise invalid_argument("JSON Value: [] No values in 'instances' array")
    named = [_is_named(row) for row in rows]
    if named[0] and not all(named):
        raise invalid_argument(
            f"Expecting object but got value/list at item {named.index(False)} of input list"
        )
    if not named[0] and any(named):
        raise invalid_argument(
            f"Expecting value/list but got object at item {named.index(True)} of input list"
        )
    if not named[0]:
        return {_only_input(inputs, "instances is a plain list"): rows}
    for index, row in enumerate(rows):
        if row.keys() != inputs.keys():
            raise invalid_argument(
                f"Failed to process element: {index} of 'instances' list. JSON object: "
                f"{show(row)} keys must be equal to: {','.join(sorted(inputs))}"
            )
    return {name: [row[name] for row in rows] for name in inputs}


def _columns(value: Any, inputs: Mapping[str, tf.TensorSpec]) -> dict[str, Any]:
    if not _is_named(value):
        return {_only_input(inputs, "inputs is a plain value/list"): value}
    for name in inputs:
        if name not in value:
            raise invalid_argument(f"Missing named input: {name} in 'inputs' object.")
    for name in value:
        if name not in inputs:
            raise invalid_argument(f"JSON object: does not have named input: {name}")
    return {name: value[name] for name in inputs}


def _only_input(inputs: Mapping[str, tf.TensorSpec], found: str) -> str:
    if len(inputs) != 1:
        raise invalid_argument(
            f"{found}, but expecting objects as multiple input tensors required: "
            f"{','.join(sorted(inputs))}"
        )
    return next(iter(inputs))


def _is_named(value: Any) -> bool:
    return isinstance(value, dict) and not is_base64(value)


def response_body(outputs: Mapping[str, np.ndarray], form: Format) -> bytes:
    """Encodes outputs in the form of the request; a single output goes without its name.

    Raises:
        ServingError: INVALID_ARGUMENT for outputs that the form cannot express.
    """
    if not outputs:
        raise invalid_argument("Cannot convert empty tensor map to JSON")
    if form is Format.ROW:
        _check_first_dimensions(outputs)
    values = {name: array_to_json(name, array) for name, array in outputs.items()}
    if form is Format.COLUMN:
        document = {"outputs": values if len(values) > 1 else next(iter(values.values()))}
    elif len(values) > 1:
        rows = zip(*values.values(), strict=True)
        document = {"predictions": [dict(zip(values, row, strict=True)) for row in rows]}
    else:
        document = {"predictions": next(iter(values.values()))}
    return json.dumps(document, ensure_ascii=False).encode()


def _check_first_dimensions(outputs: Mapping[str, np.ndarray]) -> None:
    sizes = set()
    for name, array in outputs.items():
        if array.ndim == 0:
            raise invalid_argument(f"Tensor name: {name} has no shape information")
        sizes.add(len(array))
        if len(sizes) > 1:
            raise invalid_argument(
                f"Tensor name: {name} has inconsistent batch size: {len(array)} expecting: "
                f"{len(next(iter(outputs.values())))}"
            )
