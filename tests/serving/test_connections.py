"""Connections that are open without use, or whose answers nobody reads, do not stay open."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path

import pytest
from conftest import running

from serving.server.model_manager import ModelManager
from serving.server.running import ServerOptions
from serving.server.settings import ModelConfig

GOOD = b'{"instances": [1.0]}'
PATH = "POST /v1/models/half:predict HTTP/1.1\r\n"


@pytest.fixture(scope="module")
def address(half_plus_two: Path) -> Iterator[tuple[str, int]]:
    options = ServerOptions(header_seconds=20, keep_alive_seconds=1)
    with running(ModelManager({"half": ModelConfig(half_plus_two)}), options) as addresses:
        assert addresses.rest is not None
        name, _, port = addresses.rest.partition(":")
        yield name, int(port)


def whole_request(body: bytes) -> bytes:
    return f"{PATH}Host: x\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body


def test_a_connection_serves_further_requests_until_none_comes(address: tuple[str, int]) -> None:
    with socket.create_connection(address, timeout=20) as connection:
        for _ in range(4):  # for longer than one may pause
            connection.sendall(whole_request(GOOD))
            assert connection.recv(65536).endswith(b'{"predictions": [2.5]}')
            time.sleep(0.5)
        started = time.monotonic()
        assert connection.recv(65536) == b""
        assert time.monotonic() - started < 5


def test_the_header_of_a_second_request_may_not_trickle_in(address: tuple[str, int]) -> None:
    started = time.monotonic()
    with socket.create_connection(address, timeout=0.1) as connection, suppress(ConnectionError):
        connection.sendall(whole_request(GOOD) + PATH.encode() + b"X-Slow: ")
        while time.monotonic() - started < 10:
            try:
                if not connection.recv(65536):
                    break
            except TimeoutError:
                connection.sendall(b"x")
    assert time.monotonic() - started < 5


LONG = 6_000_000  # letters that a request asks for: more than the system takes over unread


def bytes_read(address: tuple[str, int], pauses: Sequence[float]) -> int:
    """Asks for a long answer, reads a part after each pause, then the rest; returns its length."""
    row = {"tag": "a" * LONG, "signal": [1, 2, 3]}
    body = json.dumps({"signature_name": "describe", "instances": [row]}).encode()
    read = 0
    with socket.socket() as connection, suppress(ConnectionError):
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        connection.settimeout(20)
        connection.connect(address)
        connection.sendall(whole_request(body))
        for pause in pauses:
            time.sleep(pause)
            read += len(connection.recv(2**17, socket.MSG_WAITALL))
        while part := connection.recv(2**20):
            read += len(part)
    return read


def test_an_answer_that_nobody_reads_is_given_up(address: tuple[str, int]) -> None:
    assert bytes_read(address, [5.0]) < 2 * LONG


def test_an_answer_that_is_read_slowly_is_sent_whole(address: tuple[str, int]) -> None:
    assert bytes_read(address, [0.05] * 60) > 2 * LONG
