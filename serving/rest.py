"""TF Serving's RESTful API over HTTP: predict, model status, metadata.

    POST /v1/models/NAME[/versions/N|/labels/L]:predict
    GET  /v1/models/NAME[/versions/N|/labels/L]
    GET  /v1/models/NAME[/versions/N|/labels/L]/metadata

Requests run in a thread pool, so that the event loop goes on reading while a graph runs. Errors
are `{"error": message}` with the status code that TF Serving gives.
"""

from __future__ import annotations

import asyncio
import json
import logging
import re
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from urllib.parse import unquote

from aiohttp import web
from google.protobuf import json_format

from serving.errors import Code, ServingError, invalid_argument
from serving.model_manager import ModelManager, ModelSpec
from serving.predict_json import input_arrays, parse_body, response_body

_POST_PATH = re.compile(
    r"/v1/models/([^/:]+)(?:/versions/(\d+)|/labels/([^/:]+))?:(predict)", re.IGNORECASE
)
_GET_PATH = re.compile(
    r"/v1/models/([^/:]+)(?:/versions/(\d+)|/labels/([^/:]+))?(?:/(metadata))?", re.IGNORECASE
)
_MAX_VERSION = 2**63 - 1

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
        threads: Requests that run at once; the rest wait.
        timeout_ms: Longest time for a request, in milliseconds.
        max_body_bytes: Largest body that is read.
    """

    threads: int = 8
    timeout_ms: int = 30_000
    max_body_bytes: int = 64 * 2**20


def make_app(manager: ModelManager, options: RestOptions) -> web.Application:
    """Returns the web application that serves the manager's models."""
    app = web.Application(client_max_size=options.max_body_bytes)
    handler = RestHandler(manager, options)
    app.router.add_route("*", "/{path:.*}", handler.handle)
    app.on_cleanup.append(handler.close)
    return app


class RestHandler:
    """Answers HTTP requests; see the module's docstring for the paths."""

    def __init__(self, manager: ModelManager, options: RestOptions) -> None:
        self._manager = manager
        self._options = options
        self._pool = ThreadPoolExecutor(options.threads, thread_name_prefix="rest")

    async def close(self, app: web.Application) -> None:
        """Ends the threads once the last request is answered."""
        self._pool.shutdown()

    async def handle(self, request: web.Request) -> web.Response:
        """Answers one request."""
        try:
            answer = await self._answer(request)
        except ServingError as error:
            return _error_response(HTTP_STATUS.get(error.code, 500), error.message)
        except web.HTTPRequestEntityTooLarge:
            limit = self._options.max_body_bytes
            return _error_response(413, f"The request body must not exceed {limit} bytes")
        except Exception as error:  # one broken request must not end the server
            logger.exception("Failed to answer %s %s", request.method, request.rel_url.raw_path)
            return _error_response(500, f"{type(error).__name__}: {error}")
        return web.Response(body=answer, content_type="application/json")

    async def _answer(self, request: web.Request) -> bytes:
        path = request.rel_url.raw_path
        if not path.lower().startswith("/v1/"):
            raise ServingError(Code.NOT_FOUND, f"Not Found: {path}")
        if request.method == "POST" and (match := _POST_PATH.fullmatch(path)):
            spec = _model_spec(match)
            body = await request.read()
            return await self._in_thread(lambda: predict(self._manager, spec, body))
        if request.method == "GET" and (match := _GET_PATH.fullmatch(path)):
            answer = metadata if match[4] else status
            return answer(self._manager, _model_spec(match))
        raise invalid_argument(f"Malformed request: {request.method} {path}")

    async def _in_thread(self, work: Callable[[], bytes]) -> bytes:
        running = asyncio.get_running_loop().run_in_executor(self._pool, work)
        try:
            return await asyncio.wait_for(running, self._options.timeout_ms / 1000)
        except (TimeoutError, asyncio.TimeoutError) as error:  # two classes before Python 3.11
            raise ServingError(
                Code.DEADLINE_EXCEEDED, f"Deadline of {self._options.timeout_ms} ms exceeded"
            ) from error


def _model_spec(match: re.Match[str]) -> ModelSpec:
    name, version, label = unquote(match[1]), match[2], match[3]
    if version is not None and (len(version) > 19 or int(version) > _MAX_VERSION):
        raise invalid_argument(f"Failed to convert version: {version[:40]} to numeric.")
    return ModelSpec(
        name,
        None if version is None else int(version),
        None if label is None else unquote(label),
    )


def _error_response(http_status: int, message: str) -> web.Response:
    return web.json_response({"error": message}, status=http_status)


def predict(manager: ModelManager, spec: ModelSpec, body: bytes) -> bytes:
    """Answers a predict request.

    Raises:
        ServingError: The request cannot be answered.
    """
    parsed = parse_body(body)
    servable = manager.servable(spec)
    inputs = servable.signature(parsed.signature_name).inputs
    if not inputs:
        name = parsed.signature_name or "DEFAULT"
        raise invalid_argument(f"Failed to get input map for signature: {name}")
    outputs = servable.predict(parsed.signature_name, input_arrays(parsed, inputs))
    return response_body(outputs, parsed.format)


def status(manager: ModelManager, spec: ModelSpec) -> bytes:
    """Answers a status request: `GetModelStatusResponse` as JSON.

    Raises:
        ServingError: No such model or version.
    """
    versions = [
        {
            "version": str(version),  # protobuf's JSON writes 64-bit integers as text
            "state": "AVAILABLE",
            "status": {"error_code": "OK", "error_message": ""},
        }
        for version in manager.available_versions(spec)
    ]
    return json.dumps({"model_version_status": versions}).encode()


def metadata(manager: ModelManager, spec: ModelSpec) -> bytes:
    """Answers a metadata request: `GetModelMetadataResponse` as JSON.

    Raises:
        ServingError: No such model or version.
    """
    servable = manager.servable(spec)
    signatures = {
        name: json_format.MessageToDict(
            definition, preserving_proto_field_name=True, always_print_fields_with_no_presence=True
        )
        for name, definition in sorted(servable.signature_defs.items())
    }
    document = {
        "model_spec": {
            "name": servable.name,
            "signature_name": "",
            "version": str(servable.version),
        },
        "metadata": {"signature_def": {"signature_def": signatures}},
    }
    return json.dumps(document).encode()
