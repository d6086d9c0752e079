"""The client answers alike over REST and gRPC, refuses alike, and tries again what it may."""

from __future__ import annotations

import http.server
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import Exported, running

from data.errors import InputError
from serving.client import Client, RequestError
from serving.client.errors import no_answer, refused
from serving.client.retries import with_retries
from serving.server.model_manager import ManagerOptions, ModelManager
from serving.server.running import ServerOptions
from serving.server.settings import ModelConfig
from serving.versions import version_folders

Connect = Callable[..., Client]
PROTOCOLS = ("grpc", "http")


def only(exports: Path) -> int:
    """Returns the one version that there is."""
    (version,) = version_folders(exports)
    return version


@pytest.fixture(scope="module")
def connect(neumf: Exported, bert_text: Exported) -> Iterator[Connect]:
    """Returns a function that makes a client of a model, by protocol."""
    paths = {"ncf": neumf.path.parent, "text": bert_text.path.parent}
    models = {n: ModelConfig(p, labels={"stable": only(p)}) for n, p in paths.items()}
    manager = ModelManager(models, ManagerOptions(labels_before_versions=True))
    with running(manager, ServerOptions()) as addresses:
        hosts = {"grpc": addresses.grpc, "http": addresses.rest}

        def connect(protocol: str, model: str, **more: Any) -> Client:
            return Client(f"{protocol}://{hosts[protocol]}", model, **more)

        yield connect


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_values_may_be_numpys(connect: Connect, neumf: Exported, protocol: str) -> None:
    user = neumf.run.data.raw_ids("user")[0]
    client = connect(protocol, "ncf")
    assert client.recommend(user, np.int32(3)) == client.recommend(int(user), 3)
    items = neumf.run.data.raw_ids("item")[:2]
    scores = client.score({"user": np.repeat(user, 2), "item": items})
    assert scores == client.score({"user": [int(user)] * 2, "item": tuple(items.tolist())})


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize(
    "ask",
    [
        lambda client: client.recommend(3.7, 5),
        lambda client: client.recommend("5", 5),
        lambda client: client.recommend("anna", 5),
        lambda client: client.recommend(2**70, 5),
        lambda client: client.recommend(5, 10.9),
        lambda client: client.recommend(5, True),
        lambda client: client.score({"user": [1, [2]], "item": [1, 2]}),
    ],
)
def test_values_of_another_type_are_refused_and_never_changed(
    connect: Connect, protocol: str, ask: Callable[[Client], Any]
) -> None:
    with pytest.raises(RequestError) as caught:
        ask(connect(protocol, "ncf"))
    assert caught.value.code == "INVALID_ARGUMENT"


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_what_no_model_takes_is_not_sent(connect: Connect, protocol: str) -> None:
    with pytest.raises(InputError, match="Received: None, of type NoneType"):
        connect(protocol, "ncf").score({"user": [None], "item": [1]})


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_versions_and_labels_are_asked_for(
    connect: Connect, bert_text: Exported, protocol: str
) -> None:
    newest = connect(protocol, "text").recommend(history=["i0", "i2"], k=5)
    for which in ({"version": only(bert_text.path.parent)}, {"label": "stable"}):
        assert connect(protocol, "text", **which).recommend(history=["i0", "i2"], k=5) == newest
    for which in ({"version": 99}, {"label": "canary"}):
        with pytest.raises(RequestError):
            connect(protocol, "text", **which).recommend(history=["i0"], k=5)
    with pytest.raises(InputError, match="A version or a label can be asked for, not both"):
        connect(protocol, "text", version=1, label="stable")


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_padded_lists_mean_the_same(connect: Connect, protocol: str) -> None:
    given: dict[str, Any] = {"history": ["i0", "i2"], "exclude": ["i4"], "k": 5}
    plain = connect(protocol, "text").recommend(**given)
    assert connect(protocol, "text", list_width=9).recommend(**given) == plain


def test_a_server_that_is_busy_is_asked_again_until_it_answers() -> None:
    left: list[float] = []

    def answers_third(seconds: float) -> str:
        left.append(seconds)
        if len(left) < 3:
            raise refused("RESOURCE_EXHAUSTED", "busy", "here")
        return "done"

    assert with_retries(answers_third, timeout=10.0, retries=2) == "done"
    assert left == sorted(left, reverse=True)
    assert left[0] <= 10.0


@pytest.mark.parametrize(
    ("error", "retries", "timeout", "attempts"),
    [
        (refused("INVALID_ARGUMENT", "k", "here"), 5, 10.0, 1),
        (no_answer("late", "here", "DEADLINE_EXCEEDED"), 5, 10.0, 1),
        (no_answer("away", "here", "UNAVAILABLE"), 2, 10.0, 3),
        (no_answer("away", "here", "UNAVAILABLE"), 50, 0.3, None),
    ],
)
def test_nothing_else_is_tried_again(
    error: RequestError, retries: int, timeout: float, attempts: int | None
) -> None:
    asked: list[float] = []

    def fail(seconds: float) -> None:
        asked.append(seconds)
        raise error

    began = time.perf_counter()
    with pytest.raises(RequestError) as caught:
        with_retries(fail, timeout, retries)
    assert caught.value is error
    assert time.perf_counter() - began < timeout + 0.5
    assert len(asked) == attempts if attempts else 2 <= len(asked) < 10


@contextmanager
def trickling() -> Iterator[str]:
    """Runs a server that sends an answer piece by piece, without end."""
    stop = threading.Event()

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.send_response(200)
            self.end_headers()
            try:
                while not stop.wait(0.05):
                    self.wfile.write(b" " * 65_536)
            except OSError:
                return

        def log_message(self, *_: object) -> None:
            """Says nothing."""

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        stop.set()
        server.shutdown()
        thread.join()
        server.server_close()


def test_an_answer_that_never_ends_is_given_up_in_time() -> None:
    with trickling() as url:
        began = time.perf_counter()
        with pytest.raises(RequestError, match="The server must answer") as caught:
            Client(url, "ncf", timeout=0.5).recommend(1, 1)
        assert caught.value.code == "DEADLINE_EXCEEDED"
        assert time.perf_counter() - began < 3
