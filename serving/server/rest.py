"""TF Serving's RESTful API over HTTP.

    POST /v1/models/NAME[/versions/N|/labels/L]:predict, :classify or :regress
    GET  /v1/models/NAME[/versions/N|/labels/L]
    GET  /v1/models/NAME[/versions/N|/labels/L]/metadata
    GET  /monitoring/prometheus/metrics, or where the monitoring settings say
    GET  /healthz, an addition: 200 once every model answers requests, else 503

Errors are `{"error": message}` with the status code that TF Serving gives.
"""

from __future__ import annotations

import asyncio
import json
import logging
import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote

from aiohttp import web
from google.protobuf import json_format
from google.protobuf.message import Message

from serving.server import metrics
from serving.server.describe import SIGNATURES, signature_map, status
from serving.server.errors import Code, ServingError, invalid_argument
from serving.server.example_json import classified_body, parse_examples, regressed_body
from serving.server.inference import Entry, Inference
from serving.server.model_spec import ModelSpec
from serving.server.predict_json import input_arrays, parse_body, response_body
from serving.versions import MAX_VERSION

_POST_PATH = re.compile(
    r"/v1/models/([^/:]+)(?:/versions/(\d+)|/labels/([^/:]+))?:(classify|regress|predict)",
    re.IGNORECASE,
)
_GET_PATH = re.compile(
    r"/v1/models/([^/:]+)(?:/versions/(\d+)|/labels/([^/:]+))?(?:/(metadata))?", re.IGNORECASE
)
HEALTH_PATH = "/healthz"

# As TF Serving's http_server.cc maps them; every other code is 500.
HTTP_STATUS = {
    Code.CANCELLED: 499,
    Code.INVALID_ARGUMENT: 400,
    Code.DEADLINE_EXCEEDED: 504,
    Code.NOT_FOUND: 404,
    Code.ALREADY_EXISTS: 409,
    Code.PERMISSION_DENIED: 403,
    Code.RESOURCE_EXHAUSTED: 429,
    Code.FAILED_PRECONDITION: 400,
    Code.ABORTED: 409,
    Code.OUT_OF_RANGE: 400,
    Code.UNIMPLEMENTED: 501,
    Code.UNAVAILABLE: 503,
    Code.UNAUTHENTICATED: 401,
}

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class RestOptions:
    """Limits of the HTTP server.

    Attributes:
        timeout_ms: Longest time for a request, in milliseconds, to arrive and to be answered.
        max_body_bytes: Largest body that is read, unpacked.
        metrics_path: Where the metrics are read; None for nowhere.
    """

    timeout_ms: int = 30_000
    max_body_bytes: int = 64 * 2**20
    metrics_path: str | None = None


def make_app(
    inference: Inference, options: RestOptions, begun: Callable[[web.Request], None]
) -> web.Application:
    """Returns the web application that serves the models.

    Args:
        inference: The models and the threads that run them.
        options: Limits.
        begun: Told of each request.
    """
    app = web.Application(client_max_size=options.max_body_bytes)
    handler = RestHandler(inference, options)

    async def handle(request: web.Request) -> web.Response:
        begun(request)
        return await handler.handle(request)

    app.router.add_route("*", "/{path:.*}", handle)
    return app


class RestHandler:
    """Answers HTTP requests; see the module's docstring for the paths."""

    def __init__(self, inference: Inference, options: RestOptions) -> None:
        self._inference = inference
        self._options = options

    async def handle(self, request: web.Request) -> web.Response:
        """Answers one request."""
        path = request.rel_url.raw_path
        try:
            if not path.lower().startswith("/v1/"):
                return self._operations(request.method, path)
            answer = await asyncio.wait_for(
                self._answer(request, path), self._options.timeout_ms / 1000
            )
        except ServingError as error:
            return _error_response(HTTP_STATUS.get(error.code, 500), error.message)
        except (TimeoutError, asyncio.TimeoutError):  # two classes before Python 3.11
            message = f"Deadline of {self._options.timeout_ms} ms exceeded"
            return _error_response(HTTP_STATUS[Code.DEADLINE_EXCEEDED], message)
        except web.HTTPRequestEntityTooLarge:
            limit = self._options.max_body_bytes
            return _error_response(413, f"The request body must not exceed {limit} bytes")
        except Exception as error:  # one broken request must not end the server
            logger.exception("Failed to answer %s %s", request.method, path)
            return _error_response(500, f"{type(error).__name__}: {error}")
        return web.Response(body=answer, content_type="application/json")

    def _operations(self, method: str, path: str) -> web.Response:
        is_read = method == "GET"
        if is_read and path == self._options.metrics_path:
            headers = {"Content-Type": metrics.CONTENT_TYPE}
            return web.Response(body=self._inference.metrics.text(), headers=headers)
        if is_read and path == HEALTH_PATH:
            is_ready = self._inference.manager.is_ready
            return web.json_response({"ready": is_ready}, status=200 if is_ready else 503)
        raise ServingError(Code.NOT_FOUND, f"Not Found: {path}")

    async def _answer(self, request: web.Request, path: str) -> bytes:
        if request.method == "POST" and (match := _POST_PATH.fullmatch(path)):
            spec = _model_spec(match)
            return await self._ask(match[4].lower(), spec, await _read(request))
        if request.method == "GET" and (match := _GET_PATH.fullmatch(path)):
            answer = self._metadata if match[4] else self._status
            return answer(_model_spec(match))
        raise invalid_argument(f"Malformed request: {request.method} {path}")

    def _ask(self, method: str, spec: ModelSpec, body: bytes) -> Awaitable[bytes]:
        if method == "predict":
            return self._predict(spec, body)
        return self._of_examples(method, spec, body)

    async def _predict(self, spec: ModelSpec, body: bytes) -> bytes:
        decode = self._inference.engine.decode
        with self._inference.use(spec, Entry("REST", "predict")) as servable:
            parsed = await decode(len(body), lambda: parse_body(body))
            signature = servable.signature(parsed.signature_name)
            if not signature.inputs:
                name = parsed.signature_name or "DEFAULT"
                raise invalid_argument(f"Failed to get input map for signature: {name}")
            inputs = await decode(len(body), lambda: input_arrays(parsed, signature.inputs))
            outputs = await self._inference.predict(servable, signature, inputs)
            size = sum(output.nbytes for output in outputs.values())
            return await decode(size, lambda: response_body(outputs, parsed.format))

    async def _of_examples(self, method: str, spec: ModelSpec, body: bytes) -> bytes:
        with self._inference.use(spec, Entry("REST", method)) as servable:
            asked = await self._inference.engine.decode(len(body), lambda: parse_examples(body))
            name, given = asked.signature_name, asked.input
            if method == "classify":
                return classified_body(await self._inference.classify(servable, name, given))
            return regressed_body((await self._inference.regress(servable, name, given)).tolist())

    def _status(self, spec: ModelSpec) -> bytes:
        return json.dumps(_plain(status(self._inference.manager, spec))).encode()

    def _metadata(self, spec: ModelSpec) -> bytes:
        with self._inference.manager.use(spec) as servable:
            signatures = _plain(signature_map(servable))
            version = str(servable.version)  # protobuf's JSON writes 64-bit integers as text
        document = {
            "model_spec": {"name": spec.name, "signature_name": "", "version": version},
            "metadata": {SIGNATURES: signatures},
        }
        return json.dumps(document).encode()


async def _read(request: web.Request) -> bytes:
    try:
        return await request.read()
    except web.HTTPRequestEntityTooLarge:
        raise
    except web.HTTPException as error:
        raise invalid_argument(f"The body cannot be read: {error}") from error


def _plain(message: Message) -> dict[str, Any]:
    return json_format.MessageToDict(
        message, preserving_proto_field_name=True, always_print_fields_with_no_presence=True
    )


def _model_spec(match: re.Match[str]) -> ModelSpec:
    name, version, label = unquote(match[1]), match[2], match[3]
    if version is not None and (len(version) > 19 or int(version) > MAX_VERSION):
        raise invalid_argument(f"Failed to convert version: {version[:40]} to numeric.")
    return ModelSpec(
        name,
        None if version is None else int(version),
        None if label is None else unquote(label),
    )


def _error_response(http_status: int, message: str) -> web.Response:
    return web.json_response({"error": message}, status=http_status)
