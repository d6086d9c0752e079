"""Bodies of TF Serving's REST classify and regress calls.

Each example is an object: numbers with a decimal point become floats, others integers, text and
`{"b64": ...}` bytes. What stands in `context` belongs to every example.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import tensorflow as tf
from tensorflow_serving.apis import input_pb2

from serving.server.errors import ServingError, invalid_argument
from serving.server.examples import Classes
from serving.server.predict_json import parse_document
from serving.server.tensor_json import array_from_json, json_type, show

_KINDS = {
    tf.int64: ("int64_list", "int64"),
    tf.float32: ("float_list", "float"),
    tf.string: ("bytes_list", "bytes"),
}


@dataclass(frozen=True)
class ExamplesBody:
    """A request to classify or regress.

    Attributes:
        signature_name: The signature asked for; empty for the default.
        input: The examples.
    """

    signature_name: str
    input: input_pb2.Input


def parse_examples(body: bytes) -> ExamplesBody:
    """Decodes the body of a classify or regress request.

    Raises:
        ServingError: INVALID_ARGUMENT where the body is not JSON of the documented form.
    """
    document, signature_name = parse_document(body)
    if "examples" not in document:
        raise invalid_argument(
            f"JSON Value: {show(document)} When method is classify, key 'examples' is expected and "
            "was not found"
        )
    rows = document["examples"]
    if not isinstance(rows, list):
        raise invalid_argument(
            f"JSON Value: {show(document)} Expecting 'examples' value to be an list/array"
        )
    if not rows:
        raise invalid_argument(f"JSON Value: {show(document)} 'examples' value is an empty array")
    examples = [_example(row) for row in rows]
    given = input_pb2.Input()
    if "context" in document:
        given.example_list_with_context.context.CopyFrom(_example(document["context"]))
        given.example_list_with_context.examples.extend(examples)
    else:
        given.example_list.examples.extend(examples)
    return ExamplesBody(signature_name, given)


def _example(value: Any) -> tf.train.Example:
    if not isinstance(value, dict):
        raise invalid_argument(f"Example must be JSON object but got JSON {json_type(value)}")
    example = tf.train.Example()
    for name, content in value.items():
        feature = example.features.feature[name]
        for entry in content if isinstance(content, list) else [content]:
            _add(feature, name, entry)
    return example


def _add(feature: tf.train.Feature, name: str, value: Any) -> None:
    if value is None or isinstance(value, list):
        raise invalid_argument(
            f"Feature: {name} has element with unexpected JSON type: {json_type(value)}"
        )
    dtype = tf.int64
    if isinstance(value, bool):
        value = int(value)
    elif isinstance(value, float):
        dtype = tf.float32
    elif isinstance(value, str | dict):
        dtype = tf.string
    field, _ = _KINDS[dtype]
    kind = feature.WhichOneof("kind")
    if kind not in (None, field):
        expected = next(text for other, text in _KINDS.values() if other == kind)
        raise invalid_argument(
            f"Unexpected element type in feature: {name} expecting type: {expected}"
        )
    try:
        converted = array_from_json([value], dtype)[0]
    except ServingError as error:
        raise invalid_argument(f"Feature: {name}: {error.message}") from error
    getattr(feature, field).value.append(converted)


def classified_body(classes: Classes) -> bytes:
    """Encodes classes: for each example a list of label and score."""
    rows = [
        [[label.decode("utf-8", "replace"), _shortest(score)] for label, score in row]
        for row in classes.rows()
    ]
    return json.dumps({"results": rows}, ensure_ascii=False).encode()


def regressed_body(values: Sequence[float]) -> bytes:
    """Encodes values: one for each example."""
    return json.dumps({"results": [_shortest(value) for value in values]}).encode()


def _shortest(value: float) -> float:
    """Returns the shortest digits that give the same float32."""
    return float(str(np.float32(value)))
