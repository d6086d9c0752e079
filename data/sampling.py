"""Negative sampling on whole batches, inside the input pipeline."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
import tensorflow as tf

from data.dataset import Positives, PreparedDataset
from data.errors import InputError
from data.pipeline import MASK, Batch
from data.schema import FIRST_ID, PAD_ID

NEGATIVES = "negative_item"
NegativeSampling = Literal["uniform", "popularity"]


class UniformNegatives:
    """Adds items that the row's user has no positive with, each equally likely.

    Exact and without rejection: draw r below the number of the user's negatives, then find the
    r-th item that is not among the user's sorted positives p_0 < p_1 < ...: it is r plus the
    number of k with p_k - k <= r. As p_k - k never falls, one binary search counts them.

    Args:
        positives: The items of each user that must not be drawn; None draws from all items.
        item_cardinality: Item ids, padding and out-of-vocabulary included.
        count: Negatives of each row.

    Raises:
        InputError: A user has no negatives because it interacted with every item.
    """

    def __init__(self, positives: Positives | None, item_cardinality: int, count: int) -> None:
        self._count = count
        self._items = item_cardinality - FIRST_ID
        if self._items < 1:
            raise InputError("The item vocabulary must not be empty", received=item_cardinality)
        if positives is None:
            positives = Positives(np.zeros(0, np.int32), np.zeros(2, np.int64))
        counts = positives.counts()
        if counts.max(initial=0) >= self._items:
            raise InputError(
                "Every user must leave at least one item untouched to draw negatives from",
                received=f"user id {int(counts.argmax())} with {int(counts.max())} items",
                action="Pass --set=model.allow_positives=true, or drop such users from the source",
            )
        within = np.arange(len(positives.items)) - positives.starts[positives.users()]
        shifted = positives.items - FIRST_ID - within
        keys = positives.users() * self._items + shifted
        # int32 keys halve the memory that the search jumps about in.
        dtype = tf.int32 if len(counts) * self._items < 2**31 else tf.int64
        self._keys = tf.constant(keys, dtype)
        self._counts = tf.constant(counts, dtype)
        self._starts = tf.constant(positives.starts, tf.int32)

    def __call__(self, batch: Batch, seed: tf.Tensor) -> Batch:
        """Adds `negative_item` of shape (batch, count), int32."""
        user = tf.minimum(batch["user"], tf.shape(self._counts)[0] - 1)
        free = self._items - tf.gather(self._counts, user)[:, None]
        shape = [batch["user"].shape[0], self._count]
        bits = tf.random.stateless_uniform(shape, seed, None, None, tf.uint32)
        rank = tf.cast(tf.cast(bits, tf.int64) % tf.cast(free, tf.int64), free.dtype)
        query = tf.cast(user, rank.dtype)[:, None] * self._items + rank
        found = tf.searchsorted(self._keys, tf.reshape(query, [-1]), side="right")
        below = tf.reshape(found, shape) - tf.gather(self._starts, user)[:, None]
        return _with_negatives(batch, tf.cast(rank, tf.int32) + below + FIRST_ID)


class PopularityNegatives:
    """Adds negatives drawn in proportion to a power of each item's number of events.

    A draw that hits one of the user's positives is drawn again, up to `_ROUNDS` times; what still
    clashes then (users who touched nearly all popular items) is drawn uniformly instead.

    Args:
        positives: The items of each user that must not be drawn; None draws from all items.
        item_counts: Events of each item id, shape (item cardinality,).
        count: Negatives of each row.
        exponent: Power of the count; 1 draws by popularity, 0.75 is word2vec's.
    """

    _ROUNDS = 32

    def __init__(
        self,
        positives: Positives | None,
        item_counts: np.ndarray,
        count: int,
        exponent: float = 1.0,
    ) -> None:
        self._uniform = UniformNegatives(positives, len(item_counts), count)
        self._count = count
        counts = item_counts[FIRST_ID:].astype(np.int64)
        # Integers where they serve: rounded sums would pass over the rarest of many items.
        cumulative = np.cumsum(counts if exponent == 1 else counts.astype(np.float64) ** exponent)
        if not cumulative[-1] > 0:
            raise InputError("Some item must have an event to sample by popularity")
        # As shares, the last sum is 1 and no draw rounds up to it.
        self._cumulative = tf.constant(cumulative if exponent == 1 else cumulative / cumulative[-1])
        self._item_cardinality = len(item_counts)
        empty = np.zeros(0, np.int64)
        keys = empty if positives is None else positives.users() * len(item_counts)
        self._keys = tf.constant(keys + (empty if positives is None else positives.items))

    def __call__(self, batch: Batch, seed: tf.Tensor) -> Batch:
        """Adds `negative_item` of shape (batch, count), int32."""
        user = tf.cast(batch["user"], tf.int64)[:, None]
        uniform = self._uniform(batch, seed)[NEGATIVES]
        shape = [batch["user"].shape[0], self._count]

        def draw(attempt: tf.Tensor, items: tf.Tensor, clash: tf.Tensor) -> tuple[tf.Tensor, ...]:
            key = tf.random.experimental.stateless_fold_in(seed, attempt)
            total, dtype = self._cumulative[-1], self._cumulative.dtype
            below = tf.random.stateless_uniform(shape, key, 0, total, dtype)
            found = tf.searchsorted(self._cumulative, tf.reshape(below, [-1]), side="right")
            drawn = tf.reshape(found, shape) + FIRST_ID
            drawn_clash = self._is_positive(user, drawn)
            items = tf.where(clash & ~drawn_clash, drawn, items)
            return attempt + 1, items, clash & drawn_clash

        _, items, _ = tf.while_loop(
            lambda attempt, items, clash: tf.reduce_any(clash),
            draw,
            (tf.constant(0), uniform, tf.ones(shape, tf.bool)),
            maximum_iterations=self._ROUNDS,
        )
        return _with_negatives(batch, items)

    def _is_positive(self, user: tf.Tensor, items: tf.Tensor) -> tf.Tensor:
        keys = tf.reshape(user * self._item_cardinality + tf.cast(items, tf.int64), [-1])
        below = tf.searchsorted(self._keys, keys, side="left")
        above = tf.searchsorted(self._keys, keys, side="right")
        return tf.reshape(above > below, items.shape)


def make_negatives(
    data: PreparedDataset,
    splits: Sequence[str],
    count: int,
    sampling: NegativeSampling = "uniform",
    *,
    exponent: float = 1.0,
    allow_positives: bool = False,
) -> UniformNegatives | PopularityNegatives:
    """Returns a sampler of negatives for training on some splits.

    Args:
        data: The prepared dataset.
        splits: Splits that are trained on; popularity is counted in them.
        count: Negatives of each row.
        sampling: `uniform` or `popularity`.
        exponent: Power of an item's count when sampling by popularity.
        allow_positives: Whether a user's own positives in the splits may be drawn.
    """
    positives = None if allow_positives else data.positives(splits)
    if sampling == "popularity":
        return PopularityNegatives(positives, data.item_counts(splits), count, exponent)
    return UniformNegatives(positives, data.schema.cardinality("item"), count)


def _with_negatives(batch: Batch, items: tf.Tensor) -> Batch:
    """Adds the items; rows that only pad the batch get padding, so that no real row is touched."""
    return {**batch, NEGATIVES: tf.where(batch[MASK][:, None] > 0, items, PAD_ID)}
