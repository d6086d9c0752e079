"""What the Keras peers share: optimizers, and fitting with a clock."""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

# Keras 2, unless the caller chooses 3 by "0". Read when tf.keras is first touched.
os.environ.setdefault("TF_USE_LEGACY_KERAS", "1")

import numpy as np
import tensorflow as tf

from benchmarks.peers import row_examples, timing
from benchmarks.peers.timing import Measured, Task


def run(
    path: str,
    make_model: Callable[[Task, int], tf.keras.Model],
    *,
    logs_means: bool,
    packages: Sequence[str] = (),
) -> None:
    """Trains the model of a task on clicks and prints the result.

    Args:
        path: File of the task.
        make_model: Returns a compiled model for rows of so many numbers.
        logs_means: Whether the loss that Keras logs is the mean of the epoch so far.
        packages: Distributions whose versions matter, besides TensorFlow and Keras.
    """
    task = timing.read_task(path)
    tf.keras.utils.set_random_seed(task.seed)
    if task.precision == "bfloat16":
        tf.keras.mixed_precision.set_global_policy("mixed_bfloat16")
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "rows.tfrecord"
        rows, numbers = row_examples.write(task, file)
        batches = row_examples.read(task, file, numbers)
        measured = fit(task, make_model(task, numbers), batches, logs_means)
    examples = rows if task.epoch else task.batch_size
    keras = "tf-keras" if tf.keras.Model.__module__.startswith("tf_keras") else "keras"
    timing.print_result(task, measured, examples, ("tensorflow", keras, *packages))


class Clock(tf.keras.callbacks.Callback):
    """Notes when batches and epochs ended, and the losses that Keras logged."""

    def __init__(self) -> None:
        super().__init__()
        self.batch_ends: list[float] = []
        self.epoch_ends: list[float] = []
        self.losses: list[list[float]] = []

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        """Starts the clock."""
        self.batch_ends, self.epoch_ends = ([time.perf_counter()] for _ in range(2))

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Starts the losses of an epoch."""
        self.losses.append([])

    def on_train_batch_end(self, batch: int, logs: dict[str, Any]) -> None:
        """Notes the end of a batch."""
        self.batch_ends.append(time.perf_counter())
        self.losses[-1].append(logs["loss"])

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Notes the end of an epoch."""
        self.epoch_ends.append(time.perf_counter())


def fit(task: Task, model: tf.keras.Model, batches: tf.data.Dataset, logs_means: bool) -> Measured:
    """Trains a compiled model by `fit` and times it, from the end of a batch to that of the next.

    Args:
        task: The task.
        model: The model.
        batches: Without end, unless epochs are timed.
        logs_means: Whether the loss that is logged is the mean of the epoch so far.
    """
    clock, count = Clock(), task.warmup + task.steps
    lengths = {"epochs": count} if task.epoch else {"steps_per_epoch": count}
    model.fit(batches, callbacks=[clock], verbose=0, **lengths)
    losses = [_of_batches(logged) if logs_means else logged for logged in clock.losses]
    if task.epoch:
        ends, means = clock.epoch_ends, [float(np.mean(of_epoch)) for of_epoch in losses]
    else:
        ends, (means,) = clock.batch_ends, losses
    return Measured(np.diff(ends)[task.warmup :].tolist(), means[task.warmup :])


def _of_batches(means: list[float]) -> list[float]:
    """Returns the losses of an epoch's batches from their running means."""
    return np.diff(np.arange(1, len(means) + 1) * means, prepend=0).tolist()
