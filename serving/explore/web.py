"""The page and its JSON API, for people who trust the machine that they are at.

    GET  /                 the page
    GET  /api/models       what is explored
    GET  /api/search?text= items by title or id
    POST /api/recommend    a `ListQuestion` -> a list of each model, and how alike they are
    POST /api/score        {input: text} -> a score of each model

Errors are `{"error": message}`. A page of another site can neither read nor send anything: the
browser's rules keep it from posting JSON, and requests under another host's name are refused, so
that a name which a stranger points at this machine (DNS rebinding) does not help.
"""

from __future__ import annotations

import asyncio
import ipaddress
import json
import logging
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from aiohttp import web

from data.errors import InputError
from serving.explore.answers import agreement, as_json, description, recommendations, score
from serving.explore.catalogue import Catalogue
from serving.explore.models import ExploredModel
from serving.explore.questions import MAX_K, ListQuestion, parse_row

MAX_BODY_BYTES = 256 * 1024
_MAX_FOUND = 20
_PAGE = Path(__file__).with_name("page")
_TYPES = {
    ".html": "text/html",
    ".css": "text/css",
    ".js": "text/javascript",
    ".svg": "image/svg+xml",
}
_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; "
    "img-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}
_LOCAL_NAMES = {"localhost", "127.0.0.1", "[::1]"}

logger = logging.getLogger(__name__)

T = TypeVar("T")


class Explorer:
    """Answers the page's requests.

    Args:
        models: One model, or two to compare.
        titles: The title of each raw item id.
        host: Address that is listened on.
    """

    def __init__(
        self, models: Sequence[ExploredModel], titles: Mapping[str, str], host: str
    ) -> None:
        self._models = models
        # A client is not for several threads at once.
        self._locks = [asyncio.Lock() for _ in models]
        popular = [item for model in models for item in model.popular_items]
        self._catalogue = Catalogue(titles, popular)
        self._descriptions = [description(model) for model in models]
        self._hosts = allowed_hosts(host)

    def app(self, begun: Callable[[web.Request], None]) -> web.Application:
        """Returns the web application.

        Args:
            begun: Told of each request.
        """

        @web.middleware
        async def guard(request: web.Request, handler: Any) -> web.StreamResponse:
            begun(request)
            response = await self._guarded(request, handler)
            response.headers.update(_HEADERS)
            return response

        app = web.Application(client_max_size=MAX_BODY_BYTES, middlewares=[guard])
        app.router.add_get("/", partial(_file, _PAGE / "index.html"))
        for path in sorted(_PAGE.iterdir()):
            if path.suffix in _TYPES:
                app.router.add_get(f"/{path.name}", partial(_file, path))
        app.router.add_get("/api/models", self._describe)
        app.router.add_get("/api/search", self._search)
        app.router.add_post("/api/recommend", self._recommend)
        app.router.add_post("/api/score", self._score)
        return app

    async def _guarded(self, request: web.Request, handler: Any) -> web.StreamResponse:
        try:
            if self._hosts is not None and _host_name(request.host) not in self._hosts:
                return _error(403, "This page is served to its own machine only, as 127.0.0.1")
            return await handler(request)
        except InputError as error:
            return _error(400, str(error))
        except web.HTTPRequestEntityTooLarge:
            return _error(413, f"A request must not exceed {MAX_BODY_BYTES} bytes")
        except web.HTTPException as error:
            return _error(error.status, f"{error.reason}: {request.method} {request.path}")
        except Exception as error:  # one broken request must not end the page
            logger.exception("Failed to answer %s %s", request.method, request.path)
            return _error(500, f"{type(error).__name__}: {error}")

    async def _describe(self, _: web.Request) -> web.Response:
        has_titles = self._catalogue.has_titles
        return _answer({"models": self._descriptions, "has_titles": has_titles, "max_k": MAX_K})

    async def _search(self, request: web.Request) -> web.Response:
        text = request.query.get("text", "")
        # A thread, as a large catalogue takes longer than the page's other requests should wait.
        found = await asyncio.to_thread(self._catalogue.search, text, _MAX_FOUND)
        return _answer({"items": [self._titled(item) for item in found]})

    async def _recommend(self, request: web.Request) -> web.Response:
        question = ListQuestion.parse(await _body(request))
        lists = await self._of_each(lambda m: recommendations(m, question, self._catalogue))
        given = [*question.history, *question.exclude, *question.allow]
        answer = {
            "lists": lists,
            "agreement": agreement(lists),
            "given": [self._titled(item) for item in dict.fromkeys(given)],
        }
        return _answer(answer)

    async def _score(self, request: web.Request) -> web.Response:
        row = parse_row(await _body(request))
        return _answer({"scores": await self._of_each(lambda model: score(model, row))})

    async def _of_each(self, ask: Callable[[ExploredModel], T]) -> list[T]:
        async def one(model: ExploredModel, lock: asyncio.Lock) -> T:
            async with lock:
                return await asyncio.to_thread(ask, model)

        return await asyncio.gather(*map(one, self._models, self._locks))

    def _titled(self, item: str) -> dict[str, str | None]:
        return {"id": item, "title": self._catalogue.title(item)}


def allowed_hosts(host: str) -> frozenset[str] | None:
    """Returns the names under which a page may be asked for; None for any.

    Args:
        host: Address that is listened on: names of this machine where it is of this machine only.
    """
    try:
        if not ipaddress.ip_address(host).is_loopback:
            return None
    except ValueError:
        if host != "localhost":
            return None
    shown = f"[{host}]" if ":" in host else host
    return frozenset({*_LOCAL_NAMES, shown})


def _host_name(host: str) -> str:
    """Returns the name in a Host header, without its port."""
    name, colon, port = host.rpartition(":")
    return (name if colon and port.isdigit() else host).lower()


async def _body(request: web.Request) -> Any:
    if request.content_type != "application/json":
        raise InputError("A request must be application/json", received=request.content_type)
    try:
        return json.loads(await request.read())
    except (ValueError, RecursionError) as error:
        raise InputError("A request must be JSON", received=error) from error


async def _file(path: Path, _: web.Request) -> web.Response:
    return web.Response(body=path.read_bytes(), content_type=_TYPES[path.suffix], charset="utf-8")


def _answer(value: Any) -> web.Response:
    return web.json_response(as_json(value))


def _error(status: int, message: str) -> web.Response:
    return web.json_response({"error": message}, status=status)
