"""What a user's items are scored by: the user's id, or the items that the user took.

Legend: B requests, H given history, L longest history of the batch, C items of a request, I item
ids (padding and unknown included).
"""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow as tf

from configs.runs import TrainedRun
from data.schema import FIRST_ID, PAD_ID
from serving.signatures.stored_histories import StoredHistories, items_in_time_order

NEIGHBOURS = 10  # training users whose scores stand in for an unknown user's


class _Scorer(tf.Module):
    """Keeps what a model's scoring functions need, but not the model.

    As a Keras object it would be saved with Keras's own functions.
    """

    def __init__(self, model: Any, stored: StoredHistories) -> None:
        super().__init__()
        self.stored = stored
        self._item_scores, self._pair_scores = model.item_scores, model.scores
        self._tables, self._dense = model.tables, model.weights
        self._frozen = model.freeze_items()


class ScorerByUser(_Scorer):
    """Scores a known user by its id, another by the training users with the nearest histories.

    Args:
        run: A run whose model scores by `user`.
    """

    def __init__(self, run: TrainedRun) -> None:
        # By item and without repeats: the order says nothing here, and cosines count items once.
        seen = run.data.positives(list(run.data.schema.view("histories").splits))
        super().__init__(run.model, StoredHistories(seen.items, seen.starts))
        self._users_of_stored = tf.Variable(seen.users().astype(np.int32), trainable=False)
        self._items = run.data.schema.cardinality("item")

    def __call__(self, users: tf.Tensor, past: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Returns scores of users (B,) with given histories (B, H).

        Returns:
            Scores (B, I), and whether there was anything to score by (B,).
        """
        scores = self._item_scores({"user": users})
        known = users >= FIRST_ID
        has_past = tf.reduce_any(past >= FIRST_ID, axis=1)
        strangers = tf.where(~known & has_past)[:, 0]
        folded = tf.cond(
            tf.size(strangers) > 0,
            lambda: tf.map_fn(
                self._folded_in, tf.gather(past, strangers), fn_output_signature=tf.float32
            ),
            lambda: tf.zeros([0, self._items]),
        )
        scores = tf.tensor_scatter_nd_update(scores, strangers[:, None], folded)
        return scores, known | has_past

    def of_items(self, users: tf.Tensor, items: tf.Tensor) -> tf.Tensor:
        """Returns scores (B, C) of items (B, C) for users (B,)."""
        return self._pair_scores({"user": users}, items)

    def _folded_in(self, past: tf.Tensor) -> tf.Tensor:
        """Returns the mean scores (I,) of the training users nearest to one history (H,)."""
        known = tf.boolean_mask(past, past >= FIRST_ID)[:, None]
        in_past = tf.scatter_nd(known, tf.ones_like(known[:, 0]), [self._items])
        shared = tf.gather(tf.minimum(in_past, 1), self.stored.items)
        users = self.stored.starts.shape[0] - 1
        overlap = tf.math.unsorted_segment_sum(shared, self._users_of_stored, users)
        lengths = tf.cast(self.stored.starts[1:] - self.stored.starts[:-1], tf.float32)
        # The history's own norm is the same for every user, so it cannot change the order.
        cosine = tf.cast(overlap, tf.float32) / tf.sqrt(tf.maximum(lengths, 1.0))
        nearest = tf.math.top_k(cosine, min(NEIGHBOURS, users))
        near = tf.boolean_mask(nearest.indices, nearest.values > 0)
        return tf.reduce_mean(self._item_scores({"user": near}), axis=0)


class ScorerByHistory(_Scorer):
    """Scores a given history with a known item as it is, else the user's stored one.

    Args:
        run: A run whose model scores by `seen_item`.
    """

    def __init__(self, run: TrainedRun) -> None:
        super().__init__(run.model, StoredHistories(*items_in_time_order(run.data)))

    def __call__(self, users: tf.Tensor, past: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Returns scores of users (B,) with given histories (B, H); see `ScorerByUser`."""
        is_given = tf.reduce_any(past >= FIRST_ID, axis=1)
        stored = self.stored.of(tf.where(is_given, PAD_ID, users))
        given = tf.ragged.boolean_mask(past, (past != PAD_ID) & is_given[:, None])
        seen = _dense(tf.concat([stored, given], axis=1))  # one of the two is empty in each row
        return self._item_scores({"seen_item": seen}), tf.reduce_any(seen >= FIRST_ID, axis=1)

    def of_items(self, users: tf.Tensor, items: tf.Tensor) -> tf.Tensor:
        """Returns scores (B, C) of items (B, C) for the stored histories of users (B,)."""
        return self._pair_scores({"seen_item": _dense(self.stored.of(users))}, items)


UserScorer = ScorerByUser | ScorerByHistory


def make_user_scorer(run: TrainedRun) -> UserScorer:
    """Returns the scorer of a run's model."""
    return ScorerByUser(run) if run.model.scores_by == "user" else ScorerByHistory(run)


def _dense(seen: tf.RaggedTensor) -> tf.Tensor:
    """Returns lists (B, L), padded with 0 at the end; L is at least 1."""
    padded = seen.to_tensor(default_value=PAD_ID)
    return tf.pad(padded, [[0, 0], [0, tf.maximum(1 - tf.shape(padded)[1], 0)]])
