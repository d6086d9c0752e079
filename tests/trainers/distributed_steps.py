"""Evaluates, then takes steps on each rank's share of fixed global batches; saves the weights.

Started by test_distributed.py, alone or under horovodrun: DATA OUT GLOBAL_BATCH OPTIMIZER...
Once for each optimizer of the tables, in the same processes, which take longer to start than to
train.
"""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import tensorflow as tf

import models  # noqa: F401  Keras 2 must be chosen before tf.keras is touched.
from configs.base import EvaluationConfig
from configs.registry import build_model, recipe
from data.dataset import PreparedDataset
from data.pipeline import make_dataset
from models.communicator import Communicator
from models.training_step import StepOptions
from trainers.distributed import make_communicator
from trainers.ranking_evaluation import RankingEvaluator

STEPS = 20


def main() -> None:
    """Evaluates, trains, and lets rank 0 write what it holds."""
    data, out, size = PreparedDataset(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])
    communicator = make_communicator()
    found = {
        f"{optimizer}/{name}": values
        for optimizer in sys.argv[4:]
        for name, values in trained(data, size, optimizer, communicator).items()
    }
    if communicator.rank == 0:
        np.savez(out, **found)  # type: ignore[arg-type]


def trained(
    data: PreparedDataset, size: int, optimizer: str, communicator: Communicator
) -> dict[str, np.ndarray]:
    """Returns metrics before the first step, and weights after the last."""
    config = recipe("ncf", "tiny")
    settings = replace(config.model, table_optimizer=optimizer)
    model = build_model(replace(config, model=settings), data)
    model.prepare_training(tf.keras.optimizers.Adam(0.01), StepOptions(communicator=communicator))
    communicator.broadcast(model.variables)
    # Before the first step, as weights equal but for rounding may rank near-ties differently.
    evaluation = EvaluationConfig(batch_size=37)
    result = RankingEvaluator(
        model, data, "test", evaluation, ("sampled", "full"), communicator
    ).evaluate()
    share = size // communicator.size
    mine = slice(communicator.rank * share, (communicator.rank + 1) * share)
    reading = model.reading(("train",), size)
    batches = make_dataset(data, reading, model.transforms(data, ("train",), True), seed=1)
    step = tf.function(model.train_step)
    for batch in batches.take(STEPS):
        step({name: values[mine] for name, values in batch.items()})
    tables = {name: model.tables.rows(name).numpy() for name in ("user", "item")}
    dense = {f"dense{n}": v.numpy() for n, v in enumerate(model.trainable_variables)}
    return {**tables, **dense, "metrics": np.array(list(result.metrics.values()))}


if __name__ == "__main__":
    main()
