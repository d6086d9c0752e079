"""The results of finished runs: their files, which way a metric is better, what is comparable."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

METRICS_FILE = "metrics.json"
LOWER_IS_BETTER = ("logloss", "normalised_entropy")
HASH_DIGITS = 8
_CLICK = "click"  # the protocol of metrics that name none


def results_file(model_dir: Path, schema_sha256: str | None = None) -> Path:
    """Returns the file of a run's results.

    Args:
        model_dir: The run folder.
        schema_sha256: Hash of the dataset that it was evaluated on, if not its own.
    """
    path = model_dir / METRICS_FILE
    return path.with_stem(path.stem + on_dataset(schema_sha256))


def on_dataset(schema_sha256: str | None) -> str:
    """Returns the end of the names of an evaluation's files; empty on the run's own data."""
    return "" if schema_sha256 is None else f"-on-{schema_sha256[:HASH_DIGITS]}"


def results_on(model_dir: Path, own_sha256: str, schema_sha256: str) -> tuple[Path, dict[str, Any]]:
    """Returns the file of a run's results on a dataset, and its content.

    Args:
        model_dir: The run folder.
        own_sha256: Hash of the schema of the dataset that the run was trained on.
        schema_sha256: Hash of that of the dataset that it was evaluated on.

    Returns:
        The file, and its content: nothing where the run was not evaluated there.
    """
    is_own = own_sha256 == schema_sha256
    path = results_file(model_dir, None if is_own else schema_sha256)
    results = read_results(path)
    # The name of the file holds some digits of the hash only.
    found = results.get("evaluated_on", {}).get("schema_sha256", own_sha256)
    return path, results if found == schema_sha256 else {}


def read_results(path: Path) -> dict[str, Any]:
    """Returns the content of a file of results; nothing where there is none yet."""
    if not path.is_file():
        return {}
    return cast(dict[str, Any], json.loads(path.read_text(encoding="utf-8")))


def badness(metric: str, value: float) -> float:
    """Returns a number that is lower for a better value of a metric, in the metric's own unit."""
    name = metric.partition("@")[0]
    if name == "calibration":  # 1 is best
        return abs(value - 1.0)
    return value if name in LOWER_IS_BETTER else -value


def protocol_of(metric: str) -> str:
    """Returns the protocol that a metric's name ends in: `full` of `ndcg@10/full`."""
    return metric.rpartition("/")[2] if "/" in metric else _CLICK


def card_difference(one: Mapping[str, Any], other: Mapping[str, Any]) -> str | None:
    """Returns the first field in which two protocol cards differ; None where none does."""
    return next((name for name in [*one, *other] if one.get(name) != other.get(name)), None)
