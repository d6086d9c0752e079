"""A user's history as a set of items: what an autoencoder reads and predicts.

Legend: B rows, L longest list.
"""

from __future__ import annotations

import tensorflow as tf

from data.pipeline import Batch
from data.random_bits import random_bits
from data.schema import FIRST_ID, PAD_ID

ITEM_SET = "item_set"
KEPT_ITEMS = "kept_item"


def known_items(items: tf.Tensor) -> tf.Tensor:
    """Returns ids (B, L), int32, with padding in the place of those out of vocabulary."""
    return tf.where(items >= FIRST_ID, items, PAD_ID)


def count_items(items: tf.Tensor) -> tf.Tensor:
    """Returns the number of ids in each list (B, L) that are not padding: (B,), float32."""
    return tf.reduce_sum(tf.cast(items != PAD_ID, tf.float32), axis=1)


def multi_hot(items: tf.Tensor, cardinality: int) -> tf.Tensor:
    """Returns how often each real item is in each list: (B, cardinality - 2), float32.

    Args:
        items: Ids (B, L), int32; padding and out-of-vocabulary count for nothing.
        cardinality: Of the ids, padding and out-of-vocabulary included.
    """
    places = tf.where(items >= FIRST_ID)
    lists = tf.RaggedTensor.from_value_rowids(
        tf.gather_nd(items, places) - FIRST_ID, places[:, 0], items.shape[0], validate=False
    )
    columns = cardinality - FIRST_ID
    counts = tf.raw_ops.RaggedBincount(
        splits=lists.row_splits,
        values=lists.values,
        size=tf.constant(columns),
        weights=tf.constant([], tf.float32),
    )
    return tf.ensure_shape(counts, [items.shape[0], columns])


def add_item_set(batch: Batch, seed: tf.Tensor) -> Batch:
    """Adds `item_set` (B, L), int32: the known items of `item` and, where read, `seen_item`.

    A row of the validation split lists the user's later items as `item`, its earlier ones as
    `seen_item`; a row of train has none of the latter. Padding may stand anywhere in the set.
    """
    del seed
    lists = [batch[name] for name in ("item", "seen_item") if name in batch]
    return {**batch, ITEM_SET: known_items(tf.concat(lists, axis=1))}


class DropItems:
    """Adds `kept_item` (B, L), int32: `item_set` with a random share of it padded out.

    Args:
        rate: Probability that an item is left out, rounded to a multiple of 1/65,536.
    """

    def __init__(self, rate: float) -> None:
        self._below = min(round(rate * 65_536), 65_535)

    def __call__(self, batch: Batch, seed: tf.Tensor) -> Batch:
        """Draws for each item on its own."""
        items = batch[ITEM_SET]
        kept = random_bits(tf.shape(items), seed, tf.uint16) >= self._below
        return {**batch, KEPT_ITEMS: tf.where(kept, items, PAD_ID)}
