"""Listening for HTTP: connections that neither ask nor read are closed; signals end it."""

from __future__ import annotations

import asyncio
import fcntl
import signal
import sys
import termios
from contextlib import suppress

from aiohttp import web
from aiohttp.web_protocol import RequestHandler

from data.errors import InputError

HEADER_SECONDS = 30.0  # for a connection's first request to begin
KEEP_ALIVE_SECONDS = 75.0  # for the next to begin, and for a part of an answer to be read


class Listener:
    """Listens for one web application.

    aiohttp waits for the headers of a first request, and for a client to read an answer, without
    end, so that a few slow clients could hold all file descriptors. The next request on a
    connection is a matter of the runner's own `keepalive_timeout`.

    Args:
        runner: The application's runner, set up.
        header_seconds: Longest time until the first request of a connection.
        unread_seconds: Longest time, or up to twice as long, in which nothing of an answer is read.
    """

    def __init__(
        self,
        runner: web.AppRunner,
        header_seconds: float = HEADER_SECONDS,
        unread_seconds: float = KEEP_ALIVE_SECONDS,
    ) -> None:
        self._runner = runner
        self._header_seconds = header_seconds
        self._unread_seconds = unread_seconds
        self._silent: dict[asyncio.Protocol, asyncio.TimerHandle] = {}
        self._unread: dict[asyncio.Transport, int] = {}
        self._looking: asyncio.TimerHandle | None = None
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
        self._looking = loop.call_later(self._unread_seconds, self._close_unread)
        return self._listening.sockets[0].getsockname()[1]

    def asked(self, request: web.Request) -> None:
        """Notes that a connection has sent a request."""
        if (timer := self._silent.pop(request.protocol, None)) is not None:
            timer.cancel()
        if request.transport is not None:
            self._unread.pop(request.transport, None)

    async def stop(self) -> None:
        """Takes no new connection, and closes others once they are answered."""
        if self._looking is not None:
            self._looking.cancel()
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

    def _close_unread(self) -> None:
        """Closes connections of which nothing was read since the look before; looks again later."""
        assert self._runner.server is not None
        before = self._unread
        # A connection that is being closed waits for its answer to be read, too.
        connected = (connection.transport for connection in self._runner.server.connections)
        transports = {*filter(None, connected), *before}
        self._unread = {t: size for t in transports if (size := _bytes_unread(t))}
        for transport, size in list(self._unread.items()):
            if size >= before.get(transport, size + 1):
                transport.abort()
                del self._unread[transport]
        loop = asyncio.get_running_loop()
        self._looking = loop.call_later(self._unread_seconds, self._close_unread)


def _bytes_unread(transport: asyncio.Transport) -> int:
    """Returns what a client has not taken yet; 0 where the server itself holds nothing of it."""
    size = transport.get_write_buffer_size()
    if size and (connection := transport.get_extra_info("socket")) is not None:
        # The system takes over megabytes at once, so that slow readers would seem to stand still.
        with suppress(OSError, ValueError):  # closed meanwhile, or a system that does not tell
            queued = fcntl.ioctl(connection.fileno(), termios.TIOCOUTQ, bytes(4))
            size += int.from_bytes(queued, sys.byteorder)
    return size


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
