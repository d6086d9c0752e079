"""TF Serving's settings files: what they say is what is done, and faults are named."""

from __future__ import annotations

from pathlib import Path

import pytest

from data.errors import InputError
from serving.server.settings import (
    METRICS_PATH,
    BatchingParameters,
    ModelConfig,
    read_batching,
    read_metrics_path,
    read_models,
)

TF = "model_platform: 'tensorflow'"
MODELS = """
model_config_list {
  config {
    name: 'a' base_path: '/models/a' model_platform: 'tensorflow'
    model_version_policy { specific { versions: 4 versions: 2 } }
    version_labels { key: 'stable' value: 2 }
  }
  config {
    name: 'b' base_path: '/models/b' model_platform: 'tensorflow'
    model_version_policy { all {} }
  }
  config {
    name: 'c' base_path: '/models/c' model_platform: 'tensorflow'
    model_version_policy { latest { num_versions: 2 } }
  }
  config { name: 'd' base_path: '/models/d' model_platform: 'tensorflow' }
}
"""


def written(folder: Path, text: str) -> Path:
    path = folder / "file.config"
    path.write_text(text)
    return path


def test_models_policies_and_labels(tmp_path: Path) -> None:
    assert read_models(written(tmp_path, MODELS)) == {
        "a": ModelConfig(Path("/models/a"), 1, (4, 2), {"stable": 2}),
        "b": ModelConfig(Path("/models/b"), 0),
        "c": ModelConfig(Path("/models/c"), 2),
        "d": ModelConfig(Path("/models/d"), 1),
    }


def test_wanted_versions() -> None:
    present = {version: Path() for version in (1, 2, 4, 9)}
    assert ModelConfig(Path()).wanted(present) == [9]
    assert ModelConfig(Path(), latest=2).wanted(present) == [9, 4]
    assert ModelConfig(Path(), latest=0).wanted(present) == [9, 4, 2, 1]
    assert ModelConfig(Path(), specific=(1, 3, 4)).wanted(present) == [4, 1]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("model_config_list {", "must hold a ModelServerConfig as protocol buffer text"),
        ("", "only model_config_list is supported"),
        ("model_config_list { config { name: 'a' } }", "must have a name and a base_path"),
        (
            "model_config_list { config { name: 'a' base_path: 'x' model_platform: 'sk' } }",
            "The model_platform of a must be 'tensorflow', not 'sk'",
        ),
        (
            f"model_config_list {{ config {{ name: 'a' base_path: 'gs://x/y' {TF} }} }}",
            "Base paths must be local folders, not gs://x/y",
        ),
        (
            f"model_config_list {{ config {{ name: 'a' base_path: 'x' {TF} }} "
            f"config {{ name: 'a' base_path: 'y' {TF} }} }}",
            "Duplicate model name: a",
        ),
        (
            f"model_config_list {{ config {{ name: 'a' base_path: 'x' {TF} "
            "model_version_policy { specific {} } } }",
            "No specific versions of a are given",
        ),
    ],
)
def test_models_that_cannot_be_served(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(InputError) as caught:
        read_models(written(tmp_path, text))
    assert message in str(caught.value)
    assert "file.config" in str(caught.value)


def test_batching(tmp_path: Path) -> None:
    text = """
    max_batch_size { value: 8 } batch_timeout_micros { value: 500 }
    max_enqueued_batches { value: 100 } num_batch_threads { value: 3 }
    thread_pool_name { value: 'batches' }
    allowed_batch_sizes: 2 allowed_batch_sizes: 8 pad_variable_length_inputs: true
    """
    found = read_batching(written(tmp_path, text))
    assert found == BatchingParameters(8, 500, 100, 3, (2, 8), pad_variable_length_inputs=True)
    assert read_batching(written(tmp_path, "# all by default")) == BatchingParameters()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("max_batch: 3", "must hold a BatchingParameters as protocol buffer text"),
        ("max_batch_size: 3", "For example: max_batch_size { value: 64 }"),
        ("max_batch_size { value: 0 }", "max_batch_size must be at least 1. Received: 0"),
        ("batch_timeout_micros { value: -1 }", "batch_timeout_micros must not be negative"),
        ("allowed_batch_sizes: 4", "must grow and end with max_batch_size. Received: [4] and 1000"),
        (
            "max_batch_size { value: 4 } allowed_batch_sizes: 4 allowed_batch_sizes: 4",
            "must grow and end with max_batch_size",
        ),
    ],
)
def test_batching_that_cannot_be_followed(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(InputError) as caught:
        read_batching(written(tmp_path, text))
    assert message in str(caught.value)


def test_monitoring(tmp_path: Path) -> None:
    path = written(tmp_path, 'prometheus_config { enable: true, path: "/metrics" }')
    assert read_metrics_path(path) == "/metrics"
    path = written(tmp_path, "prometheus_config { enable: true }")
    assert read_metrics_path(path) == METRICS_PATH
    assert read_metrics_path(written(tmp_path, "prometheus_config { path: '/m' }")) is None
    with pytest.raises(InputError, match="must start with /"):
        read_metrics_path(written(tmp_path, 'prometheus_config { enable: true path: "m" }'))
    with pytest.raises(InputError, match="must hold a MonitoringConfig"):
        read_metrics_path(tmp_path / "none")
