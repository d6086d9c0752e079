"""One server: HTTP and gRPC in one event loop, until it is told to stop."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field

import grpc
from aiohttp import web

from serving.server.engine import Engine
from serving.server.grpc_api import add_services
from serving.server.inference import Inference
from serving.server.listening import (
    HEADER_SECONDS,
    KEEP_ALIVE_SECONDS,
    Listener,
    cannot_listen,
    stop_event,
)
from serving.server.metrics import Metrics
from serving.server.model_manager import ModelManager
from serving.server.rest import RestOptions, make_app
from serving.server.settings import BatchingParameters

SHUTDOWN_SECONDS = 10.0  # for requests under way when the server is told to stop


@dataclass(frozen=True)
class ServerOptions:
    """Where and how a server answers.

    Attributes:
        host: Address to listen on.
        port: Of gRPC; 0 for any free one, None for no gRPC.
        rest_api_port: Of HTTP; 0 for any free one, None for no HTTP.
        threads: Graphs that run at once; further requests wait.
        max_message_bytes: Largest gRPC message.
        rest: Limits of the HTTP server.
        batching: How to put concurrent requests together; None to run each on its own.
        header_seconds: Longest time until the first HTTP request of a connection.
        keep_alive_seconds: Longest time until its next HTTP request, and in which no part of an
            answer is read.
    """

    host: str = "127.0.0.1"
    port: int | None = 8500
    rest_api_port: int | None = 8501
    threads: int = 8
    max_message_bytes: int = 64 * 2**20
    rest: RestOptions = field(default_factory=RestOptions)
    batching: BatchingParameters | None = None
    header_seconds: float = HEADER_SECONDS
    keep_alive_seconds: float = KEEP_ALIVE_SECONDS


@dataclass(frozen=True)
class Addresses:
    """Where a started server listens: host and port, or None."""

    grpc: str | None
    rest: str | None


class Server:
    """The protocols in front of loaded models.

    Args:
        manager: The loaded versions; closed with the server.
        options: Where and how to answer.
    """

    def __init__(self, manager: ModelManager, options: ServerOptions) -> None:
        self._manager = manager
        self._options = options
        metrics = Metrics()
        self._engine = Engine(options.threads, options.batching, metrics)
        self._inference = Inference(manager, self._engine, metrics)
        self._grpc: grpc.aio.Server | None = None
        self._listener: Listener | None = None

    async def start(self) -> Addresses:
        """Starts listening.

        Raises:
            InputError: A port cannot be listened on.
        """
        return Addresses(await self._start_grpc(), await self._start_rest())

    async def _start_grpc(self) -> str | None:
        options = self._options
        if options.port is None:
            return None
        limits = [
            ("grpc.max_receive_message_length", options.max_message_bytes),
            ("grpc.max_send_message_length", options.max_message_bytes),
            # Without it a second server takes the port too, and half of the requests.
            ("grpc.so_reuseport", 0),
        ]
        self._grpc = grpc.aio.server(options=limits)
        add_services(self._grpc, self._inference, options.max_message_bytes)
        try:
            port = self._grpc.add_insecure_port(f"{options.host}:{options.port}")
        except RuntimeError as error:
            raise cannot_listen(options.host, options.port, error) from error
        await self._grpc.start()
        return f"{options.host}:{port}"

    async def _start_rest(self) -> str | None:
        options = self._options
        if options.rest_api_port is None:
            return None
        app = make_app(self._inference, options.rest, lambda r: listener.asked(r))
        runner = web.AppRunner(
            app,
            access_log=None,
            shutdown_timeout=SHUTDOWN_SECONDS,
            keepalive_timeout=options.keep_alive_seconds,
        )
        listener = Listener(runner, options.header_seconds, options.keep_alive_seconds)
        self._listener = listener
        await runner.setup()
        port = await listener.start(options.host, options.rest_api_port)
        return f"{options.host}:{port}"

    async def stop(self) -> None:
        """Answers what is under way, takes nothing new, and gives all memory back."""
        stops = []
        if self._grpc is not None:
            stops.append(self._grpc.stop(SHUTDOWN_SECONDS))
        if self._listener is not None:
            stops.append(self._listener.stop())
        await asyncio.gather(*stops)
        self._engine.close()
        await asyncio.to_thread(self._manager.close)


async def serve_until_stopped(
    manager: ModelManager,
    options: ServerOptions,
    started: Callable[[Addresses], None],
) -> None:
    """Serves until SIGINT or SIGTERM.

    Args:
        manager: The loaded versions.
        options: Where and how to answer.
        started: Called once requests are answered.

    Raises:
        InputError: A port cannot be listened on.
    """
    stopping = stop_event()
    server = Server(manager, options)
    try:
        started(await server.start())
        await stopping.wait()
    finally:
        await server.stop()
