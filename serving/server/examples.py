"""Classify, Regress and MultiInference: signatures that take serialized `tf.train.Example`s."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from tensorflow_serving.apis import classification_pb2, input_pb2, regression_pb2

from serving.server.errors import Code, ServingError, invalid_argument
from serving.server.servable import Servable
from serving.server.signature import DEFAULT_SIGNATURE, Signature

CLASSIFY = "tensorflow/serving/classify"
REGRESS = "tensorflow/serving/regress"
_INPUT = "inputs"
_CLASSES, _SCORES = "classes", "scores"
_REGRESSED = "outputs"
_MAX_CONTEXT_BYTES = 64 * 2**20  # of the context of a request, once it stands in every example


@dataclass(frozen=True)
class Classes:
    """Labels and scores of N examples, each of C classes; one of the two may be missing."""

    labels: np.ndarray | None
    scores: np.ndarray | None

    def rows(self) -> list[list[tuple[bytes, float]]]:
        """Returns a label and a score for each class of each example."""
        some = self.labels if self.labels is not None else self.scores
        assert some is not None
        labels = np.full(some.shape, b"", object) if self.labels is None else self.labels
        scores = np.zeros(some.shape) if self.scores is None else self.scores
        pairs: list[list[tuple[bytes, float]]] = np.stack([labels, scores], axis=-1).tolist()
        return [[(label, score) for label, score in row] for row in pairs]


def method_signature(servable: Servable, name: str, method: str) -> Signature:
    """Returns the signature of a request to classify or regress.

    Args:
        servable: The loaded version.
        name: The signature's name; empty for the default one.
        method: `CLASSIFY` or `REGRESS`.

    Raises:
        ServingError: INVALID_ARGUMENT for a signature that is missing or not of the method.
    """
    key = name or DEFAULT_SIGNATURE
    try:
        signature = servable.signature(key)
    except ServingError as error:
        raise invalid_argument(f"No signature was found with the name: {key}") from error
    kind = "classification" if method == CLASSIFY else "regression"
    if signature.method != method:
        raise invalid_argument(
            f"Expected {kind} signature method_name to be {method}. Was: {signature.method}"
        )
    if len(signature.inputs) != 1:
        raise invalid_argument("Expected one input Tensor.")
    if _INPUT not in signature.inputs:
        raise _precondition(f"No {kind} inputs found in SignatureDef: {key}")
    _check_outputs(signature, method)
    return signature


def _check_outputs(signature: Signature, method: str) -> None:
    outputs = signature.fetches
    if method == REGRESS:
        if len(outputs) != 1:
            raise invalid_argument("Expected one output Tensor.")
        if _REGRESSED not in outputs:
            raise _precondition(f"No regression outputs found in SignatureDef: {signature.name}")
        return
    if len(outputs) not in (1, 2):
        raise invalid_argument(f"Expected one or two output Tensors, found {len(outputs)}")
    if not outputs.keys() & {_CLASSES, _SCORES}:
        raise _precondition(
            "Expected classification signature outputs to contain at least one of "
            f'"{_CLASSES}" or "{_SCORES}". Signature was: {signature.name}'
        )


def serialized_examples(given: input_pb2.Input) -> np.ndarray:
    """Returns a request's examples, serialized, as an object array (N,).

    Raises:
        ServingError: INVALID_ARGUMENT where there are none, or too many for their context.
    """
    kind = given.WhichOneof("kind")
    context = b""
    if kind == "example_list_with_context":
        # Parsing one message after the other merges them, so that is what TF Serving does.
        context = given.example_list_with_context.context.SerializeToString()
    examples = getattr(given, kind).examples if kind else []
    if not examples:
        raise invalid_argument("Input is empty.")
    if len(context) * len(examples) > _MAX_CONTEXT_BYTES:
        raise invalid_argument(
            f"A context of {len(context)} bytes must have at most "
            f"{_MAX_CONTEXT_BYTES // len(context)} examples. Received: {len(examples)}"
        )
    array = np.empty(len(examples), object)
    array[:] = [context + example.SerializeToString() for example in examples]
    return array


def input_tensor(signature: Signature) -> str:
    """Returns the graph's tensor that takes the examples."""
    return signature.feeds[_INPUT]


def classes_of(signature: Signature, values: Mapping[str, np.ndarray], count: int) -> Classes:
    """Returns what a classification signature's outputs say of `count` examples.

    Args:
        signature: The signature.
        values: The outputs by the graph's tensors.
        count: Examples of the request.

    Raises:
        ServingError: INVALID_ARGUMENT for outputs of other shapes or types.
    """
    found = {n: values[signature.fetches[n]] for n in (_CLASSES, _SCORES) if n in signature.fetches}
    for name, wanted, shown in (
        (_CLASSES, np.dtype(object), "STRING"),
        (_SCORES, np.float32, "FLOAT"),
    ):
        if (value := found.get(name)) is None:
            continue
        if value.ndim != 2:
            raise invalid_argument(
                f"Expected Tensor shape: [batch_size num_classes] but got {list(value.shape)}"
            )
        if value.dtype != wanted:
            raise invalid_argument(f"Expected {name} Tensor of DT_{shown}. Got: {value.dtype}")
        if len(value) != count:
            raise invalid_argument(
                f"Expected {name} output batch size of {count}. Got: {len(value)}"
            )
    shapes = {value.shape for value in found.values()}
    if len(shapes) > 1:
        raise invalid_argument(f"Tensors class and score should match in dim_size(1). Got {shapes}")
    return Classes(found.get(_CLASSES), found.get(_SCORES))


def regressions_of(
    signature: Signature, values: Mapping[str, np.ndarray], count: int
) -> np.ndarray:
    """Returns the value (N,) of each example.

    Args:
        signature: The signature.
        values: The outputs by the graph's tensors.
        count: Examples of the request.

    Raises:
        ServingError: INVALID_ARGUMENT for an output of another shape or type.
    """
    value = values[signature.fetches[_REGRESSED]]
    if value.ndim != 1 and value.shape[1:] != (1,):
        raise invalid_argument(
            "Expected output Tensor shape to be either [batch_size] or [batch_size, 1] but got "
            f"{list(value.shape)}"
        )
    if len(value) != count:
        raise invalid_argument(
            f"Input batch size did not match output batch size: {count} vs. {len(value)}"
        )
    if value.dtype != np.float32:
        raise invalid_argument(f"Expected output Tensor of DT_FLOAT. Got: {value.dtype}")
    return value.reshape(count)


def classification_result(classes: Classes) -> classification_pb2.ClassificationResult:
    """Returns the message of classes."""
    result = classification_pb2.ClassificationResult()
    for row in classes.rows():
        entry = result.classifications.add()
        for label, score in row:
            entry.classes.add(label=label.decode("utf-8", "replace"), score=score)
    return result


def regression_result(values: Sequence[float]) -> regression_pb2.RegressionResult:
    """Returns the message of values."""
    result = regression_pb2.RegressionResult()
    for value in values:
        result.regressions.add(value=value)
    return result


def _precondition(message: str) -> ServingError:
    return ServingError(Code.FAILED_PRECONDITION, message)
