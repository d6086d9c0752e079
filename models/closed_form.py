"""Models whose weights are computed from the data at once, without gradient steps."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import ClassVar

import tensorflow as tf

from data.dataset import PreparedDataset
from data.pipeline import Batch, Transform
from models.recommender import Losses, Recommender, Vectors
from models.tables import EmbeddingTables, Lookups


class ClosedForm(Recommender):
    """A model that `solve` trains; it is evaluated, saved and exported like any other.

    Its weights are variables of the shapes that `__init__` gives them.
    """

    view: ClassVar[str] = "histories"
    scores_by = "seen_item"
    logits_are_binary = False

    def __init__(self, data: PreparedDataset) -> None:
        super().__init__(data.schema)
        self.tables = EmbeddingTables([], {}, 0)

    @abstractmethod
    def solve(self, data: PreparedDataset, splits: Sequence[str]) -> None:
        """Sets the weights from the given splits of the data."""

    def transforms(
        self, data: PreparedDataset, splits: Sequence[str], training: bool
    ) -> list[Transform]:
        """Returns none."""
        del data, splits, training
        return []

    def lookups(self, batch: Batch) -> Lookups:
        """Returns none."""
        del batch
        return {}

    def loss_from_vectors(self, batch: Batch, vectors: Vectors, training: bool) -> Losses:
        """Refuses: there is no loss to take steps on."""
        del batch, vectors, training
        raise NotImplementedError(f"{type(self).__name__} is solved, not trained by steps")

    def call(self, batch: Batch, training: bool = False) -> tf.Tensor:
        """Returns the scores of all items."""
        del training
        return self.item_scores(batch)
