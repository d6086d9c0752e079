"""What an evaluation knows of each user and each item, before any mean is taken.

Legend: U users of the split, in stored order; H held-out items that were found; N item cardinality;
K lengths of the list.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import tensorflow as tf

from data.blocks import Ragged
from trainers.ranking_metrics import NAMES, ranking_metrics

_USERS_AT_ONCE = 65_536


@dataclass(frozen=True)
class UserRanks:
    """Where the held-out items of each user came, by one protocol.

    Attributes:
        ranks: Of those that came within the longest list, ascending within a user: (U,) lists.
        items: Ids of these items, (H,), int32; None where not asked for.
        tied: How many held-out items of a user tie with another item, (U,).
        recall_by_k: Whether recall is divided by no more than k.
    """

    ranks: Ragged
    items: np.ndarray | None
    tied: np.ndarray
    recall_by_k: bool

    def metrics(self, targets: np.ndarray, ks: Sequence[int]) -> Iterator[np.ndarray]:
        """Yields the metrics of some users after the other.

        Args:
            targets: Number of held-out items of each user, (U,).
            ks: Lengths of the list.

        Returns:
            Arrays of shape (users, K * metrics), float64, the columns as `metric_columns` says.
        """
        ends = self.ranks.offsets()
        for start in range(0, len(targets), _USERS_AT_ONCE):
            some = slice(start, start + _USERS_AT_ONCE)
            found = self.ranks.values[ends[start] : ends[min(some.stop, len(targets))]]
            padded = _padded(Ragged(found, self.ranks.lengths[some]))
            relevant = tf.constant(targets[some], tf.float32)
            values = ranking_metrics(tf.constant(padded), relevant, ks, self.recall_by_k)
            yield tf.reshape(values, [len(padded), len(ks) * len(NAMES)]).numpy()

    def means(self, targets: np.ndarray, ks: Sequence[int]) -> np.ndarray:
        """Returns the mean of each of the columns over all users: (K * metrics,), float64."""
        sums = np.zeros(len(ks) * len(NAMES))
        for values in self.metrics(targets, ks):
            # Column by column in memory, for which NumPy's sums are the more exact.
            sums += np.asfortranarray(values).sum(axis=0)
        return sums / len(targets)

    def hits_by_item(self, k: int, cardinality: int) -> np.ndarray:
        """Returns how often each item was held out and found in the list of k: (N,), int64."""
        assert self.items is not None
        return np.bincount(self.items[self.ranks.values <= k], minlength=cardinality)


@dataclass(frozen=True)
class RankingDetails:
    """Of each user and of each item, what a ranking evaluation found.

    Attributes:
        split: What was evaluated.
        users: Ids, (U,), int32.
        history: Number of the user's items of earlier splits, (U,), int32.
        targets: Number of held-out items, (U,), int32.
        ks: Lengths of the list.
        protocols: By name.
        recommended: By name of a protocol that ranks all items: how often each item was in the
            list of each length, (K, N), int64.
    """

    split: str
    users: np.ndarray
    history: np.ndarray
    targets: np.ndarray
    ks: tuple[int, ...]
    protocols: dict[str, UserRanks]
    recommended: dict[str, np.ndarray]


def metric_columns(ks: Sequence[int], protocol: str) -> list[str]:
    """Returns the names of the metrics of one protocol, as `metrics.json` has them."""
    return [f"{metric}@{k}/{protocol}" for k in ks for metric in NAMES]


class ShownItems:
    """Counts which items are in the lists that users would be shown.

    Args:
        ks: Lengths of the list.
        cardinality: Of the items.
    """

    def __init__(self, ks: Sequence[int], cardinality: int) -> None:
        self._ks = np.array(ks)
        self._from_to = np.unique([0, *ks])
        self._between = np.zeros((len(self._from_to) - 1, cardinality), np.int64)

    def add(self, lists: np.ndarray) -> None:
        """Counts the items of lists (users, longest), the best first, padded with 0."""
        for counts, start, end in zip(
            self._between, self._from_to[:-1], self._from_to[1:], strict=True
        ):
            np.add.at(counts, lists[:, start:end].ravel(), 1)

    def counts(self) -> np.ndarray:
        """Returns how often each item was in the list of each length: (K, N), int64."""
        counts = self._between.cumsum(axis=0)
        counts[:, 0] = 0
        return counts[np.searchsorted(self._from_to[1:], self._ks)]


def _padded(lists: Ragged) -> np.ndarray:
    """Returns lists as a matrix of at least one column, float32, with infinity at the end."""
    matrix = np.full((len(lists), max(1, lists.lengths.max(initial=0))), np.inf, np.float32)
    matrix[np.arange(matrix.shape[1]) < lists.lengths[:, None]] = lists.values
    return matrix
