"""Sequences of a user's items for training: joined, cropped, masked, shifted; on whole batches.

A sequence ends in the last slot and is padded with 0 in front, so that a slot means the same
distance from the end in training and when the next item is asked for, however long the history.

Legend: B rows, L slots of a sequence, M targets of a row.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import tensorflow as tf

from data.pipeline import Batch
from data.schema import FIRST_ID, PAD_ID

SEQUENCE = "sequence"
TARGET_SLOTS = "target_slot"
TARGETS = "target_item"
TARGET_WEIGHTS = "target_weight"
HISTORY = ("seen_item", "item")  # columns of a training row, in time order

Crop = Literal["last", "random"]


def align_right(
    lists: Sequence[tf.Tensor], length: int, later: tf.Tensor | None = None
) -> tf.Tensor:
    """Joins lists row by row and moves their known items to the end of `length` slots.

    Items out of vocabulary are dropped like padding: training never sees them.

    Args:
        lists: Ids, each of shape (B, any), in time order, with padding anywhere.
        length: Number of slots L; of longer sequences the last items are kept.
        later: How many known items after the window to leave out, shape (B,), int32.

    Returns:
        Shape (B, L), int32, padded with 0 in front.
    """
    joined = tf.concat(lists, axis=1)
    known = joined >= FIRST_ID
    from_end = tf.cumsum(tf.cast(known, tf.int32), axis=1, reverse=True)  # the last item has 1
    slot = length - from_end
    if later is not None:
        slot += later[:, None]
    # What is left out lands in a slot too many.
    slot = tf.where(known & (slot >= 0) & (slot < length), slot, length)
    rows = tf.shape(joined)[0]
    row = tf.broadcast_to(tf.range(rows)[:, None], tf.shape(joined))
    aligned = tf.scatter_nd(tf.stack([row, slot], axis=2), joined, [rows, length + 1])
    return tf.ensure_shape(aligned[:, :length], [joined.shape[0], length])


class JoinHistory:
    """Adds `sequence` of shape (B, L): the row's earlier items and its own, padded in front.

    Args:
        length: Number of slots L.
        crop: Of a longer history, the `last` items or a `random` window of neighbours, each
            window equally likely.
    """

    def __init__(self, length: int, crop: Crop) -> None:
        self._length = length
        self._crop = crop

    def __call__(self, batch: Batch, seed: tf.Tensor) -> Batch:
        """Adds the sequences."""
        lists = [batch[name] for name in HISTORY]
        later = self._later(lists, seed) if self._crop == "random" else None
        return {**batch, SEQUENCE: align_right(lists, self._length, later)}

    def _later(self, lists: Sequence[tf.Tensor], seed: tf.Tensor) -> tf.Tensor:
        known = tf.add_n([tf.reduce_sum(tf.cast(x >= FIRST_ID, tf.int32), axis=1) for x in lists])
        most = tf.maximum(known - self._length, 0)
        share = tf.random.stateless_uniform(most.shape, seed)
        # float32 may round the product up to most + 1.
        return tf.minimum(tf.cast(share * tf.cast(most + 1, tf.float32), tf.int32), most)


class MaskItems:
    """Hides some items of `sequence`, to be predicted (Sun et al. 2019, section 3.6).

    Of n items, round(mask_share x n) are hidden, at least 1 and at most M, all equally likely; in
    some rows the last item alone is, which is the task that scoring sets.

    Args:
        mask_id: What hidden items are replaced with.
        mask_share: Share of a row's items to hide.
        max_targets: Most hidden items of a row, M.
        last_item_share: Share of rows in which the last item alone is hidden.
    """

    def __init__(
        self, mask_id: int, mask_share: float, max_targets: int, last_item_share: float
    ) -> None:
        self._mask_id = mask_id
        self._mask_share = mask_share
        self._max_targets = max_targets
        self._last_item_share = last_item_share

    def __call__(self, batch: Batch, seed: tf.Tensor) -> Batch:
        """Hides items and adds, each of shape (B, M), their slots, ids and weights.

        The weights are 1, or 0 where a row has fewer than M targets.
        """
        sequence = batch[SEQUENCE]
        rows, length = sequence.shape
        present = sequence != PAD_ID
        items = tf.reduce_sum(tf.cast(present, tf.int32), axis=1)
        share = tf.round(self._mask_share * tf.cast(items, tf.float32))
        count = tf.clip_by_value(tf.cast(share, tf.int32), 1, self._max_targets)
        slots = _choose(present, self._max_targets, _fold(seed, 0))
        only_last = tf.random.stateless_uniform([rows], _fold(seed, 1)) < self._last_item_share
        slots = tf.where(only_last[:, None], length - 1, slots)
        count = tf.where(only_last, 1, count)
        is_target = tf.range(self._max_targets) < tf.minimum(count, items)[:, None]
        hidden = _marked(slots, is_target, length)
        masked = tf.where(hidden, self._mask_id, sequence)
        return _with_targets(batch, masked, slots, sequence, is_target)


class NextItems:
    """Makes each item of `sequence` (B, L + 1) predict the next one (Kang & McAuley 2018).

    Args:
        max_targets: Most targets of a row, M; with fewer than L, all are equally likely.
    """

    def __init__(self, max_targets: int) -> None:
        self._max_targets = max_targets

    def __call__(self, batch: Batch, seed: tf.Tensor) -> Batch:
        """Cuts the last item off and adds, each of shape (B, M), slots, ids and weights.

        With M = L the targets are in the order of the slots, which are left out.
        """
        inputs, following = batch[SEQUENCE][:, :-1], batch[SEQUENCE][:, 1:]
        present = inputs != PAD_ID
        if self._max_targets == inputs.shape[1]:
            weights = tf.cast(present, tf.float32)
            ids = tf.where(present, following, PAD_ID)
            return {**batch, SEQUENCE: inputs, TARGETS: ids, TARGET_WEIGHTS: weights}
        slots = _choose(present, self._max_targets, seed)
        is_target = tf.gather(present, slots, batch_dims=1)
        return _with_targets(batch, inputs, slots, following, is_target)


def _fold(seed: tf.Tensor, value: int) -> tf.Tensor:
    return tf.random.experimental.stateless_fold_in(seed, value)


def _choose(present: tf.Tensor, count: int, seed: tf.Tensor) -> tf.Tensor:
    """Returns slots (B, count), those present first and in random order, without repeats."""
    order = tf.random.stateless_uniform(present.shape, seed)
    return tf.math.top_k(tf.where(present, order, -1.0), count).indices


def _marked(slots: tf.Tensor, is_target: tf.Tensor, length: int) -> tf.Tensor:
    """Returns whether each of `length` slots is among a row's targets, shape (B, length)."""
    rows = slots.shape[0]
    row = tf.broadcast_to(tf.range(rows)[:, None], slots.shape)
    places = tf.stack([row, slots], axis=2)
    return tf.scatter_nd(places, tf.cast(is_target, tf.int32), [rows, length]) > 0


def _with_targets(
    batch: Batch, inputs: tf.Tensor, slots: tf.Tensor, answers: tf.Tensor, is_target: tf.Tensor
) -> Batch:
    ids = tf.where(is_target, tf.gather(answers, slots, batch_dims=1), PAD_ID)
    weights = tf.cast(is_target, tf.float32)
    return {**batch, SEQUENCE: inputs, TARGET_SLOTS: slots, TARGETS: ids, TARGET_WEIGHTS: weights}
