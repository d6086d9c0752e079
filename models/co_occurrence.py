"""Which users touched which items, and how many users touched two items both.

Legend: U users, I item cardinality, n user-item pairs.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from data.blocks import Ragged
from data.dataset import PreparedDataset
from data.schema import FIRST_ID

_PAIRS_AT_ONCE = 4_000_000  # of items of one user; bounds the memory of a block
_CELLS_AT_ONCE = 2_000_000  # of a block of the item-item matrix; more would leave the cache


@dataclass(frozen=True)
class Interactions:
    """Pairs of a user and an item, each once, in both orders.

    Attributes:
        items: Items by user, shape (n,), int64.
        user_starts: Where each user's items start, and the end: shape (U + 1,), int64.
        users: Users by item, shape (n,), int64.
        item_starts: Where each item's users start, and the end: shape (I + 1,), int64.
    """

    items: np.ndarray
    user_starts: np.ndarray
    users: np.ndarray
    item_starts: np.ndarray

    def item_counts(self) -> np.ndarray:
        """Returns the number of users of each item: shape (I,), int64."""
        return np.diff(self.item_starts)

    def co_counts(self) -> Iterator[tuple[int, np.ndarray]]:
        """Counts the users that two items share, a block of items after the other.

        The cost follows the pairs of items that users have, not the size of the matrix.

        Yields:
            First item of the block, and counts of shape (block, I), int64.
        """
        cardinality = len(self.item_starts) - 1
        lengths = np.diff(self.user_starts)[self.users]
        ends = np.concatenate([[0], np.cumsum(lengths)])[self.item_starts]
        most = max(1, _CELLS_AT_ONCE // cardinality)
        start = 0
        while start < cardinality:
            fitting = int(np.searchsorted(ends, ends[start] + _PAIRS_AT_ONCE, "right")) - 1
            stop = min(max(fitting, start + 1), start + most, cardinality)
            yield start, self._block(start, stop, lengths, cardinality)
            start = stop

    def _block(self, start: int, stop: int, lengths: np.ndarray, cardinality: int) -> np.ndarray:
        mine = slice(self.item_starts[start], self.item_starts[stop])
        users, lengths = self.users[mine], lengths[mine]
        first = np.repeat(np.arange(stop - start), np.diff(self.item_starts[start : stop + 1]))
        ends = np.cumsum(lengths)
        within = np.arange(lengths.sum()) - np.repeat(ends - lengths, lengths)
        second = self.items[np.repeat(self.user_starts[users], lengths) + within]
        cells = np.repeat(first * cardinality, lengths) + second
        counts = np.bincount(cells, minlength=(stop - start) * cardinality)
        return counts.reshape(stop - start, cardinality)


def read_interactions(data: PreparedDataset, splits: Sequence[str]) -> Interactions:
    """Reads who touched what in the given splits, the past that a split knows included.

    A user of several splits is one user, whose items count once. Held-out users have no id of
    their own, so each of their histories is a user.
    """
    users, items, strangers = [], [], 0
    known_users, cardinality = data.schema.cardinality("user"), data.schema.cardinality("item")
    for split in splits:
        histories = data.read("histories", split)
        user = np.asarray(histories["user"]).astype(np.int64)
        is_stranger = user < FIRST_ID
        user[is_stranger] = known_users + strangers + np.arange(is_stranger.sum())
        strangers += int(is_stranger.sum())
        for name in ("item", "seen_item"):
            lists = histories[name]
            assert isinstance(lists, Ragged)
            users.append(np.repeat(user, lists.lengths))
            items.append(lists.values)
    all_users, all_items = np.concatenate(users), np.concatenate(items).astype(np.int64)
    known = all_items >= FIRST_ID
    pairs = np.unique(all_users[known] * cardinality + all_items[known])
    user, item = pairs // cardinality, pairs % cardinality
    by_item = np.argsort(item, kind="stable")
    return Interactions(
        items=item,
        user_starts=np.searchsorted(user, np.arange(known_users + strangers + 1)),
        users=user[by_item],
        item_starts=np.searchsorted(item[by_item], np.arange(cardinality + 1)),
    )
