"""Each known user's items, carried in the export.

Legend: B requests, L longest history of the batch.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import tensorflow as tf

from data.blocks import Ragged
from data.dataset import PreparedDataset
from data.events import SPLITS
from data.schema import FIRST_ID

_VIEW = "histories"


class StoredHistories(tf.Module):
    """Lists of items by user, one after the other.

    Args:
        items: Item ids of all users, by user, int32.
        starts: Where each user's items start, and the end: shape (user cardinality + 1,).
    """

    def __init__(self, items: np.ndarray, starts: np.ndarray) -> None:
        super().__init__()
        self.items = tf.Variable(items, dtype=tf.int32, trainable=False)
        self.starts = tf.Variable(starts, dtype=tf.int64, trainable=False)

    def of(self, users: tf.Tensor) -> tf.RaggedTensor:
        """Returns the items of users (B,): (B, ragged), int32; none of users below 2."""
        places = tf.ragged.range(tf.gather(self.starts, users), tf.gather(self.starts, users + 1))
        return places.with_flat_values(tf.gather(self.items, places.flat_values))


def items_in_time_order(data: PreparedDataset) -> tuple[np.ndarray, np.ndarray]:
    """Returns the whole known past of each user, as `StoredHistories` takes it.

    In the last split that a user occurs in, `seen_item` holds all earlier ones. Items that
    training never saw keep their place as id 1, as they have in evaluation.
    """
    lengths = np.zeros(data.schema.cardinality("user"), np.int64)
    found: list[tuple[np.ndarray, Sequence[Ragged]]] = []
    for split in reversed([s for s in SPLITS if s in data.schema.view(_VIEW).splits]):
        rows = data.read(_VIEW, split)
        users, seen, now = rows["user"], rows["seen_item"], rows["item"]
        assert isinstance(users, np.ndarray)
        assert isinstance(seen, Ragged)
        assert isinstance(now, Ragged)
        new = np.flatnonzero((users >= FIRST_ID) & (lengths[users] == 0))
        parts = (seen.take(new), now.take(new))
        lengths[users[new]] = parts[0].lengths.astype(np.int64) + parts[1].lengths
        found.append((users[new], parts))
    starts = np.concatenate([[0], np.cumsum(lengths)])
    items = np.empty(starts[-1], np.int32)
    for owners, lists in found:
        place = starts[owners]
        for part in lists:
            within = np.arange(len(part.values)) - np.repeat(part.offsets()[:-1], part.lengths)
            items[np.repeat(place, part.lengths) + within] = part.values
            place = place + part.lengths
    return items, starts
