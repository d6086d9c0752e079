"""Baselines scored beside every run, on the same protocols."""

from __future__ import annotations

from collections.abc import Sequence

import tensorflow as tf

from data.dataset import PreparedDataset
from data.pipeline import Batch


class Popularity:
    """Scores an item by its number of events in the splits that are trained on."""

    def __init__(self, data: PreparedDataset, splits: Sequence[str]) -> None:
        self._counts = tf.constant(data.item_counts(splits), tf.float32)

    def scores(self, batch: Batch, items: tf.Tensor) -> tf.Tensor:
        """Returns the items' counts: shape (B, C), float32."""
        del batch
        return tf.gather(self._counts, items)

    def item_scores(self, batch: Batch) -> tf.Tensor:
        """Returns all items' counts: shape (B, item cardinality), float32."""
        return tf.tile(self._counts[None], [batch["user"].shape[0], 1])
