"""EASE: a linear autoencoder on items, solved in closed form.

Steck, "Embarrassingly Shallow Autoencoders for Sparse Data", WWW 2019. With X the 0/1 matrix of
users by items,

    P = (X'X + l2 I)^-1,    B_ij = -P_ij / P_jj off the diagonal, B_jj = 0     equation 8
    s_ui = sum of B_ji over the items j of u                                   equation 1

which minimises |X - XB|^2 + l2 |B|^2 under diag(B) = 0 (equations 2 to 4). Departures: none.

Legend: B rows, I item cardinality.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import tensorflow as tf

from data.dataset import PreparedDataset
from data.errors import InputError
from data.pipeline import Batch
from data.schema import FIRST_ID
from models.bags import Bag, read_vectors
from models.closed_form import ClosedForm
from models.co_occurrence import read_interactions

_MATRICES = 4  # of I x I in float64 at once: X'X, and three while NumPy inverts it


@dataclass(frozen=True)
class EASEConfig:
    """Settings of EASE.

    Attributes:
        l2: Weight of the squared weights; more for more users.
        max_items: Most items to solve for; time grows with the cube, memory with the square.
    """

    l2: float = 500.0
    max_items: int = 20_000

    def __post_init__(self) -> None:
        """Checks ranges."""
        if not 0 < self.l2 < float("inf"):
            raise InputError("model.l2 must be above 0, and finite", received=self.l2)
        if self.max_items < 1:
            raise InputError("model.max_items must be at least 1", received=self.max_items)


class EASE(ClosedForm):
    """EASE.

    Args:
        config: The settings.
        data: The prepared dataset; needs a feature `item` and the view `histories`.
        seed: Of nothing: the solution is unique.

    Raises:
        InputError: There are more items than the config allows.
    """

    def __init__(self, config: EASEConfig, data: PreparedDataset, seed: int = 0) -> None:
        del seed
        super().__init__(data)
        self.config = config
        cardinality = data.schema.cardinality("item")
        items = cardinality - FIRST_ID
        if items > config.max_items:
            gigabytes = items**2 * 8 * _MATRICES / 1e9
            raise InputError(
                "EASE inverts a matrix of items by items, of at most model.max_items",
                received=f"{items:,} items, which take {gigabytes:.1f} GB to solve for; "
                f"model.max_items={config.max_items}",
                action="Take --model=item_knn, prepare with --min_item_interactions, or allow it "
                f"with --set=model.max_items={items}",
            )
        self.item_weights = self.add_weight(
            "item_weights", (cardinality, cardinality), initializer="zeros"
        )

    def solve(self, data: PreparedDataset, splits: Sequence[str]) -> None:
        """Sets B from the interactions of the given splits."""
        cardinality = self.item_weights.shape[0]
        gram = np.empty((cardinality, cardinality))
        for start, counts in read_interactions(data, splits).co_counts():
            gram[start : start + len(counts)] = counts
        weights = np.zeros((cardinality, cardinality), np.float32)
        weights[FIRST_ID:, FIRST_ID:] = ease_weights(gram[FIRST_ID:, FIRST_ID:], self.config.l2)
        self.item_weights.assign(weights)

    def item_scores(self, batch: Batch) -> tf.Tensor:
        """Returns the sums of B's rows at the items of `seen_item`: (B, I), float32."""
        weights = partial(tf.gather, self.item_weights)
        return read_vectors(weights, Bag(batch["seen_item"]), 0)


def ease_weights(gram: np.ndarray, l2: float) -> np.ndarray:
    """Returns B of shape (items, items), float64, from X'X, whose diagonal grows by l2."""
    gram[np.diag_indices(len(gram))] += l2
    inverse = np.linalg.inv(gram)
    inverse /= -np.diag(inverse)
    np.fill_diagonal(inverse, 0.0)
    return inverse
