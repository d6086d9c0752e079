"""A served model under load: the server, what it is asked, and the table of the results."""

from __future__ import annotations

import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from tensorflow_serving.apis import predict_pb2

from benchmarks.load import Load
from data.errors import InputError
from serving.client import Client
from serving.server.warm_up import warm_up_requests
from serving.tensor_protos import proto_from_array
from serving.users_file import read_users
from serving.versions import version_folders

_REQUESTS = 500  # that are asked in turn
_K = 10


@dataclass(frozen=True)
class Asked:
    """The requests to one model.

    Attributes:
        model: Its name.
        version: The version's folder.
        signature: The signature asked for.
        rows: Single rows by input, as arrays of one element each.
    """

    model: str
    version: Path
    signature: str
    rows: Sequence[dict[str, np.ndarray]]

    def arrays(self, rows: int) -> list[dict[str, np.ndarray]]:
        """Returns requests of so many rows each."""
        places = [[(n * rows + m) % len(self.rows) for m in range(rows)] for n in range(_REQUESTS)]
        return [
            {name: np.concatenate([self.rows[n][name] for n in of]) for name in self.rows[0]}
            for of in places
        ]

    def messages(self, rows: int) -> list[predict_pb2.PredictRequest]:
        """Returns them as messages."""
        messages = []
        for inputs in self.arrays(rows):
            message = predict_pb2.PredictRequest()
            message.model_spec.name, message.model_spec.signature_name = self.model, self.signature
            for name, value in inputs.items():
                message.inputs[name].CopyFrom(proto_from_array(value))
            messages.append(message)
        return messages

    def plain(self, rows: int) -> list[dict[str, Any]]:
        """Returns them as JSON values."""
        return [
            {name: _text(value).tolist() for name, value in inputs.items()}
            for inputs in self.arrays(rows)
        ]


def _text(value: np.ndarray) -> np.ndarray:
    if value.dtype != object:
        return value
    texts = np.empty(value.size, object)
    texts[:] = [entry.decode() for entry in value.ravel()]
    return texts.reshape(value.shape)


def asked_of(model: str, export: Path, users: Path | None) -> Asked:
    """Returns what a model is asked: lists for users of a file, else its warm-up request.

    Raises:
        InputError: There is no version, or no warm-up request in it.
    """
    folders = version_folders(export)
    if not folders:
        raise InputError("An export must hold a version", received=export)
    version = folders[max(folders)]
    requests = dict(warm_up_requests(version))
    signature = "recommend_user" if "recommend_user" in requests else "score"
    if signature not in requests:
        raise InputError(
            "An export must hold warm-up requests", received=version, action="Export it again"
        )
    row = requests[signature]
    if users is None or signature == "score":
        return Asked(model, version, signature, [row])
    is_text = row["user"].dtype == object
    first = next(iter(islice(read_users(users, "user", is_text, _REQUESTS), 1)), np.empty(0))
    k = np.array([_K], np.int32)
    rows = [{"user": first[n : n + 1], "k": k} for n in range(len(first))]
    return Asked(model, version, signature, rows or [row])


def free_ports(count: int) -> list[int]:
    """Returns ports that nobody listens on now."""
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ports


def exports_of(pairs: Sequence[str] | None) -> dict[str, Path]:
    """Returns folders by model name, from texts as `ncf=EXPORT/ncf`.

    Raises:
        InputError: They are of another form.
    """
    parts = [entry.partition("=") for entry in pairs or ()]
    if not parts or not all(name and path for name, _, path in parts):
        raise InputError(
            "--exports must name models and folders",
            received=pairs,
            action="For example --exports=ncf=EXPORT/ncf",
        )
    return {name: Path(path) for name, _, path in parts}


@contextmanager
def server(
    exports: Mapping[str, Path], more: Sequence[str]
) -> Iterator[tuple[dict[str, str], subprocess.Popen[bytes]]]:
    """Runs a local server; yields its addresses by protocol, and its process.

    Args:
        exports: What is served, by model name.
        more: Further flags of the server.

    Raises:
        InputError: It does not start.
    """
    ports = free_ports(2)
    entries = "".join(
        f"config {{ name: '{name}' base_path: '{path.resolve()}' model_platform: 'tensorflow' }}\n"
        for name, path in exports.items()
    )
    with tempfile.NamedTemporaryFile("w", suffix=".config") as file:
        file.write(f"model_config_list {{ {entries} }}")
        file.flush()
        command = [sys.executable, "-m", "serving.local_server", f"--port={ports[0]}"]
        command += [f"--rest_api_port={ports[1]}", f"--model_config_file={file.name}", *more]
        with subprocess.Popen(command, stderr=subprocess.DEVNULL) as process:
            try:
                addresses = {
                    "grpc": f"grpc://127.0.0.1:{ports[0]}",
                    "rest": f"http://127.0.0.1:{ports[1]}",
                }
                _wait(process, addresses["rest"], next(iter(exports)))
                yield addresses, process
            finally:
                process.terminate()


def _wait(process: subprocess.Popen[bytes], url: str, model: str) -> None:
    with Client(url, model) as client:
        while process.poll() is None:
            try:
                client.versions()
            except InputError:
                time.sleep(0.2)
            else:
                return
    raise InputError("The server must start", received=f"exit code {process.returncode}")


def serving_table(model: str, loads: Sequence[Load]) -> str:
    """Returns a model's results as Markdown: times, throughput, and what the server adds."""
    lines = [
        f"### {model}",
        "",
        "| | batching | clients | rows | requests/s | p50 ms | p95 | p99 | p99.9 |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for load in loads:
        times = " | ".join(f"{value:.2f}" for value in load.milliseconds.values())
        mode = "" if load.protocol == "bare" else "on" if load.batching else "off"
        lines.append(
            f"| {load.protocol} | {mode} | {load.concurrency} | {load.rows} | "
            f"{load.requests_per_second:,.0f} | {times} |"
        )
    return "\n".join([*lines, "", *_comparisons(loads), ""])


def _comparisons(loads: Sequence[Load]) -> list[str]:
    bare = {load.rows: load for load in loads if load.protocol == "bare"}
    lines = []
    for load in loads:
        if load.protocol != "bare" and not load.batching and load.concurrency == 1:
            added = load.milliseconds["p50"] - bare[load.rows].milliseconds["p50"]
            lines.append(f"- {load.protocol}, {load.rows} rows: the server adds {added:.2f} ms")
    off = {(x.protocol, x.concurrency, x.rows): x for x in loads if not x.batching}
    for load in loads:
        alone = off.get((load.protocol, load.concurrency, load.rows))
        if load.batching and load.concurrency > 1 and alone is not None:
            ratio = load.requests_per_second / alone.requests_per_second
            lines.append(
                f"- {load.protocol}, {load.concurrency} clients, {load.rows} rows: batching gives "
                f"{ratio:.2f} times the throughput"
            )
    return lines
