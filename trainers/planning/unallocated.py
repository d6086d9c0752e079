"""A model's training step as a graph, its variables without memory."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import tensorflow as tf
from tensorflow.python.ops.resource_variable_ops import UninitializedVariable

from configs.base import RunConfig
from configs.registry import build_model
from data.dataset import PreparedDataset
from data.errors import InputError
from data.pipeline import make_dataset
from data.reading import Reading, steps_per_epoch
from models.closed_form import ClosedForm
from models.communicator import Communicator
from models.graphs import graph_function
from models.recommender import Recommender
from models.table_storage import table_storage
from models.training_step import StepOptions
from trainers.precision import precision
from trainers.schedules import make_dense_optimizer


@dataclass(frozen=True)
class Traced:
    """A model that was built without memory.

    Attributes:
        model: The model, ready for training but for values.
        reading: How its batches are read.
        graph: Graph of a step.
        batch: What a batch looks like.
        read_bytes: What the process grew by as the transforms read the dataset.
        batches: Its batches.
    """

    model: Recommender
    reading: Reading
    graph: tf.Graph
    batch: dict[str, tf.TensorSpec]
    read_bytes: int
    batches: tf.data.Dataset

    def unique_rows(self) -> dict[str, int]:
        """Returns how many rows of each stack the first batch looks up."""
        found = self.model.tables.find(self.model.lookups(next(iter(self.batches))))
        return {key: int(count) for key, count in found.counts.items()}


class _PlannedWorld(Communicator):
    """Stands for several processes: what they would send takes its place, without its values."""

    def __init__(self, size: int) -> None:
        self.size = size

    def all_reduce_mean(self, tensors: Sequence[tf.Tensor]) -> list[tf.Tensor]:
        """Returns new tensors like those given, as the collective does."""
        return [tf.raw_ops.DeepCopy(x=tensor) for tensor in tensors]

    def all_gather(self, tensor: tf.Tensor) -> tf.Tensor:
        """Returns as many rows as all processes hold."""
        return tf.concat([tensor] * self.size, axis=0)

    def all_to_all(self, tensor: tf.Tensor, splits: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Returns as many rows as are sent, as if all ranks asked for the same."""
        return tf.raw_ops.DeepCopy(x=tensor), splits


def trace(config: RunConfig, data: PreparedDataset, ranks: int) -> Traced:
    """Builds a model and traces its step; nothing as large as a table is allocated.

    Raises:
        InputError: The model is not trained by steps.
    """
    trainer = config.trainer
    world = _PlannedWorld(ranks) if ranks > 1 else Communicator()
    storage = table_storage(draws=False, is_planned=True)
    with precision(trainer.mixed_precision), tf.variable_creator_scope(_create), storage:
        model = build_model(config, data, world)
        if isinstance(model, ClosedForm):
            raise InputError(
                "--plan is for models that are trained by steps",
                received=f"--model={config.model_name}, which is solved in one",
            )
        reading = model.reading(trainer.fit_on, trainer.batch_size)
        before = resident_bytes()
        transforms = model.transforms(data, trainer.fit_on, True)
        read = resident_bytes() - before
        steps = steps_per_epoch(data, reading, ranks) * trainer.epochs
        options = StepOptions(xla=trainer.xla, parts=trainer.accumulate)
        model.prepare_training(make_dense_optimizer(trainer, steps), options)
        model.is_static = True  # a batch may be of long sequences alone, without padding
        batches = make_dataset(data, reading, transforms, seed=trainer.seed, ranks=ranks)
        batch = batches.element_spec
        graph = graph_function(model.train_step).get_concrete_function(batch).graph
    return Traced(model, reading, graph, batch, read, batches)


def resident_bytes() -> int:
    """Returns the memory that this process holds now."""
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def _create(following: Callable[..., tf.Variable], **given: Any) -> tf.Variable:
    """Makes a variable's handle only; of scalars the whole, as rates and counters are read."""
    shape, dtype = _form(given)
    if shape.rank == 0:
        return following(**given)
    return UninitializedVariable(
        shape=shape, dtype=dtype, trainable=given.get("trainable"), name=given.get("name")
    )


def _form(given: dict[str, Any]) -> tuple[tf.TensorShape, tf.DType]:
    start, shape, dtype = (given.get(name) for name in ("initial_value", "shape", "dtype"))
    if shape is not None and dtype is not None:
        return tf.TensorShape(shape), tf.as_dtype(dtype)
    if callable(start):
        start = graph_function(start).get_concrete_function().structured_outputs
    else:
        start = tf.convert_to_tensor(start, dtype)
    return start.shape, start.dtype
