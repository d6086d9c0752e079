"""What a server answers, whatever the protocol: predict, classify, regress, several at once."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from tensorflow_serving.apis import inference_pb2, input_pb2

from serving.server.engine import Engine
from serving.server.errors import Code, ServingError
from serving.server.examples import Classes
from serving.server.graph_runs import GraphRun, classification, multi_inference, regression
from serving.server.metrics import Metrics
from serving.server.model_manager import ModelManager
from serving.server.model_spec import ModelSpec
from serving.server.servable import Servable
from serving.server.signature import Signature, checked_inputs

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
        feeds = checked_inputs(signature, inputs)
        width = _list_width(inputs)
        values = await self.engine.run(servable, feeds, fetches, "predict", width)
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
        return await self._run(servable, classification(servable, name, given), "classify")

    async def regress(self, servable: Servable, name: str, given: input_pb2.Input) -> np.ndarray:
        """Returns a value for each example; see `classify`."""
        return await self._run(servable, regression(servable, name, given), "regress")

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
        return await self._run(servable, multi_inference(servable, request), "multi_inference")

    async def _run(self, servable: Servable, run: GraphRun[T], api: str) -> T:
        return run.read(await self.engine.run(servable, run.feeds, run.fetches, api))


def _list_width(inputs: Mapping[str, np.ndarray]) -> int | None:
    """Returns the largest `k` of a request, as wide as which exports make all lists of a run.

    Requests of another width must not share the run, or the answer to one would depend on others.
    None where there is no such input.
    """
    k = inputs.get("k")
    if k is None or k.ndim != 1 or not k.size or k.dtype.kind not in "iu":
        return None
    return int(k.max())
