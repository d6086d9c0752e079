"""What a server answers, whatever the protocol: predict, classify, regress, several at once."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from tensorflow_serving.apis import inference_pb2, input_pb2

from serving.server.engine import Engine
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
from serving.server.metrics import Metrics
from serving.server.model_manager import ModelManager
from serving.server.model_spec import ModelSpec
from serving.server.servable import Servable
from serving.server.signature import DEFAULT_SIGNATURE, Signature, checked_inputs

T = TypeVar("T")


@dataclass(frozen=True)
class Entry:
    """Where a request came in, for the metrics.

    Attributes:
        point: `GRPC` or `REST`.
        api: Such as `predict`.
    """

    point: str
    api: str


class Inference:
    """The models and the threads that run them.

    Args:
        manager: The loaded versions.
        engine: The threads.
        metrics: Where requests are counted.
    """

    def __init__(self, manager: ModelManager, engine: Engine, metrics: Metrics) -> None:
        self.manager = manager
        self.engine = engine
        self.metrics = metrics

    @contextmanager
    def use(self, spec: ModelSpec, entry: Entry) -> Iterator[Servable]:
        """Holds the version that a request asks for, and counts the request.

        Raises:
            ServingError: There is no such version.
        """
        started, code, known = time.perf_counter(), Code.UNKNOWN, ""
        try:
            with self.manager.use(spec) as servable:
                known = servable.name
                yield servable
            code = Code.OK
        except ServingError as error:
            code = error.code
            raise
        finally:
            # Only of models that are served: names that clients make up would fill the memory.
            seconds = time.perf_counter() - started
            self.metrics.observe_request(known, entry.api, entry.point, code, seconds)

    async def predict(
        self,
        servable: Servable,
        signature: Signature,
        inputs: Mapping[str, np.ndarray],
        wanted: Sequence[str] = (),
    ) -> dict[str, np.ndarray]:
        """Runs a signature.

        Args:
            servable: The loaded version.
            signature: One of its signatures.
            inputs: Arrays by input name, of the inputs' types; strings are bytes in object arrays.
            wanted: Names of the outputs; none for all.

        Returns:
            The outputs by name.

        Raises:
            ServingError: Inputs that do not fit the signature, or the graph's own error.
        """
        names = list(wanted) or list(signature.fetches)
        fetches = [signature.fetches[name] for name in names]
        values = await self.engine.run(
            servable, checked_inputs(signature, inputs), fetches, "predict"
        )
        return dict(zip(names, values, strict=True))

    async def classify(self, servable: Servable, name: str, given: input_pb2.Input) -> Classes:
        """Classifies examples.

        Args:
            servable: The loaded version.
            name: The signature's name; empty for the default one.
            given: The examples.

        Raises:
            ServingError: A signature that does not classify, or the graph's own error.
        """
        signature = method_signature(servable, name, CLASSIFY)
        return await self._of_examples(servable, signature, given, classes_of, "classify")

    async def regress(self, servable: Servable, name: str, given: input_pb2.Input) -> np.ndarray:
        """Returns a value for each example; see `classify`."""
        signature = method_signature(servable, name, REGRESS)
        return await self._of_examples(servable, signature, given, regressions_of, "regress")

    async def _of_examples(
        self,
        servable: Servable,
        signature: Signature,
        given: input_pb2.Input,
        read: Callable[[Signature, Mapping[str, np.ndarray], int], T],
        api: str,
    ) -> T:
        examples = serialized_examples(given)
        fetches = list(signature.fetches.values())
        feeds = {input_tensor(signature): examples}
        values = await self.engine.run(servable, feeds, fetches, api)
        return read(signature, dict(zip(fetches, values, strict=True)), len(examples))

    async def several(
        self, servable: Servable, request: inference_pb2.MultiInferenceRequest
    ) -> inference_pb2.MultiInferenceResponse:
        """Classifies and regresses the same examples in one run of the graph.

        Args:
            servable: The loaded version.
            request: Tasks of one model, each of another signature.

        Raises:
            ServingError: Tasks that do not go together, or the graph's own error.
        """
        signatures = [_task_signature(servable, task) for task in request.tasks]
        names = [signature.name for signature in signatures]
        for name in names:
            if names.count(name) > 1:
                raise invalid_argument(f"Duplicate evaluation of signature: {name}")
        inputs = {input_tensor(signature) for signature in signatures}
        if len(inputs) != 1:
            raise invalid_argument("Input tensor must be the same for all Signatures.")
        fetches = list(dict.fromkeys(t for s in signatures for t in s.fetches.values()))
        examples = serialized_examples(request.input)
        found = await self.engine.run(
            servable, {inputs.pop(): examples}, fetches, "multi_inference"
        )
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


def _task_signature(servable: Servable, task: inference_pb2.InferenceTask) -> Signature:
    if not task.model_spec.name:
        raise invalid_argument("Found ModelSpec with an empty model name.")
    if task.model_spec.name != servable.name:
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
