r"""Latency and throughput of served models against concurrency, over REST and gRPC.

  python -m benchmarks.serving --exports=ncf=EXPORT/ncf,vae_cf=EXPORT/vae_cf --users=users.csv

Starts `serving.local_server` with batching off and on, asks each model by its default signature
with 1 and more clients at once, and calls the same SavedModel without any server for comparison:
`bare`, as TensorFlow's users call a signature. --address=HOST asks servers that run already, TF
Serving for example, on ports 8500 and 8501 (--batching=on says that they batch). Clients and server
share the machine.

What is asked: the users of --users in turn, else the export's own warm-up request.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")  # before TensorFlow is loaded

import tensorflow as tf
from absl import app, flags

from benchmarks.load import Load, grpc_requests, quantiles, rest_requests, run_load
from benchmarks.results import dated, machine
from benchmarks.served import Asked, asked_of, exports_of, server, serving_table
from data.atomic import write_json, write_text
from data.command_line import EXIT_BAD_INPUT, no_argument, parse_flags
from data.errors import InputError

_EXPORTS = flags.DEFINE_list("exports", None, "Exports by model name: NAME=FOLDER, by comma.")
_USERS = flags.DEFINE_string("users", None, "Parquet or CSV with a column `user`.")
_CLIENTS = flags.DEFINE_list("concurrency", ["1", "8", "64"], "Clients at once.")
_ROWS = flags.DEFINE_list("rows", ["1"], "Users, or rows, of a request.")
_PROTOCOLS = flags.DEFINE_list("protocols", ["grpc", "rest"], "Of grpc and rest.")
_BATCHING = flags.DEFINE_list("batching", ["off", "on"], "Of off and on.")
_SECONDS = flags.DEFINE_float("seconds", 5.0, "Of each measurement.", lower_bound=0.1)
_ADDRESS = flags.DEFINE_string("address", None, "Host of a server that runs already.")
_OUT = flags.DEFINE_string("out", "benchmarks/results", "Folder of the dated results.")
_PARAMETERS = flags.DEFINE_string(
    "batching_parameters_file", "serving/deploy/batching.config", "Where batching is on."
)
_BARE_CALLS = 300


def _bare(asked: Asked, rows: int) -> Load:
    """Times the signature as TensorFlow's users call it."""
    signature = tf.saved_model.load(str(asked.version)).signatures[asked.signature]
    inputs = asked.arrays(rows)

    def call(number: int) -> None:
        given = {name: tf.constant(value) for name, value in inputs[number % len(inputs)].items()}
        for output in signature(**given).values():
            output.numpy()

    for number in range(20):
        call(number)
    times = []
    for number in range(_BARE_CALLS):
        started = time.perf_counter()
        call(number)
        times.append(time.perf_counter() - started)
    return Load("bare", False, 1, rows, len(times) / sum(times), quantiles(times))


def _measure(asked: Asked, addresses: dict[str, str], is_batched: bool) -> Iterator[Load]:
    for rows, clients in (
        (int(r), int(c)) for r in _ROWS.value or () for c in _CLIENTS.value or ()
    ):
        for protocol in _PROTOCOLS.value or ():
            requests = (
                grpc_requests(asked.messages(rows))
                if protocol == "grpc"
                else rest_requests(asked.signature, asked.plain(rows))
            )
            speed, times = run_load(
                addresses[protocol], asked.model, requests, clients, _SECONDS.value
            )
            yield Load(protocol, is_batched, clients, rows, speed, times)


def _run() -> None:
    exports = exports_of(_EXPORTS.value)
    users = Path(_USERS.value) if _USERS.value else None
    asked = {name: asked_of(name, path, users) for name, path in exports.items()}
    found: dict[str, list[Load]] = {
        name: [_bare(each, int(rows)) for rows in _ROWS.value or ()] for name, each in asked.items()
    }
    if _ADDRESS.value:
        addresses = {"grpc": f"grpc://{_ADDRESS.value}:8500"}
        addresses["rest"] = f"http://{_ADDRESS.value}:8501"
        _measure_all(asked, addresses, _BATCHING.value == ["on"], found)
    for mode in [] if _ADDRESS.value else _BATCHING.value or ():
        batching = ["--enable_batching", f"--batching_parameters_file={_PARAMETERS.value}"]
        with server(exports, batching if mode == "on" else []) as (addresses, _):
            _measure_all(asked, addresses, mode == "on", found)
    _write(found)


def _measure_all(
    asked: dict[str, Asked],
    addresses: dict[str, str],
    is_batched: bool,
    found: dict[str, list[Load]],
) -> None:
    for name, each in asked.items():
        for load in _measure(each, addresses, is_batched):
            found[name].append(load)
            print(f"{name}: {load}", file=sys.stderr, flush=True)


def _write(found: dict[str, list[Load]]) -> None:
    stem = dated(Path(_OUT.value or "."))
    command = " ".join(["python -m benchmarks.serving", *sys.argv[1:]])
    where = machine()
    write_json(
        stem.with_suffix(".json"),
        {
            "command": command,
            "machine": where,
            "results": {name: [asdict(load) for load in loads] for name, loads in found.items()},
        },
    )
    heading = [f"# Serving, {stem.name[:10]}", "", f"    {command}", ""]
    heading += [f"- {name}: {value}" for name, value in where.items()]
    tables = [serving_table(name, loads) for name, loads in found.items()]
    text = "\n".join([*heading, "", *tables])
    write_text(stem.with_suffix(".md"), text)
    print(text)
    print(f"Written: {stem}.json and .md", file=sys.stderr)


def main(argv: list[str]) -> None:
    """Measures, prints a table and writes it."""
    no_argument(argv)
    try:
        _run()
    except (InputError, RuntimeError) as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(EXIT_BAD_INPUT)


if __name__ == "__main__":
    app.run(main, flags_parser=parse_flags)
