r"""Serves SavedModels over TF Serving's RESTful API, for laptops, tests and small deployments.

    python -m serving.local_server --rest_api_port=8501 --model_name=ncf --model_base_path=EXPORT

    curl http://127.0.0.1:8501/v1/models/ncf
    curl -d '{"instances": [{"user": 5, "k": 10}]}' http://127.0.0.1:8501/v1/models/ncf:predict

The flags are those of `tensorflow_model_server`, and so are the answers, so that one can take the
other's place. --host and --rest_api_max_body_bytes are additions. The latest version in
--model_base_path is loaded at the start. A SavedModel is code: serve only those that you trust.
"""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

from absl import app, flags
from aiohttp import web

from data.errors import InputError
from serving.model_manager import ModelManager
from serving.rest import RestOptions, make_app

SHUTDOWN_SECONDS = 10.0  # for requests under way when the server is told to stop


def _define_flags() -> None:
    defaults = RestOptions()
    flags.DEFINE_integer("rest_api_port", 8501, "Port of the RESTful API.", 1, 65535)
    flags.DEFINE_string("model_name", "default", "Name of the model in requests.")
    flags.DEFINE_string("model_base_path", None, "Folder that holds the version folders.")
    flags.DEFINE_integer(
        "rest_api_num_threads", 4 * (os.cpu_count() or 1), "Requests that run at once.", 1
    )
    flags.DEFINE_integer(
        "rest_api_timeout_in_ms", defaults.timeout_ms, "Longest time for a request.", 1
    )
    flags.DEFINE_integer(
        "rest_api_max_body_bytes", defaults.max_body_bytes, "Largest request body.", 1
    )
    flags.DEFINE_string(
        "host", "127.0.0.1", "Address to listen on; 0.0.0.0 lets other machines in."
    )
    flags.mark_flag_as_required("model_base_path")


def main(argv: list[str]) -> int:
    """Loads the model and serves it until SIGINT or SIGTERM."""
    values = flags.FLAGS
    if len(argv) > 1:
        print(f"error: Unexpected argument. Received: {argv[1]!r}.", file=sys.stderr)
        return 2
    started = time.perf_counter()
    try:
        manager = ModelManager({values.model_name: Path(values.model_base_path)})
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    options = RestOptions(
        values.rest_api_num_threads, values.rest_api_timeout_in_ms, values.rest_api_max_body_bytes
    )
    url = f"http://{values.host}:{values.rest_api_port}/v1/models/{values.model_name}"
    print(f"Loaded in {time.perf_counter() - started:.1f} s; serving {url}", file=sys.stderr)
    try:
        web.run_app(
            make_app(manager, options),
            host=values.host,
            port=values.rest_api_port,
            access_log=None,
            print=None,
            shutdown_timeout=SHUTDOWN_SECONDS,
        )
    except OSError as error:
        print(f"error: Cannot listen on {url}: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    _define_flags()
    app.run(main)
