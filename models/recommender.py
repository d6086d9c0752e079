"""The base of every model: what it declares; see `training_step` for how it is trained."""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import ClassVar, Literal

import tensorflow as tf

from data.dataset import PreparedDataset
from data.pipeline import Batch, Transform
from data.reading import Reading
from data.renumbering import Renumbering
from data.schema import Kind, Schema
from models.id_axis import IdAxis
from models.loss_scale import LossScale
from models.tables import EmbeddingTables, Lookups
from models.training_step import StepOptions, TrainingStep

Vectors = dict[str, tf.Tensor]
Losses = dict[str, tf.Tensor]


class Recommender(tf.keras.Model):
    """A model that trains on batches of a prepared dataset.

    Subclasses set `tables` and implement the abstract methods. A Recommender is an ordinary Keras
    model: `compile(optimizer)` and `fit(dataset)` work and take the same step as the trainer.

    Attributes:
        view: View of the dataset that the model trains on.
        scores_by: What `item_scores` looks at: `user` ids, or the `seen_item` lists.
        logits_are_binary: Whether the sigmoid of a score is the probability of that item or label.
        shared_lookups: Features of `lookups` whose ids all rows of a batch share; the ids of the
            others come by row.
        tables: The model's embedding tables.
        training_step: Takes the steps, once `prepare_training` was called.
        loss_scale: Of `float16`, once it was called.
        is_static: Whether XLA compiles the losses: then no shape in them may follow from values.
    """

    view: ClassVar[str]
    scores_by: ClassVar[Literal["user", "seen_item"]] = "user"
    logits_are_binary: ClassVar[bool] = True
    shared_lookups: ClassVar[frozenset[str]] = frozenset()
    tables: EmbeddingTables

    def __init__(self, schema: Schema) -> None:
        super().__init__(autocast=False)  # raw numbers of a batch keep their digits
        self.schema = schema
        self.training_step: TrainingStep | None = None
        self.loss_scale: LossScale | None = None
        self.is_static = False

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

    def dense_inputs(self, batch: Batch) -> Batch:
        """Returns what `loss_from_vectors` takes of a batch; by default the whole batch.

        Runs outside of what XLA compiles: the place for ops that it cannot compile, or only
        slowly, and to leave out what the loss does not read.
        """
        return batch

    @abstractmethod
    def loss_from_vectors(self, batch: Batch, vectors: Vectors, training: bool) -> Losses:
        """Returns `loss`, the scalar to minimise, and other scalars to log, all float32.

        Each row weighs the same in every batch: losses are sums over rows, weighted by the
        batch's `mask`, divided by the static batch size.

        Args:
            batch: What `dense_inputs` returned.
            vectors: By feature of `lookups`.
            training: Whether to drop values and draw noise.
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

    def freeze_items(self) -> list[tf.Variable]:
        """Computes once what `item_scores` needs of the items alone; they must change no more.

        Returns:
            The variables that `item_scores` takes it from afterwards; none by default.
        """
        return []

    def item_vectors(self, items: tf.Tensor) -> tf.Tensor | None:
        """Returns what the model has learnt of single items, for people to look at.

        Args:
            items: Ids of shape (N,), int32, none of them padding or out-of-vocabulary.

        Returns:
            Shape (N, width), float32; None, the default, where a model has no vectors of items.
        """
        del items
        return None

    @property
    def recommends(self) -> bool:
        """Whether the model can rank items for a user: the data has both, and who took what."""
        kinds = {feature.kind for feature in self.schema.features}
        return {Kind.USER, Kind.ITEM} <= kinds and "histories" in self.schema.views

    def parameters(self) -> list[tf.Variable]:
        """Returns what training sets: tables and dense weights."""
        return [*self.tables.variables_trained(), *self.trainable_variables]

    def parameter_count(self) -> int:
        """Returns how many numbers training sets, those of other ranks' rows included."""
        return self.tables.size + sum(w.shape.num_elements() for w in self.trainable_variables)

    def uninformed_loss(self, batch: Batch) -> float:
        """Returns the loss of a model that knows nothing, near which training starts."""
        return math.log(2)

    def smallest_loss(self, batch: Batch) -> float:
        """Returns the loss of a model that knows the batch by heart."""
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

    def id_axes(self) -> list[IdAxis]:
        """Returns the dense weights that have an entry for each id of a feature."""
        return []

    def keep_hashes(self, trained: Recommender, ids: Mapping[str, Renumbering]) -> None:
        """Hashes ids as a trained model does; models that hash none have nothing to do.

        Args:
            trained: A model of the same class and settings, to which raw ids had other ids.
            ids: By feature, what became of the ids that it has.
        """

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
        losses = self._losses_of(batch, True)
        return losses["loss"], losses

    def _losses_of(self, batch: Batch, training: bool) -> Losses:
        return self.loss_from_vectors(self.dense_inputs(batch), self._looked_up(batch), training)

    def _looked_up(self, batch: Batch) -> Vectors:
        found = self.tables.find(self.lookups(batch))
        rows = self.tables.gather_rows(found)
        return {**self.vectors(rows, found.places), **self.tables.sum_bags(rows, found)}

    def prepare_training(
        self, optimizer: tf.keras.optimizers.Optimizer, options: StepOptions | None = None
    ) -> None:
        """Makes the model ready for `train_step`.

        Args:
            optimizer: Keras optimizer of the dense weights.
            options: How steps are taken.
        """
        self.optimizer = optimizer
        optimizer.build(self.trainable_variables)
        self.tables.build_slots()
        options = options or StepOptions()
        self.is_static = options.xla
        self.training_step = TrainingStep(self, options)

    def compile(self, optimizer: tf.keras.optimizers.Optimizer, **arguments: object) -> None:
        """Keras's hook, for `fit` in a notebook; `jit_compile=True` compiles the dense part."""
        xla = bool(arguments.pop("jit_compile", False))
        super().compile(optimizer=optimizer, **arguments)
        self.prepare_training(self.optimizer, StepOptions(xla=xla))

    def train_step(self, batch: Batch) -> Losses:
        """Takes one step. Returns scalars to log, float32: losses and gradient norms."""
        assert self.training_step is not None, "prepare_training comes first"
        return self.training_step(batch)

    def test_step(self, batch: Batch) -> Losses:
        """Keras's hook for `evaluate`: the loss without a step."""
        return self._losses_of(batch, training=False)
