"""What a stranger may send: none of it ends the server, reads a file, or holds up the others."""

from __future__ import annotations

import gzip
import json
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest
import requests
import tensorflow as tf
from conftest import running
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from serving.server.errors import Code, ServingError
from serving.server.example_json import parse_examples
from serving.server.model_manager import ModelManager
from serving.server.predict_json import input_arrays, parse_body
from serving.server.rest import RestOptions
from serving.server.running import ServerOptions
from serving.server.settings import ModelConfig

MAX_BODY = 100_000
GOOD = b'{"instances": [1.0]}'


@pytest.fixture(scope="module")
def host(half_plus_two: Path) -> Iterator[str]:
    options = ServerOptions(
        rest=RestOptions(timeout_ms=1_000, max_body_bytes=MAX_BODY), header_seconds=0.5
    )
    with running(ModelManager({"half": ModelConfig(half_plus_two)}), options) as addresses:
        assert addresses.rest is not None
        yield addresses.rest


def post(host: str, data: bytes, **headers: str) -> requests.Response:
    url = f"http://{host}/v1/models/half:predict"
    return requests.post(url, data=data, headers=headers, timeout=20)


def is_well(host: str) -> bool:
    return post(host, GOOD).json() == {"predictions": [2.5]}


def raw_answer(host: str, sent: bytes) -> bytes:
    """Sends bytes as they are and returns what comes until the server closes."""
    name, _, port = host.partition(":")
    with socket.create_connection((name, int(port)), timeout=20) as connection:
        connection.sendall(sent)
        found = b""
        while part := connection.recv(65536):
            found += part
    return found


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.sampled_from(["b64", "x", "tag", "signal", "é"]), inner, max_size=3)
    ),
    max_leaves=12,
)
_BODIES = st.dictionaries(
    st.sampled_from(["instances", "inputs", "examples", "context", "signature_name"]), _JSON
)
_INPUTS = {
    "tag": tf.TensorSpec([None], tf.string),
    "signal": tf.TensorSpec([None, 3], tf.int32),
    "x": tf.TensorSpec([None], tf.float32),
}


_REFUSALS = (None, Code.INVALID_ARGUMENT)


def _decode(body: bytes, inputs: dict[str, tf.TensorSpec]) -> object:
    return input_arrays(parse_body(body), inputs)


def refused(decode: Callable[[], object]) -> Code | None:
    """Returns the code of an orderly refusal, None where there is none; not other errors."""
    try:
        decode()
    except ServingError as error:
        return error.code
    return None


@settings(max_examples=300, deadline=None, suppress_health_check=list(HealthCheck))
@given(body=st.binary(max_size=60) | _BODIES.map(lambda value: json.dumps(value).encode()))
def test_any_body_is_decoded_or_refused(body: bytes) -> None:
    for names in (["x"], ["tag", "signal"]):
        inputs = {name: _INPUTS[name] for name in names}
        decode = partial(_decode, body, inputs)
        assert refused(decode) in _REFUSALS
    assert refused(lambda: parse_examples(body)) in _REFUSALS


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(body=_BODIES)
def test_any_body_gets_an_answer_as_json(host: str, body: dict[str, object]) -> None:
    answer = post(host, json.dumps(body).encode())
    assert answer.status_code in (200, 400)
    assert isinstance(answer.json(), dict)


@pytest.mark.parametrize(
    "body",
    [
        b'{"instances": ' + b"[" * 40_000,
        b'{"a": ' * 10_000,
        b'{"instances": [' + b"1," * 40_000 + b"1]",
        b'{"instances": [1e999, -1e999]}',
        b"\x00" * 1000,
        b'{"instances": [{"b64": "' + b"A" * 50_000 + b'"}]}',
    ],
)
def test_deep_broken_and_odd_bodies(host: str, body: bytes) -> None:
    answer = post(host, body)
    assert answer.status_code == 400
    assert len(answer.content) < 1_000
    assert is_well(host)


@pytest.mark.parametrize("depth", [33, 65, 500, *range(850, 1001, 10)])
def test_deep_lists_are_refused_wherever_they_stand(host: str, depth: int) -> None:
    deep = "[" * depth + "1" + "]" * depth
    tag = f'"signature_name": "describe", "inputs": {{"tag": {deep}, "signal": [[1, 2, 3]]}}'
    bodies = {
        "predict": [
            f'"instances": {deep}',
            f'"instances": {{"a": {deep}}}',
            f'"instances": 1, "inputs": {deep}',
            tag,
        ],
        "classify": [f'"examples": {deep}', f'"examples": [{{"x": {deep}}}]', f'"a": {deep}'],
    }
    for method, each in bodies.items():
        for body in each:
            url = f"http://{host}/v1/models/half:{method}"
            answer = requests.post(url, data=f"{{{body}}}", timeout=20)
            assert (answer.status_code, list(answer.json())) == (400, ["error"]), body[:80]
            assert len(answer.content) < 1_000
    assert is_well(host)


def test_content_types_do_not_matter_as_with_tf_serving(host: str) -> None:
    for kind in ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data", "?"):
        answer = post(host, GOOD, **{"Content-Type": kind})
        assert answer.json() == {"predictions": [2.5]}


def test_a_packed_body_is_limited_by_what_it_unpacks_to(host: str) -> None:
    packed = gzip.compress(GOOD)
    assert post(host, packed, **{"Content-Encoding": "gzip"}).json() == {"predictions": [2.5]}
    bomb = gzip.compress(b" " * (50 * MAX_BODY))
    assert len(bomb) < MAX_BODY
    assert post(host, bomb, **{"Content-Encoding": "gzip"}).status_code in (400, 413)
    assert is_well(host)


@pytest.mark.parametrize(
    "name",
    [
        "../half",
        "..%2f..%2fetc%2fpasswd",
        "half%00",
        "%2e%2e",
        "half/../half",
        "~root",
        "a" * 5_000,
    ],
)
def test_names_are_no_paths(host: str, name: str) -> None:
    request = f"GET /v1/models/{name} HTTP/1.0\r\n\r\n".encode()
    answer = raw_answer(host, request)
    assert answer.split()[1] in (b"400", b"404")
    assert b"root:" not in answer


@pytest.mark.parametrize("version", ["-1", "1e3", "0x7b", "١٢٣", "9" * 30, "123;"])
def test_versions_are_numbers(host: str, version: str) -> None:
    url = f"http://{host}/v1/models/half/versions/{version}:predict"
    assert requests.post(url, data=GOOD, timeout=20).status_code in (400, 404)


def test_a_connection_that_asks_nothing_is_closed(host: str) -> None:
    started = time.monotonic()
    assert raw_answer(host, b"POST /v1/models/half:predict HTTP/1.1\r\nHost: x\r\nX-Slow: ") == b""
    assert time.monotonic() - started < 10
    assert is_well(host)


def test_a_body_that_does_not_arrive_is_given_up_and_others_are_served(host: str) -> None:
    name, _, port = host.partition(":")
    head = b"POST /v1/models/half:predict HTTP/1.1\r\nHost: x\r\nContent-Length: 50\r\n\r\n{"
    connections = [socket.create_connection((name, int(port)), timeout=20) for _ in range(20)]
    for connection in connections:
        connection.sendall(head)
    assert is_well(host)
    for connection in connections:
        assert connection.recv(65536).split()[1] == b"504"
        connection.close()


def test_it_listens_on_this_machine_only_unless_told(half_plus_two: Path) -> None:
    source = (
        "import serving.local_server as s; from absl import flags; flags.FLAGS(['x']);"
        "print(s._options().host)"
    )
    done = subprocess.run(
        [sys.executable, "-c", source], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "127.0.0.1"


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ([], "Either --model_base_path or --model_config_file must be given. Received: neither"),
        (["--model_base_path=x", "--port=0", "--rest_api_port=0"], "must not be 0"),
        (["--model_base_path=x", "--batching_parameters_file=y"], "needs --enable_batching"),
        (["--model_base_path=x"], "which does not exist"),
        (["--model_config_file=x"], "must hold a ModelServerConfig as protocol buffer text"),
    ],
)
def test_the_server_says_what_it_needs(flags: list[str], message: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "serving.local_server", *flags],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 2
    assert message in done.stderr
    assert "Traceback" not in done.stderr
