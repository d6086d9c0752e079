"""A trained model on another dataset than its own, as it would answer there if it were served."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import zip_longest
from typing import Literal

import numpy as np
import tensorflow as tf

from configs.runs import TrainedRun
from data.blocks import Ragged
from data.dataset import PreparedDataset
from data.errors import InputError
from data.feature import Feature
from data.pipeline import Batch, Transform
from data.renumbering import renumber_all
from data.schema import FIRST_ID, Schema

_INPUT_VIEWS = ("rows", "users", "items")  # whose columns are inputs, in their order


def check_columns(run: TrainedRun, data: PreparedDataset) -> None:
    """Checks that a dataset has the inputs of a run's, in the same order.

    Raises:
        InputError: Says where they part.
    """
    pairs = zip_longest(_inputs(data.schema), _inputs(run.data.schema), fillvalue="nothing")
    parted = next((pair for pair in pairs if pair[0] != pair[1]), None)
    if parted is not None:
        raise InputError(
            "The dataset must have the columns of the run's, of the same kinds and in the same "
            "order",
            received=f"{parted[0]} where the run has {parted[1]}",
            where=f"{data.folder}, and {run.data.folder}",
            action="Prepare it as that one was",
        )


def _inputs(schema: Schema) -> list[str]:
    views = [(name, schema.views[name]) for name in _INPUT_VIEWS if name in schema.views]
    features = {feature.name: feature for feature in schema.features}
    return [
        f"{name}.{column.name} ({_kind(features[column.feature])})"
        for name, view in views
        for column in view.columns
    ]


def _kind(feature: Feature) -> str:
    return feature.kind.value + ", hashed" * bool(feature.hash_buckets)


class OnOtherData:
    """Scores batches of another dataset.

    Raw ids that the run's dataset lacks are out of vocabulary to its model, items among them are
    never ranked, and whoever it knows nothing of gets the items with the most events in its
    training: the answers that an export of the run gives.

    Args:
        run: The trained run.
        data: The other dataset, with the same columns.

    Attributes:
        unknown: How many raw ids of each feature of `data` the model does not know.

    Raises:
        InputError: The dataset has other columns.
    """

    def __init__(self, run: TrainedRun, data: PreparedDataset) -> None:
        check_columns(run, data)
        self._run, self._model = run, run.model
        self.scores_by: Literal["user", "seen_item"] = run.model.scores_by
        moved = renumber_all(run.data, data)
        self.unknown = {name: found.new for name, found in moved.items()}
        old = {name: tf.constant(found.old_of_new()) for name, found in moved.items()}
        self._data = data
        self._old = {
            column.name: old[column.feature]
            for view in data.schema.views.values()
            for column in view.columns
            if column.feature in old
        }
        self._counts = tf.zeros([0])
        if "histories" in run.data.schema.views:
            counts = run.data.item_counts(run.config.trainer.fit_on)
            self._counts = tf.constant(counts, tf.float32)

    def trained_targets(self, split: str) -> int:
        """Returns how many targets of a split the run has seen its users take in training.

        Pairs of a user and an item that were in train and are held out now, which flatters the run,
        or that come more than once.
        """
        positives = self._run.data.positives(self._run.config.trainer.fit_on)
        width = self._run.data.schema.cardinality("item")
        seen = positives.users() * width + positives.items
        histories = self._data.read("histories", split)
        users, items = histories["user"], histories["item"]
        assert isinstance(users, np.ndarray)
        assert isinstance(items, Ragged)
        of_users = self._old["user"].numpy().astype(np.int64)[np.repeat(users, items.lengths)]
        return int(np.isin(of_users * width + self._old["item"].numpy()[items.values], seen).sum())

    def transforms(
        self, data: PreparedDataset, splits: Sequence[str], training: bool
    ) -> list[Transform]:
        """Returns those of the model."""
        return self._model.transforms(data, splits, training)

    def __call__(self, batch: Batch) -> tf.Tensor:
        """Returns logits of the rows: shape (B,), float32."""
        return self._model(self._known(batch))

    def scores(self, batch: Batch, items: tf.Tensor) -> tf.Tensor:
        """Returns the scores of items (B, C), float32: -inf of those that are not known."""
        known, items = self._known(batch), tf.gather(self._old["item"], items)
        scores = self._model.scores(known, items)
        scores = tf.where(self._is_informed(known), scores, tf.gather(self._counts, items))
        return tf.where(items >= FIRST_ID, scores, float("-inf"))

    def item_scores(self, batch: Batch) -> tf.Tensor:
        """Returns the scores of all items of the other dataset, (B, N), float32; likewise."""
        known, items = self._known(batch), self._old["item"]
        scores = self._model.item_scores(known)
        scores = tf.where(self._is_informed(known), scores, self._counts)
        return tf.where(items >= FIRST_ID, tf.gather(scores, items, axis=1), float("-inf"))

    def _known(self, batch: Batch) -> Batch:
        return {
            name: tf.gather(self._old[name], column) if name in self._old else column
            for name, column in batch.items()
        }

    def _is_informed(self, known: Batch) -> tf.Tensor:
        """Returns whether there is anything to score by: (B, 1), bool."""
        ids = known[self.scores_by]
        if ids.shape.rank == 1:
            ids = ids[:, None]
        return tf.reduce_any(ids >= FIRST_ID, axis=1, keepdims=True)
