"""Serves the page until it is told to stop."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager

from aiohttp import web

from serving.explore.models import ExploredModel
from serving.explore.web import Explorer
from serving.server.listening import KEEP_ALIVE_SECONDS, Listener, stop_event

_SHUTDOWN_SECONDS = 2.0  # for requests under way


@asynccontextmanager
async def explorer(
    models: Sequence[ExploredModel], titles: Mapping[str, str], host: str, port: int
) -> AsyncIterator[str]:
    """Serves the page.

    Args:
        models: One model, or two to compare; closed at the end.
        titles: The title of each raw item id.
        host: Address to listen on.
        port: Port to listen on; 0 for any free one.

    Yields:
        The page's address.

    Raises:
        InputError: The port cannot be listened on.
    """
    async with AsyncExitStack() as stack:
        for model in models:
            stack.callback(model.transport.close)
        answers = await asyncio.to_thread(Explorer, models, titles, host)
        app = answers.app(lambda request: listener.asked(request))
        runner = web.AppRunner(
            app,
            access_log=None,
            shutdown_timeout=_SHUTDOWN_SECONDS,
            keepalive_timeout=KEEP_ALIVE_SECONDS,
        )
        listener = Listener(runner)
        stack.push_async_callback(listener.stop)
        await runner.setup()
        found = await listener.start(host, port)
        yield f"http://{f'[{host}]' if ':' in host else host}:{found}/"


async def explore_until_stopped(
    models: Sequence[ExploredModel],
    titles: Mapping[str, str],
    host: str,
    port: int,
    started: Callable[[str], None],
) -> None:
    """Serves the page until SIGINT or SIGTERM; see `explorer`.

    Args:
        models: As of `explorer`.
        titles: As of `explorer`.
        host: As of `explorer`.
        port: As of `explorer`.
        started: Told the page's address, once it is served.
    """
    stopping = stop_event()
    async with explorer(models, titles, host, port) as address:
        started(address)
        await stopping.wait()
