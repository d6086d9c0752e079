"""How many ids of a batch are out of vocabulary."""

from __future__ import annotations

import tensorflow as tf

from data.pipeline import Batch
from data.schema import OOV_ID, PAD_ID, Kind, Schema

_IDS = (Kind.USER, Kind.ITEM, Kind.CATEGORICAL, Kind.MULTI_HOT)


class UnknownIds:
    """Counts ids of the columns that a model trains on.

    Args:
        schema: Of the dataset.
        view: The view that the model reads.

    Attributes:
        columns: The columns of ids that the last batch held.
    """

    def __init__(self, schema: Schema, view: str) -> None:
        columns = schema.view(view).columns
        self._ids = [c.name for c in columns if schema.feature(c.feature).kind in _IDS]
        self.columns: list[str] = []

    def counts(self, batch: Batch) -> tf.Tensor:
        """Returns the unknown ids and all ids of each column: (columns, 2), int32.

        Padding does not count.
        """
        self.columns = [name for name in self._ids if name in batch]
        if not self.columns:
            return tf.zeros([0, 2], tf.int32)
        return tf.stack(
            [[_count(batch[n] == OOV_ID), _count(batch[n] != PAD_ID)] for n in self.columns]
        )


def _count(values: tf.Tensor) -> tf.Tensor:
    return tf.math.count_nonzero(values, dtype=tf.int32)
