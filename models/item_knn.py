"""Item-based nearest neighbours by cosine.

Sarwar et al., "Item-based Collaborative Filtering Recommendation Algorithms", WWW 2001, in the form
of Deshpande & Karypis, "Item-Based Top-N Recommendation Algorithms", TOIS 2004, section 4. With
U_j the users of item j,

    sim(j, i) = |U_j & U_i| / (sqrt(|U_j| |U_i|) + shrinkage)
    s_ui = sum of sim(j, i) over the items j of u that have i among their nearest neighbours

There is no objective. Departures: shrinkage, which trusts few shared users less (Bell & Koren
2007); rows of similarities are not normalised.

Legend: B rows, n items of all rows, K neighbours, I item cardinality.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import tensorflow as tf

from data.dataset import PreparedDataset
from data.errors import InputError
from data.pipeline import Batch
from models.bags import Bag
from models.closed_form import ClosedForm
from models.co_occurrence import read_interactions


@dataclass(frozen=True)
class ItemKNNConfig:
    """Settings of item-kNN.

    Attributes:
        neighbours: Nearest neighbours kept of each item.
        shrinkage: Added to the denominator of each similarity.
    """

    neighbours: int = 100
    shrinkage: float = 10.0

    def __post_init__(self) -> None:
        """Checks ranges."""
        if self.neighbours < 1:
            raise InputError("model.neighbours must be at least 1", received=self.neighbours)
        if not 0 <= self.shrinkage < float("inf"):
            raise InputError(
                "model.shrinkage must not be below 0, and finite", received=self.shrinkage
            )


class ItemKNN(ClosedForm):
    """Item-kNN.

    Args:
        config: The settings.
        data: The prepared dataset; needs a feature `item` and the view `histories`.
        seed: Of nothing: nothing is drawn.
    """

    def __init__(self, config: ItemKNNConfig, data: PreparedDataset, seed: int = 0) -> None:
        del seed
        super().__init__(data)
        self.config = config
        self._cardinality = data.schema.cardinality("item")
        shape = (self._cardinality, min(config.neighbours, self._cardinality))
        self.neighbours = self.add_weight(
            "neighbours", shape, tf.int32, initializer="zeros", trainable=False
        )
        self.similarities = self.add_weight(
            "similarities", shape, initializer="zeros", experimental_autocast=False
        )

    def solve(self, data: PreparedDataset, splits: Sequence[str]) -> None:
        """Finds the nearest neighbours by the interactions of the given splits."""
        interactions = read_interactions(data, splits)
        counts = interactions.item_counts()
        neighbours = np.zeros(self.neighbours.shape, np.int32)
        similarities = np.zeros(self.similarities.shape, np.float32)
        for start, shared in interactions.co_counts():
            rows = slice(start, start + len(shared))
            cosine = cosines(shared, counts[rows], counts, self.config.shrinkage)
            cosine[np.arange(len(shared)), np.arange(start, rows.stop)] = 0.0
            neighbours[rows], similarities[rows] = _nearest(cosine, neighbours.shape[1])
        self.neighbours.assign(neighbours)
        self.similarities.assign(similarities)

    def item_scores(self, batch: Batch) -> tf.Tensor:
        """Returns the sums of similarities to the items of `seen_item`: (B, I), float32."""
        rows, items, _ = Bag(batch["seen_item"]).entries()  # (n,)
        count = tf.shape(batch["seen_item"], out_type=tf.int64)[0]
        near = tf.cast(tf.gather(self.neighbours, items), tf.int64)  # (n, K)
        cells = rows[:, None] * self._cardinality + near
        similarities = tf.gather(self.similarities, items)
        size = count * self._cardinality
        sums = tf.math.unsorted_segment_sum(similarities, cells, size)
        return tf.reshape(sums, [batch["seen_item"].shape[0] or -1, self._cardinality])


def cosines(
    shared: np.ndarray, row_counts: np.ndarray, counts: np.ndarray, shrinkage: float
) -> np.ndarray:
    """Returns shrunk cosines of shape (rows, I), float64; 0 where no user is shared.

    Args:
        shared: Users that two items share, shape (rows, I).
        row_counts: Users of each row's item, shape (rows,).
        counts: Users of each item, shape (I,).
        shrinkage: Added to the denominator.
    """
    norms = np.sqrt(row_counts[:, None].astype(np.float64) * counts) + shrinkage
    return np.divide(shared, norms, out=np.zeros(shared.shape), where=shared > 0)


def _nearest(cosine: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Returns ids and similarities of shape (rows, count), the nearest first; 0 for none.

    Of equally near items the one with the lower id, the more frequent one, is kept.
    """
    top = tf.math.top_k(tf.constant(cosine), count)
    similarities = top.values.numpy()
    return np.where(similarities > 0, top.indices.numpy(), 0), similarities
