"""Listening for HTTP: connections that never send a request are closed; signals end it."""

from __future__ import annotations

import asyncio
import signal

from aiohttp import web
from aiohttp.web_protocol import RequestHandler

from data.errors import InputError

HEADER_SECONDS = 30.0  # for a connection's first request to begin


class Listener:
    """Listens for one web application.

    aiohttp waits for a request's headers without end, so that a few slow clients could hold all
    file descriptors.

    Args:
        runner: The application's runner, set up.
        header_seconds: Longest time until the first request of a connection.
    """

    def __init__(self, runner: web.AppRunner, header_seconds: float = HEADER_SECONDS) -> None:
        self._runner = runner
        self._header_seconds = header_seconds
        self._silent: dict[asyncio.Protocol, asyncio.TimerHandle] = {}
        self._listening: asyncio.Server | None = None

    async def start(self, host: str, port: int) -> int:
        """Starts listening.

        Returns:
            The port.

        Raises:
            InputError: It cannot be listened on.
        """
        loop = asyncio.get_running_loop()
        try:
            self._listening = await loop.create_server(self._connected, host, port)
        except OSError as error:
            raise cannot_listen(host, port, error) from error
        return self._listening.sockets[0].getsockname()[1]

    def asked(self, request: web.Request) -> None:
        """Notes that a connection has sent a request."""
        if (timer := self._silent.pop(request.protocol, None)) is not None:
            timer.cancel()

    async def stop(self) -> None:
        """Takes no new connection, and closes others once they are answered."""
        if self._listening is not None:
            self._listening.close()
        await self._runner.cleanup()

    def _connected(self) -> RequestHandler:
        assert self._runner.server is not None
        protocol = self._runner.server()
        loop = asyncio.get_running_loop()
        timer = loop.call_later(self._header_seconds, self._close_silent, protocol)
        self._silent[protocol] = timer
        return protocol

    def _close_silent(self, protocol: RequestHandler) -> None:
        del self._silent[protocol]
        protocol.force_close()


def stop_event() -> asyncio.Event:
    """Returns an event of the running loop that SIGINT and SIGTERM set."""
    stopping = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stopping.set)
    return stopping


def cannot_listen(host: str, port: int, error: Exception) -> InputError:
    """Returns the error of a port that is taken or forbidden, or of an address that is not ours."""
    return InputError(
        f"The server must be able to listen on {host}:{port}",
        received=error,
        action="Stop what listens there, or choose another port",
    )
