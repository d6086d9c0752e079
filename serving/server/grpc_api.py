"""TF Serving's gRPC services, `PredictionService` and `ModelService`."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import grpc
from tensorflow.core.framework import tensor_pb2
from tensorflow_serving.apis import (
    classification_pb2,
    get_model_metadata_pb2,
    get_model_status_pb2,
    inference_pb2,
    model_management_pb2,
    model_pb2,
    model_service_pb2_grpc,
    predict_pb2,
    prediction_service_pb2_grpc,
    regression_pb2,
)

from data.errors import InputError
from serving.server.describe import SIGNATURES, metadata, status
from serving.server.errors import Code, ServingError, invalid_argument
from serving.server.examples import classification_result, regression_result
from serving.server.inference import Entry, Inference
from serving.server.model_spec import ModelSpec
from serving.server.predict_proto import check_request, input_arrays
from serving.server.servable import Servable
from serving.server.settings import models_of
from serving.server.signature import DEFAULT_SIGNATURE
from serving.tensor_protos import proto_from_array

_STATUS_CODES = {code.value[0]: code for code in grpc.StatusCode}

logger = logging.getLogger(__name__)

T = TypeVar("T")
Context = Any  # grpc.aio.ServicerContext


def add_services(server: Any, inference: Inference, max_message_bytes: int) -> None:
    """Adds the services to a `grpc.aio` server.

    Args:
        server: The server.
        inference: The models and the threads that run them.
        max_message_bytes: Largest message, and so most that a request may grow to by repetition.
    """
    prediction_service_pb2_grpc.add_PredictionServiceServicer_to_server(
        _PredictionService(inference, max_message_bytes), server
    )
    model_service_pb2_grpc.add_ModelServiceServicer_to_server(_ModelService(inference), server)


class _PredictionService(prediction_service_pb2_grpc.PredictionServiceServicer):
    def __init__(self, inference: Inference, max_message_bytes: int) -> None:
        self._inference = inference
        self._most_repeated = max_message_bytes

    async def Predict(  # noqa: N802  names of the service
        self, request: predict_pb2.PredictRequest, context: Context
    ) -> predict_pb2.PredictResponse:
        return await _answer(context, self._predict(request))

    async def _predict(self, request: predict_pb2.PredictRequest) -> predict_pb2.PredictResponse:
        with self._use(request.model_spec, "predict") as servable:
            key = request.model_spec.signature_name or DEFAULT_SIGNATURE
            if key not in servable.signature_defs:
                raise ServingError(
                    Code.FAILED_PRECONDITION, f'Serving signature key "{key}" not found.'
                )
            signature = servable.signature(key)
            size = check_request(signature, request, self._most_repeated)
            decode = self._inference.engine.decode
            inputs = await decode(
                max(size, request.ByteSize()), lambda: input_arrays(request, self._most_repeated)
            )
            outputs = await self._inference.predict(
                servable, signature, inputs, request.output_filter
            )
            response = predict_pb2.PredictResponse(model_spec=_served(servable, key))
            protos: dict[str, tensor_pb2.TensorProto] = await decode(
                sum(output.nbytes for output in outputs.values()),
                lambda: {name: proto_from_array(output) for name, output in outputs.items()},
            )
        for name, proto in protos.items():
            response.outputs[name].CopyFrom(proto)
        return response

    async def Classify(  # noqa: N802
        self, request: classification_pb2.ClassificationRequest, context: Context
    ) -> classification_pb2.ClassificationResponse:
        async def work(servable: Servable, name: str) -> classification_pb2.ClassificationResponse:
            classes = await self._inference.classify(servable, name, request.input)
            result = classification_result(classes)
            return classification_pb2.ClassificationResponse(result=result)

        return await _answer(context, self._of_examples(request, "classify", work))

    async def Regress(  # noqa: N802
        self, request: regression_pb2.RegressionRequest, context: Context
    ) -> regression_pb2.RegressionResponse:
        async def work(servable: Servable, name: str) -> regression_pb2.RegressionResponse:
            values = await self._inference.regress(servable, name, request.input)
            return regression_pb2.RegressionResponse(result=regression_result(values.tolist()))

        return await _answer(context, self._of_examples(request, "regress", work))

    async def _of_examples(
        self, request: Any, api: str, work: Callable[[Servable, str], Awaitable[T]]
    ) -> T:
        name = request.model_spec.signature_name
        with self._use(request.model_spec, api) as servable:
            response: Any = await work(servable, name)
            response.model_spec.CopyFrom(_served(servable, name or DEFAULT_SIGNATURE))
            return response

    async def MultiInference(  # noqa: N802
        self, request: inference_pb2.MultiInferenceRequest, context: Context
    ) -> inference_pb2.MultiInferenceResponse:
        async def work() -> inference_pb2.MultiInferenceResponse:
            if not request.tasks:
                raise invalid_argument("Inference request must have at least one task")
            with self._use(request.tasks[0].model_spec, "multi_inference") as servable:
                return await self._inference.several(servable, request)

        return await _answer(context, work())

    async def GetModelMetadata(  # noqa: N802
        self, request: get_model_metadata_pb2.GetModelMetadataRequest, context: Context
    ) -> get_model_metadata_pb2.GetModelMetadataResponse:
        async def work() -> get_model_metadata_pb2.GetModelMetadataResponse:
            if not request.HasField("model_spec"):
                raise invalid_argument("Missing ModelSpec")
            if not request.metadata_field:
                raise invalid_argument(
                    "GetModelMetadataRequest must specify at least one metadata_field"
                )
            for field in request.metadata_field:
                if field != SIGNATURES:
                    raise invalid_argument(f"Metadata field {field} is not supported")
            with self._inference.manager.use(model_spec(request.model_spec)) as servable:
                return metadata(servable)

        return await _answer(context, work())

    def _use(self, spec: model_pb2.ModelSpec, api: str) -> Any:
        return self._inference.use(model_spec(spec), Entry("GRPC", api))


class _ModelService(model_service_pb2_grpc.ModelServiceServicer):
    def __init__(self, inference: Inference) -> None:
        self._inference = inference

    async def GetModelStatus(  # noqa: N802
        self, request: get_model_status_pb2.GetModelStatusRequest, context: Context
    ) -> get_model_status_pb2.GetModelStatusResponse:
        async def work() -> get_model_status_pb2.GetModelStatusResponse:
            if not request.HasField("model_spec"):
                raise invalid_argument("Missing ModelSpec")
            return status(self._inference.manager, model_spec(request.model_spec))

        return await _answer(context, work())

    async def HandleReloadConfigRequest(  # noqa: N802
        self, request: model_management_pb2.ReloadConfigRequest, context: Context
    ) -> model_management_pb2.ReloadConfigResponse:
        async def work() -> model_management_pb2.ReloadConfigResponse:
            try:
                models = models_of(request.config)
                await asyncio.to_thread(self._inference.manager.reload, models)
            except InputError as error:
                raise invalid_argument(str(error)) from error
            return model_management_pb2.ReloadConfigResponse()

        return await _answer(context, work())


async def _answer(context: Context, work: Awaitable[T]) -> T:
    try:
        return await work
    except ServingError as error:
        await context.abort(_STATUS_CODES[error.code], error.message)
    except Exception as error:  # one broken request must not be answered by a traceback
        logger.exception("Failed to answer a request")
        await context.abort(grpc.StatusCode.INTERNAL, f"{type(error).__name__}: {error}")
    raise AssertionError("abort always raises")


def model_spec(given: model_pb2.ModelSpec) -> ModelSpec:
    """Returns what a request asks for.

    Raises:
        ServingError: INVALID_ARGUMENT for a request without a model's name.
    """
    if not given.name:
        raise invalid_argument("ModelSpec has no name specified.")
    choice = given.WhichOneof("version_choice")
    return ModelSpec(
        given.name,
        given.version.value if choice == "version" else None,
        given.version_label if choice == "version_label" else None,
    )


def _served(servable: Servable, signature_name: str) -> model_pb2.ModelSpec:
    spec = model_pb2.ModelSpec(name=servable.name, signature_name=signature_name)
    spec.version.value = servable.version
    return spec
