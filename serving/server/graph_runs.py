"""What a request runs, before it is run: in threads for clients, at once for warm-up."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

import numpy as np
from tensorflow_serving.apis import inference_pb2, input_pb2

from serving.server.errors import Code, ServingError, invalid_argument
from serving.server.examples import (
    CLASSIFY,
    REGRESS,
    Classes,
    classes_of,
    classification_result,
    input_tensor,
    method_signature,
    regression_result,
    regressions_of,
    serialized_examples,
)
from serving.server.servable import Servable
from serving.server.signature import DEFAULT_SIGNATURE, Signature

T = TypeVar("T")


@dataclass(frozen=True)
class GraphRun(Generic[T]):
    """One run of a graph, and what is made of it.

    Attributes:
        feeds: Values of the graph's tensors.
        fetches: The graph's tensors that are wanted.
        read: Makes the answer of their values, in the order of `fetches`; raises ServingError for
            outputs that are none of the method's.
    """

    feeds: Mapping[str, np.ndarray]
    fetches: Sequence[str]
    read: Callable[[Sequence[np.ndarray]], T]


def classification(servable: Servable, name: str, given: input_pb2.Input) -> GraphRun[Classes]:
    """Returns the run that classifies examples.

    Args:
        servable: The loaded version.
        name: The signature's name; empty for the default one.
        given: The examples.

    Raises:
        ServingError: A signature that does not classify, or no examples.
    """
    signature = method_signature(servable, name, CLASSIFY)
    return _run(signature, given, classes_of)


def regression(servable: Servable, name: str, given: input_pb2.Input) -> GraphRun[np.ndarray]:
    """Returns the run that gives a value for each example; see `classification`."""
    signature = method_signature(servable, name, REGRESS)
    return _run(signature, given, regressions_of)


def _run(
    signature: Signature,
    given: input_pb2.Input,
    read: Callable[[Signature, Mapping[str, np.ndarray], int], T],
) -> GraphRun[T]:
    examples = serialized_examples(given)
    fetches = list(signature.fetches.values())
    return GraphRun(
        {input_tensor(signature): examples},
        fetches,
        lambda found: read(signature, dict(zip(fetches, found, strict=True)), len(examples)),
    )


def multi_inference(
    servable: Servable, request: inference_pb2.MultiInferenceRequest
) -> GraphRun[inference_pb2.MultiInferenceResponse]:
    """Returns the run that classifies and regresses the same examples.

    Args:
        servable: The loaded version.
        request: Tasks of one model, each of another signature.

    Raises:
        ServingError: Tasks that do not go together, or no examples.
    """
    signatures = [_task_signature(servable, request, task) for task in request.tasks]
    names = [signature.name for signature in signatures]
    for name in names:
        if names.count(name) > 1:
            raise invalid_argument(f"Duplicate evaluation of signature: {name}")
    inputs = {input_tensor(signature) for signature in signatures}
    if len(inputs) != 1:
        raise invalid_argument("Input tensor must be the same for all Signatures.")
    fetches = list(dict.fromkeys(t for s in signatures for t in s.fetches.values()))
    examples = serialized_examples(request.input)

    def read(found: Sequence[np.ndarray]) -> inference_pb2.MultiInferenceResponse:
        values = dict(zip(fetches, found, strict=True))
        response = inference_pb2.MultiInferenceResponse()
        for task, signature in zip(request.tasks, signatures, strict=True):
            result = response.results.add()
            result.model_spec.name = servable.name
            result.model_spec.signature_name = signature.name
            result.model_spec.version.value = servable.version
            if task.method_name == CLASSIFY:
                classes = classes_of(signature, values, len(examples))
                result.classification_result.CopyFrom(classification_result(classes))
            else:
                numbers = regressions_of(signature, values, len(examples))
                result.regression_result.CopyFrom(regression_result(numbers.tolist()))
        return response

    return GraphRun({inputs.pop(): examples}, fetches, read)


def _task_signature(
    servable: Servable,
    request: inference_pb2.MultiInferenceRequest,
    task: inference_pb2.InferenceTask,
) -> Signature:
    if not task.model_spec.name:
        raise invalid_argument("Found ModelSpec with an empty model name.")
    # Not that of the servable: a warm-up request names the model as it was served elsewhere.
    if task.model_spec.name != request.tasks[0].model_spec.name:
        raise invalid_argument(
            "All ModelSpecs in a MultiInferenceRequest must access the same model name."
        )
    key = task.model_spec.signature_name or DEFAULT_SIGNATURE
    if key not in servable.signature_defs:
        raise invalid_argument(f"Requested signature not found in model graph: {key}")
    if task.method_name not in (CLASSIFY, REGRESS):
        raise ServingError(
            Code.UNIMPLEMENTED, f"Unsupported signature method_name: {task.method_name}"
        )
    return method_signature(servable, key, task.method_name)
