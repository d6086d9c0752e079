"""The server's settings files, in the protocol buffer text forms that TF Serving takes."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from google.protobuf import text_format
from tensorflow_serving.config import model_server_config_pb2

from data.errors import InputError
from serving.server.errors import ServingError, invalid_argument
from serving.server.settings_messages import WRAPPED, messages

METRICS_PATH = "/monitoring/prometheus/metrics"


@dataclass(frozen=True)
class ModelConfig:
    """What is served of one model.

    Attributes:
        base_path: Folder that holds the version folders.
        latest: How many of the newest versions; 0 for all, or those of `specific`.
        specific: These versions only.
        labels: Versions by label.
    """

    base_path: Path
    latest: int = 1
    specific: tuple[int, ...] = ()
    labels: Mapping[str, int] = field(default_factory=dict)

    def wanted(self, present: Mapping[int, Path]) -> list[int]:
        """Returns which of the present versions are to be served, the newest first."""
        versions = sorted(present, reverse=True)
        if self.specific:
            return [version for version in versions if version in self.specific]
        return versions[: self.latest] if self.latest else versions


@dataclass(frozen=True)
class BatchingParameters:
    """How concurrent requests are put together; names and defaults are TF Serving's.

    Attributes:
        max_batch_size: Most rows of a batch.
        batch_timeout_micros: Longest time that a request waits for others, in microseconds, once a
            thread is free.
        max_enqueued_batches: Most batches that wait; further requests are refused.
        num_batch_threads: Batches that run at once.
        allowed_batch_sizes: Sizes to which batches are padded, growing; none for any size.
        pad_variable_length_inputs: Whether inputs of unequal shapes are padded to go together. If
            not, those of equal shapes go together.
    """

    max_batch_size: int = 1000
    batch_timeout_micros: int = 0
    max_enqueued_batches: int = 10
    num_batch_threads: int = os.cpu_count() or 1
    allowed_batch_sizes: tuple[int, ...] = ()
    pad_variable_length_inputs: bool = False


def read_models(path: Path) -> dict[str, ModelConfig]:
    """Returns the models of a `--model_config_file`.

    Raises:
        InputError: The file cannot be read or is not a `ModelServerConfig`.
    """
    config = model_server_config_pb2.ModelServerConfig()
    example = "name: 'ncf' base_path: '/models/ncf' model_platform: 'tensorflow'"
    _read(path, config, f"model_config_list {{ config {{ {example} }} }}")
    try:
        return models_of(config)
    except ServingError as error:
        raise InputError(
            "A model config must name models that can be served",
            received=error.message,
            where=path,
            action="See https://www.tensorflow.org/tfx/serving/serving_config",
        ) from error


def models_of(config: Any) -> dict[str, ModelConfig]:
    """Returns the models of a `ModelServerConfig`, by name.

    Raises:
        ServingError: INVALID_ARGUMENT where it cannot be followed.
    """
    if config.WhichOneof("config") != "model_config_list":
        raise invalid_argument("Invalid ServerModelConfig: only model_config_list is supported")
    models: dict[str, ModelConfig] = {}
    for entry in config.model_config_list.config:
        if not entry.name or not entry.base_path:
            raise invalid_argument("Every model must have a name and a base_path")
        if entry.name in models:
            raise invalid_argument(f"Duplicate model name: {entry.name}")
        if entry.model_platform != "tensorflow":
            raise invalid_argument(
                f"The model_platform of {entry.name} must be 'tensorflow', not "
                f"'{entry.model_platform}'"
            )
        if "://" in entry.base_path:
            raise invalid_argument(f"Base paths must be local folders, not {entry.base_path}")
        models[entry.name] = _model(entry)
    return models


def _model(entry: Any) -> ModelConfig:
    policy = entry.model_version_policy
    latest, specific = max(1, policy.latest.num_versions), ()
    if policy.WhichOneof("policy_choice") == "all":
        latest = 0
    elif policy.WhichOneof("policy_choice") == "specific":
        specific = tuple(policy.specific.versions)
        if not specific:
            raise invalid_argument(f"No specific versions of {entry.name} are given")
    return ModelConfig(Path(entry.base_path), latest, specific, dict(entry.version_labels))


def read_batching(path: Path) -> BatchingParameters:
    """Returns the settings of a `--batching_parameters_file`.

    Raises:
        InputError: The file cannot be read, or holds settings that cannot be followed.
    """
    message = messages()["BatchingParameters"]()
    _read(path, message, "max_batch_size { value: 64 } batch_timeout_micros { value: 0 }")
    given = {
        name: getattr(message, name).value
        for name in WRAPPED
        if message.HasField(name) and name != "thread_pool_name"
    }
    parameters = BatchingParameters(
        **given,
        allowed_batch_sizes=tuple(message.allowed_batch_sizes),
        pad_variable_length_inputs=message.pad_variable_length_inputs,
    )
    _check_batching(parameters, path)
    return parameters


def _check_batching(parameters: BatchingParameters, path: Path) -> None:
    for name in ("max_batch_size", "max_enqueued_batches", "num_batch_threads"):
        if getattr(parameters, name) < 1:
            raise InputError(
                f"{name} must be at least 1", received=getattr(parameters, name), where=path
            )
    if parameters.batch_timeout_micros < 0:
        raise InputError(
            "batch_timeout_micros must not be negative",
            received=parameters.batch_timeout_micros,
            where=path,
        )
    sizes = parameters.allowed_batch_sizes
    if sizes and (
        sorted(set(sizes)) != list(sizes) or sizes[0] < 1 or sizes[-1] != parameters.max_batch_size
    ):
        raise InputError(
            "allowed_batch_sizes must grow and end with max_batch_size",
            received=f"{list(sizes)} and {parameters.max_batch_size}",
            where=path,
        )


def read_metrics_path(path: Path) -> str | None:
    """Returns where a `--monitoring_config_file` wants the metrics; None where it wants none.

    Raises:
        InputError: The file cannot be read or holds something else.
    """
    message = messages()["MonitoringConfig"]()
    _read(path, message, f'prometheus_config {{ enable: true, path: "{METRICS_PATH}" }}')
    wanted = message.prometheus_config
    if wanted.path and not wanted.path.startswith("/"):
        raise InputError(
            "The path of the metrics must start with /", received=wanted.path, where=path
        )
    return (wanted.path or METRICS_PATH) if wanted.enable else None


def _read(path: Path, message: Any, example: str) -> None:
    try:
        text_format.Parse(path.read_text(encoding="utf-8"), message)
    except (OSError, UnicodeDecodeError, text_format.ParseError) as error:
        raise InputError(
            f"The file must hold a {type(message).__name__} as protocol buffer text",
            received=error,
            where=path,
            action=f"For example: {example}",
        ) from error
