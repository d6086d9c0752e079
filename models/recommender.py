"""The base of every model: what it declares, and the one training step.

A step gathers the embedding vectors of the batch's unique rows and sums its bags, takes the
gradients of the loss with respect to those vectors and to the dense weights, and lets each part's
optimizer apply its own. Only the middle is compiled when XLA is asked for: lookups, bags, sparse
updates and collectives stay outside.
"""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Callable, Sequence
from typing import ClassVar, Literal

import tensorflow as tf

from data.dataset import PreparedDataset
from data.pipeline import Batch, Reading, Transform
from data.schema import Kind, Schema
from models.communicator import Communicator
from models.tables import EmbeddingTables, Lookups

Vectors = dict[str, tf.Tensor]
Losses = dict[str, tf.Tensor]
# Losses, and gradients of the rows of each stack, of each bag and of the dense weights.
Gradients = tuple[Losses, Vectors, Vectors, list[tf.Tensor]]


class Recommender(tf.keras.Model):
    """A model that trains on batches of a prepared dataset.

    Subclasses set `tables` and implement the abstract methods. A Recommender is an ordinary Keras
    model: `compile(optimizer)` and `fit(dataset)` work and take the same step as the trainer.

    Attributes:
        view: View of the dataset that the model trains on.
        scores_by: What `item_scores` looks at: `user` ids, or the `seen_item` lists.
        logits_are_binary: Whether the sigmoid of a score is the probability of that item or label.
        tables: The model's embedding tables.
    """

    view: ClassVar[str]
    scores_by: ClassVar[Literal["user", "seen_item"]] = "user"
    logits_are_binary: ClassVar[bool] = True
    tables: EmbeddingTables

    def __init__(self, schema: Schema) -> None:
        super().__init__(autocast=False)  # raw numbers of a batch keep their digits
        self.schema = schema
        self.communicator = Communicator()
        self.table_rate: Callable[[], tf.Tensor] | None = None
        self._compiled_gradients: Callable[..., Gradients] | None
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
    def lookups(self, batch: Batch) -> Lookups:
        """Returns the ids to look up in `tables`, or bags of them, by feature."""

    @abstractmethod
    def loss_from_vectors(self, batch: Batch, vectors: Vectors, training: bool) -> Losses:
        """Returns `loss`, the scalar to minimise, and other scalars to log, all float32.

        Each row weighs the same in every batch: losses are sums over rows, weighted by the
        batch's `mask`, divided by the static batch size.
        """

    @abstractmethod
    def item_scores(self, batch: Batch) -> tf.Tensor:
        """Scores every item for each row.

        Args:
            batch: Holds `user` of shape (batch,), or `seen_item` of shape (batch, longest): the
                user's items in time order, padded with 0 at the end. `scores_by` says which.

        Returns:
            Shape (batch, item cardinality), float32; columns 0 and 1 (padding and
            out-of-vocabulary) mean nothing.
        """

    @property
    def recommends(self) -> bool:
        """Whether the model can score items for a user: the data has both."""
        kinds = {feature.kind for feature in self.schema.features}
        return {Kind.USER, Kind.ITEM} <= kinds

    def parameters(self) -> list[tf.Variable]:
        """Returns what training sets: tables and dense weights."""
        return [*self.tables.variables_trained(), *self.trainable_variables]

    def uninformed_loss(self, batch: Batch) -> float:
        """Returns the loss of a model that knows nothing, near which training starts."""
        del batch
        return math.log(2)

    def smallest_loss(self, batch: Batch) -> float:
        """Returns the loss of a model that knows the batch by heart."""
        del batch
        return 0.0

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

    def vectors(self, rows: Vectors, places: dict[str, tf.Tensor]) -> Vectors:
        """Deals the vectors of the batch's unique rows out to the features.

        A model whose first layer is linear may apply it here: once a row, not once a lookup.

        Args:
            rows: By stack, shape (unique rows, D); see `EmbeddingTables.gather_rows`.
            places: By feature, the place of each id among the rows.
        """
        return self.tables.expand(rows, places)

    def training_loss(self, batch: Batch) -> tuple[tf.Tensor, Losses]:
        """Returns the scalar loss of a batch and the scalars to log, by name."""
        losses = self.loss_from_vectors(batch, self._looked_up(batch), True)
        return losses["loss"], losses

    def _looked_up(self, batch: Batch) -> Vectors:
        found = self.tables.find(self.lookups(batch))
        rows = self.tables.gather_rows(found)
        return {**self.vectors(rows, found.places), **self.tables.sum_bags(rows, found)}

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
        rows = self.tables.gather_rows(found)
        bags = self.tables.sum_bags(rows, found)
        # Rows that only bags look up have no static number, and XLA has no use for them.
        expanded = {key: rows[key] for key in self.tables.stacks_of(found.places)}
        losses, row_gradients, bag_gradients, dense_gradients = self._compiled_gradients(
            batch, expanded, found.places, bags
        )
        row_gradients = self.tables.add_bag_gradients(found, row_gradients, bag_gradients)
        losses["gradient_norm/tables"] = tf.linalg.global_norm(list(row_gradients.values()))
        if dense_gradients:
            dense_gradients = self.communicator.all_reduce_mean(dense_gradients)
        rate = self.table_rate() if self.table_rate else self.optimizer.learning_rate
        self.optimizer.apply_gradients(zip(dense_gradients, self.trainable_variables, strict=True))
        if not dense_gradients:  # Keras then counts no step, and schedules would stand still
            self.optimizer.iterations.assign_add(1)
        self.tables.apply_gradients(
            found, row_gradients, tf.cast(rate, tf.float32), self.communicator
        )
        return losses

    def _gradients(
        self, batch: Batch, rows: Vectors, places: dict[str, tf.Tensor], bags: Vectors
    ) -> Gradients:
        variables = self.trainable_variables
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch((rows, bags, variables))
            vectors = {**self.vectors(rows, places), **bags}
            losses = self.loss_from_vectors(batch, vectors, True)
        row_gradients, bag_gradients, dense_gradients = tape.gradient(
            losses["loss"], (rows, bags, variables)
        )
        row_gradients = {n: tf.convert_to_tensor(slices) for n, slices in row_gradients.items()}
        losses["gradient_norm/dense"] = tf.linalg.global_norm(dense_gradients)
        return losses, row_gradients, bag_gradients, dense_gradients

    def test_step(self, batch: Batch) -> Losses:
        """Keras's hook for `evaluate`: the loss without a step."""
        return self.loss_from_vectors(batch, self._looked_up(batch), training=False)


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
