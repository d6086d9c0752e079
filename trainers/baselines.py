"""What knows next to nothing, scored beside every run on the same protocols."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import tensorflow as tf

from data.dataset import PreparedDataset
from data.pipeline import Batch, Transform
from trainers.click_evaluation import LABEL


class Popularity:
    """Scores an item by its number of events in the splits that are trained on."""

    name = "popularity"

    def __init__(self, data: PreparedDataset, splits: Sequence[str]) -> None:
        self._counts = tf.constant(data.item_counts(splits), tf.float32)

    def scores(self, batch: Batch, items: tf.Tensor) -> tf.Tensor:
        """Returns the items' counts: shape (B, C), float32."""
        del batch
        return tf.gather(self._counts, items)

    def item_scores(self, batch: Batch) -> tf.Tensor:
        """Returns all items' counts: shape (B, item cardinality), float32."""
        return tf.tile(self._counts[None], [batch["user"].shape[0], 1])


class BaseRate:
    """Predicts the share of clicks in the splits that are trained on, whatever the row."""

    name = "base rate"

    def __init__(self, data: PreparedDataset, splits: Sequence[str]) -> None:
        labels = np.concatenate([np.asarray(data.read("rows", split)[LABEL]) for split in splits])
        # Kept off 0 and 1, whose logits are infinite.
        share = np.clip(labels.mean(), 1e-7, 1 - 1e-7)
        self._logit = tf.constant(np.log(share / (1 - share)), tf.float32)

    def transforms(
        self, data: PreparedDataset, splits: Sequence[str], training: bool
    ) -> list[Transform]:
        """Returns none."""
        del data, splits, training
        return []

    def __call__(self, batch: Batch) -> tf.Tensor:
        """Returns the same logit for each row: shape (B,), float32."""
        return tf.fill([batch[LABEL].shape[0]], self._logit)
