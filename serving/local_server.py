r"""Serves SavedModels over TF Serving's APIs, for laptops, tests and small deployments.

    python -m serving.local_server --port=8500 --rest_api_port=8501 --model_name=ncf \
        --model_base_path=EXPORT

    curl http://127.0.0.1:8501/v1/models/ncf
    curl -d '{"instances": [{"user": 5, "k": 10}]}' http://127.0.0.1:8501/v1/models/ncf:predict

The flags are those of `tensorflow_model_server`, and so are the answers, so that one can take the
other's place; docs/serving.md lists the additions and what is left out. New versions in a base path
are loaded as they appear. Several models, version policies and labels: --model_config_file. The
server listens on this machine only, unless --host says otherwise. A SavedModel is code: serve only
those that you trust.
"""

from __future__ import annotations

import gc
import logging
import os
import sys
import time
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")  # before TensorFlow is loaded

import tensorflow as tf
import uvloop
from absl import app, flags

from data.command_line import EXIT_BAD_INPUT, no_argument, parse_flags
from data.errors import InputError
from serving.server.loading import LoadOptions
from serving.server.model_manager import ManagerOptions, ModelManager
from serving.server.rest import RestOptions
from serving.server.running import Addresses, ServerOptions, serve_until_stopped
from serving.server.servable import GraphThreads
from serving.server.settings import (
    METRICS_PATH,
    BatchingParameters,
    ModelConfig,
    read_batching,
    read_metrics_path,
    read_models,
)

flags.DEFINE_integer("port", 8500, "Port of the gRPC API; 0 for none.", 0, 65535)
flags.DEFINE_integer("rest_api_port", 8501, "Port of the RESTful API; 0 for none.", 0, 65535)
flags.DEFINE_string("host", "127.0.0.1", "Address to listen on; 0.0.0.0 lets other machines in.")
flags.DEFINE_string("model_name", "default", "Name of the model in requests.")
flags.DEFINE_string("model_base_path", None, "Folder that holds the version folders.")
flags.DEFINE_string(
    "model_config_file", None, "Models, version policies and labels, as ModelServerConfig text."
)
flags.DEFINE_integer(
    "model_config_file_poll_wait_seconds",
    0,
    "Seconds between looks at --model_config_file; 0 for the start only.",
    lower_bound=0,
)
flags.DEFINE_float(
    "file_system_poll_wait_seconds",
    1.0,
    "Seconds between looks for new versions; 0 for the start only.",
    lower_bound=0,
)
flags.DEFINE_bool(
    "allow_version_labels_for_unavailable_models",
    False,
    "Whether a new label may name a version that is not loaded yet.",
)
flags.DEFINE_bool(
    "enable_model_warmup", True, "Whether a version's warm-up requests run before it answers."
)
flags.DEFINE_bool("enable_batching", False, "Whether concurrent requests are put together.")
flags.DEFINE_string(
    "batching_parameters_file", None, "Sizes and times of batches, as BatchingParameters text."
)
flags.DEFINE_string(
    "monitoring_config_file", None, f"MonitoringConfig text; by default no {METRICS_PATH}."
)
flags.DEFINE_integer(
    "rest_api_num_threads", 4 * (os.cpu_count() or 1), "Graphs that run at once, of any API.", 1
)
flags.DEFINE_integer("rest_api_timeout_in_ms", 30_000, "Longest time for an HTTP request.", 1)
flags.DEFINE_integer("rest_api_max_body_bytes", 64 * 2**20, "Largest HTTP body, unpacked.", 1)
flags.DEFINE_integer("grpc_max_message_bytes", 64 * 2**20, "Largest gRPC message.", 1)
flags.DEFINE_integer(
    "tensorflow_inter_op_parallelism",
    -1,
    "Threads that run a graph's operations side by side; -1 for the request's own, 0 for one a "
    "processor.",
    lower_bound=-1,
)
flags.DEFINE_integer(
    "tensorflow_intra_op_parallelism",
    0,
    "Threads inside an operation; 0 for one a processor.",
    lower_bound=0,
)


def _models() -> dict[str, ModelConfig]:
    values = flags.FLAGS
    if bool(values.model_base_path) == bool(values.model_config_file):
        raise InputError(
            "Either --model_base_path or --model_config_file must be given",
            received="both" if values.model_base_path else "neither",
            action="For one model: --model_name=NAME --model_base_path=EXPORT",
        )
    if values.model_config_file:
        return read_models(Path(values.model_config_file))
    return {values.model_name: ModelConfig(Path(values.model_base_path))}


def _options() -> ServerOptions:
    values = flags.FLAGS
    if not values.port and not values.rest_api_port:
        raise InputError("One of --port and --rest_api_port must not be 0")
    batching = BatchingParameters() if values.enable_batching else None
    if values.batching_parameters_file:
        if not values.enable_batching:
            raise InputError("--batching_parameters_file needs --enable_batching")
        batching = read_batching(Path(values.batching_parameters_file))
    monitoring = values.monitoring_config_file
    return ServerOptions(
        values.host,
        values.port or None,
        values.rest_api_port or None,
        values.rest_api_num_threads,
        values.grpc_max_message_bytes,
        RestOptions(
            values.rest_api_timeout_in_ms,
            values.rest_api_max_body_bytes,
            read_metrics_path(Path(monitoring)) if monitoring else None,
        ),
        batching,
    )


def _manager(models: dict[str, ModelConfig]) -> ModelManager:
    values = flags.FLAGS
    threads = GraphThreads(
        values.tensorflow_inter_op_parallelism, values.tensorflow_intra_op_parallelism
    )
    options = ManagerOptions(
        values.file_system_poll_wait_seconds,
        values.allow_version_labels_for_unavailable_models,
        Path(values.model_config_file) if values.model_config_file else None,
        values.model_config_file_poll_wait_seconds,
        LoadOptions(values.enable_model_warmup, threads),
    )
    return ModelManager(models, options)


def main(argv: list[str]) -> int:
    """Loads the models and serves them until SIGINT or SIGTERM."""
    no_argument(argv)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", stream=sys.stderr)
    tf.get_logger().setLevel("ERROR")
    # What was imported lives for ever; to look through it for garbage takes 200 ms each time.
    gc.freeze()
    began = time.perf_counter()

    def started(addresses: Addresses) -> None:
        where = [f"gRPC on {addresses.grpc}"] if addresses.grpc else []
        where += [f"http://{addresses.rest}/v1/models/{name}" for name in models if addresses.rest]
        seconds = time.perf_counter() - began
        print(f"Loaded in {seconds:.1f} s; serving {', '.join(where)}", file=sys.stderr, flush=True)

    try:
        models, options = _models(), _options()
        uvloop.run(serve_until_stopped(_manager(models), options, started))
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        return EXIT_BAD_INPUT
    return 0


if __name__ == "__main__":
    app.run(main, flags_parser=parse_flags)
