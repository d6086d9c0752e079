"""The base of every model: what it declares, and the one training step.

A step gathers the embedding vectors of the batch's unique rows, takes the gradients of the loss
with respect to those vectors and to the dense weights, and lets each part's optimizer apply its
own. Only the middle is compiled when XLA is asked for: lookups, sparse updates and collectives stay
outside.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Sequence
from typing import ClassVar

import tensorflow as tf

from data.dataset import PreparedDataset
from data.pipeline import Batch, Reading, Transform
from data.schema import Schema
from models.communicator import Communicator
from models.tables import EmbeddingTables

Vectors = dict[str, tf.Tensor]
Losses = dict[str, tf.Tensor]


class Recommender(tf.keras.Model):
    """A model that trains on batches of a prepared dataset.

    Subclasses set `tables` and implement the abstract methods. A Recommender is an ordinary Keras
    model: `compile(optimizer)` and `fit(dataset)` work and take the same step as the trainer.

    Attributes:
        view: View of the dataset that the model trains on.
        tables: The model's embedding tables.
    """

    view: ClassVar[str]
    tables: EmbeddingTables

    def __init__(self, schema: Schema) -> None:
        super().__init__()
        self.schema = schema
        self.communicator = Communicator()
        self.table_rate: Callable[[], tf.Tensor] | None = None
        self._compiled_gradients: Callable[..., tuple[Losses, Vectors, list[tf.Tensor]]] | None
        self._compiled_gradients = None

    @abstractmethod
    def transforms(
        self, data: PreparedDataset, splits: Sequence[str], training: bool
    ) -> list[Transform]:
        """Returns the transforms of the input pipeline.

        Args:
            data: The prepared dataset.
            splits: Splits that are trained on, whose positives are no negatives.
            training: Whether the batches are for training.
        """

    @abstractmethod
    def lookups(self, batch: Batch) -> dict[str, tf.Tensor]:
        """Returns the ids to look up in `tables`, by feature."""

    @abstractmethod
    def loss_from_vectors(self, batch: Batch, vectors: Vectors, training: bool) -> Losses:
        """Returns `loss`, the scalar to minimise, and other scalars to log, all float32.

        Each row weighs the same in every batch: losses are sums over rows, weighted by the
        batch's `mask`, divided by the static batch size.
        """

    @abstractmethod
    def item_scores(self, batch: Batch) -> tf.Tensor:
        """Scores every item for each row.

        Returns:
            Shape (batch, item cardinality), float32; columns 0 and 1 (padding and
            out-of-vocabulary) mean nothing.
        """

    @property
    def examples_per_row(self) -> int:
        """Training examples that one row of a batch makes, sampled negatives counted."""
        return 1

    def pretrained_runs(self) -> dict[str, str]:
        """Returns the run folders to start from, by the name that `adopt` knows."""
        return {}

    def adopt(self, name: str, model: Recommender) -> None:
        """Takes over initial values from the trained model of a run that `pretrained_runs` named.

        Args:
            name: Its name there.
            model: The trained model.
        """
        raise NotImplementedError(f"{type(self).__name__} names no pretrained runs")

    def scores(self, batch: Batch, items: tf.Tensor) -> tf.Tensor:
        """Scores the given items of shape (batch, C), int32. Returns (batch, C), float32."""
        return tf.gather(self.item_scores(batch), items, batch_dims=1)

    def reading(self, splits: Sequence[str], batch_size: int) -> Reading:
        """Returns how the training batches are read."""
        return Reading(self.view, tuple(splits), batch_size, shuffle=True)

    def training_loss(self, batch: Batch) -> tuple[tf.Tensor, Losses]:
        """Returns the scalar loss of a batch and the scalars to log, by name."""
        losses = self.loss_from_vectors(batch, self.tables.gather(self.lookups(batch)), True)
        return losses["loss"], losses

    def prepare_training(
        self,
        optimizer: tf.keras.optimizers.Optimizer,
        *,
        table_rate: Callable[[], tf.Tensor] | None = None,
        communicator: Communicator | None = None,
        xla: bool = False,
    ) -> None:
        """Makes the model ready for `train_step`.

        Args:
            optimizer: Keras optimizer of the dense weights.
            table_rate: Returns the learning rate of the tables at this step; by default the
                dense optimizer's.
            communicator: Other processes to average gradients with.
            xla: Whether to compile the dense part with XLA.
        """
        self.optimizer = optimizer
        optimizer.build(self.trainable_variables)
        self.tables.build_slots()
        self.table_rate = table_rate
        self.communicator = communicator or Communicator()
        self._compiled_gradients = tf.function(self._gradients, jit_compile=xla or None)

    def compile(self, optimizer: tf.keras.optimizers.Optimizer, **arguments: object) -> None:
        """Keras's hook, for `fit` in a notebook; `jit_compile=True` compiles the dense part."""
        xla = bool(arguments.pop("jit_compile", False))
        super().compile(optimizer=optimizer, **arguments)
        self.prepare_training(self.optimizer, xla=xla)

    def train_step(self, batch: Batch) -> Losses:
        """Takes one step. Returns scalars to log, float32: losses and gradient norms."""
        assert self._compiled_gradients is not None
        found = self.tables.find(self.lookups(batch))
        losses, row_gradients, dense_gradients = self._compiled_gradients(
            batch, self.tables.gather_rows(found), found.places
        )
        if dense_gradients:
            dense_gradients = self.communicator.all_reduce_mean(dense_gradients)
        rate = self.table_rate() if self.table_rate else self.optimizer.learning_rate
        self.optimizer.apply_gradients(zip(dense_gradients, self.trainable_variables, strict=True))
        self.tables.apply_gradients(
            found, row_gradients, tf.cast(rate, tf.float32), self.communicator
        )
        return losses

    def _gradients(
        self, batch: Batch, rows: Vectors, places: dict[str, tf.Tensor]
    ) -> tuple[Losses, Vectors, list[tf.Tensor]]:
        variables = self.trainable_variables
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(rows)
            tape.watch(variables)
            losses = self.loss_from_vectors(batch, self.tables.expand(rows, places), True)
        row_gradients, dense_gradients = tape.gradient(losses["loss"], (rows, variables))
        row_gradients = {n: tf.convert_to_tensor(slices) for n, slices in row_gradients.items()}
        losses["gradient_norm/dense"] = tf.linalg.global_norm(dense_gradients)
        losses["gradient_norm/tables"] = tf.linalg.global_norm(list(row_gradients.values()))
        return losses, row_gradients, dense_gradients

    def test_step(self, batch: Batch) -> Losses:
        """Keras's hook for `evaluate`: the loss without a step."""
        vectors = self.tables.gather(self.lookups(batch))
        return self.loss_from_vectors(batch, vectors, training=False)


def masked_mean(values: tf.Tensor, mask: tf.Tensor) -> tf.Tensor:
    """Returns the sum over rows with mask 1, divided by the static number of rows.

    Args:
        values: Shape (batch,) or (batch, C), averaged over C.
        mask: Shape (batch,), float32.
    """
    values = tf.cast(values, tf.float32)
    if values.shape.rank > 1:
        values = tf.reduce_mean(values, axis=1)
    return tf.reduce_sum(values * mask) / float(mask.shape[0])
