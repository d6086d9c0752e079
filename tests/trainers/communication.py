"""What ranks are predicted to send, and what a run has written of it."""

from __future__ import annotations

from pathlib import Path

import tensorflow as tf

from configs.base import RunConfig
from data.dataset import PreparedDataset
from trainers.planning.network import collectives
from trainers.planning.unallocated import trace


def predicted_bytes(config: RunConfig, data: PreparedDataset, ranks: int) -> float:
    """Returns the bytes that a rank sends in a step."""
    traced = trace(config, data, ranks)
    found = collectives(traced.model, traced.unique_rows(), config.trainer, ranks)
    return sum(collective.sent for collective in found)


def scalars_of(model_dir: Path) -> dict[str, list[float]]:
    """Returns the scalars in a run's TensorBoard files, by tag, in the order of their writing."""
    found: dict[str, list[float]] = {}
    for path in sorted(model_dir.glob("events.out.*")):
        for event in tf.compat.v1.train.summary_iterator(str(path)):
            for value in event.summary.value:
                if value.HasField("simple_value"):
                    found.setdefault(value.tag, []).append(value.simple_value)
    return found
