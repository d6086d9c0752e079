"""Popularity: everybody gets the items with the most events in training.

    s_ui = number of events of item i

The floor for every other model, and the check of the evaluator itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import tensorflow as tf

from data.dataset import PreparedDataset
from data.pipeline import Batch
from models.closed_form import ClosedForm


@dataclass(frozen=True)
class PopularityConfig:
    """Popularity has no settings."""


class Popularity(ClosedForm):
    """Popularity.

    Args:
        config: The settings.
        data: The prepared dataset; needs a feature `item` and the view `histories`.
        seed: Of nothing: nothing is drawn.
    """

    def __init__(self, config: PopularityConfig, data: PreparedDataset, seed: int = 0) -> None:
        del seed
        super().__init__(data)
        self.config = config
        self.item_events = self.add_weight(
            "item_events",
            (data.schema.cardinality("item"),),
            initializer="zeros",
            experimental_autocast=False,
        )

    def solve(self, data: PreparedDataset, splits: Sequence[str]) -> None:
        """Counts the events of the given splits."""
        self.item_events.assign(tf.constant(data.item_counts(splits), tf.float32))

    def item_scores(self, batch: Batch) -> tf.Tensor:
        """Returns the same counts for each row: (B, I), float32."""
        rows = tf.shape(batch["seen_item"])[0]
        scores = tf.tile(self.item_events[None], [rows, 1])
        return tf.ensure_shape(scores, [batch["seen_item"].shape[0], self.item_events.shape[0]])
