"""The graph that recommends: raw ids in, raw ids out, everything between in TensorFlow.

Legend: B requests, H history, E excluded, A allowed, I item ids (padding and unknown included),
K list.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow as tf

from configs.runs import TrainedRun
from data.schema import FIRST_ID, OOV_ID, PAD_ID
from models.graphs import graph_function
from serving.signatures.raw_ids import RawIds, ReadableIds
from serving.signatures.request_checks import check_few_rows, check_k, check_rows
from serving.signatures.user_scorers import UserScorer

NO_SCORE = float(np.finfo(np.float32).min)  # of a place in the list that no item fills
_NONE = float("-inf")


class Recommend(tf.Module):
    """Scores, excludes and ranks for one trained run.

    A request with nothing to score by, neither a known user nor a known item, gets the most
    popular items, and the answer says so.

    Args:
        run: The trained run.
        user_ids: Raw ids of users.
        item_ids: Raw ids of items.
        scorer: What scores the items of users.
    """

    def __init__(
        self, run: TrainedRun, user_ids: RawIds, item_ids: ReadableIds, scorer: UserScorer
    ) -> None:
        super().__init__()
        self._user_ids, self._item_ids, self._scorer = user_ids, item_ids, scorer
        counts = run.data.item_counts(run.config.trainer.fit_on).astype(np.float32)
        self._popularity = tf.Variable(counts, trainable=False)

    def signatures(self) -> dict[str, Any]:
        """Returns the signatures by name."""
        user, item = self._user_ids.dtype, self._item_ids.dtype

        def spec(name: str, dtype: tf.DType, *shape: None) -> tf.TensorSpec:
            return tf.TensorSpec([None, *shape], dtype, name=name)

        by_user = graph_function(
            self.recommend_user,
            input_signature=[spec("user", user), spec("k", tf.int32)],
        )
        full = graph_function(
            self.recommend,
            input_signature=[
                spec("user", user),
                spec("history", item, None),
                spec("exclude", item, None),
                spec("allow", item, None),
                spec("k", tf.int32),
                spec("exclude_seen", tf.bool),
            ],
        )
        return {"recommend_user": by_user, "recommend": full}

    def recommend_user(self, user: tf.Tensor, k: tf.Tensor) -> dict[str, tf.Tensor]:
        """Recommends to known users, without the items that they have seen."""
        nothing = tf.fill([tf.size(user), 0], tf.constant(self._item_ids.padding))
        nothing = tf.cast(nothing, self._item_ids.dtype)
        return self.recommend(user, nothing, nothing, nothing, k, tf.ones_like(user, tf.bool))

    def recommend(
        self,
        user: tf.Tensor,
        history: tf.Tensor,
        exclude: tf.Tensor,
        allow: tf.Tensor,
        k: tf.Tensor,
        exclude_seen: tf.Tensor,
    ) -> dict[str, tf.Tensor]:
        """Recommends items.

        Args:
            user: Raw user ids (B,), at most `MAX_ROWS`; padding where there is only a history.
            history: Raw item ids (B, H) in time order, padded with "" or -1.
            exclude: Raw item ids never to return (B, E), padded likewise.
            allow: The only raw item ids to return (B, A), padded likewise; no id allows all.
            k: Items wanted (B,), int32, from 1; the lists are as wide as the largest.
            exclude_seen: Whether to leave out items the user has seen (B,), bool.

        Returns:
            items: Raw ids (B, K), best first; padding where no item is left.
            scores: (B, K), float32; the lowest float32 where no item is left.
            is_popular: (B,), whether the list is the most popular items, for want of knowledge.
            unknown_share: (B,), float32, share of the given user and history ids that training
                never saw.
        """
        lists = {"history": history, "exclude": exclude, "allow": allow}
        checks = check_rows(user=user, **lists, k=k, exclude_seen=exclude_seen)
        with tf.control_dependencies([*checks, *check_k(k), check_few_rows("user", user)]):
            user, history, k = tf.identity(user), tf.identity(history), tf.identity(k)
        users, past = self._user_ids.encode(user), self._item_ids.encode(history)
        scores, is_informed = self._scorer(users, past)
        scores = tf.where(is_informed[:, None], scores, self._popularity)
        scores = self._without_seen(scores, users, past, exclude_seen)
        scores = _without(scores, self._item_ids.encode(exclude))
        scores = _only(scores, self._item_ids.encode(allow))
        items, best = self._top(scores, k)
        given = tf.concat([users[:, None], past], axis=1)
        unknown = tf.reduce_sum(tf.cast(given == OOV_ID, tf.float32), axis=1)
        present = tf.reduce_sum(tf.cast(given != PAD_ID, tf.float32), axis=1)
        return {
            "items": items,
            "scores": best,
            "is_popular": ~is_informed,
            "unknown_share": unknown / tf.maximum(present, 1.0),
        }

    def _without_seen(
        self, scores: tf.Tensor, users: tf.Tensor, past: tf.Tensor, wanted: tf.Tensor
    ) -> tf.Tensor:
        stored = self._scorer.stored.of(tf.where(wanted, users, PAD_ID))
        index = tf.stack([tf.cast(stored.value_rowids(), tf.int32), stored.flat_values], axis=1)
        hidden = tf.fill([tf.shape(index)[0]], _NONE)
        scores = tf.tensor_scatter_nd_update(scores, index, hidden)
        return _without(scores, tf.where(wanted[:, None], past, PAD_ID))

    def _top(self, scores: tf.Tensor, k: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        width = tf.reduce_max(tf.concat([k, [0]], axis=0))  # a request may hold no row
        real = tf.range(tf.shape(scores)[1]) >= FIRST_ID
        best = tf.math.top_k(tf.where(real, scores, _NONE), tf.minimum(width, tf.shape(scores)[1]))
        missing = [[0, 0], [0, width - tf.shape(best.values)[1]]]
        values = tf.pad(best.values, missing, constant_values=_NONE)
        filled = (tf.range(width)[None] < k[:, None]) & (values > _NONE)
        ids = tf.where(filled, tf.pad(best.indices, missing), PAD_ID)
        return self._item_ids.decode(ids), tf.where(filled, values, NO_SCORE)


def _without(scores: tf.Tensor, items: tf.Tensor) -> tf.Tensor:
    """Returns scores (B, I) with the items (B, n) at -inf; the column of padding never counts."""
    rows = tf.broadcast_to(tf.range(tf.shape(items)[0])[:, None], tf.shape(items))
    index = tf.reshape(tf.stack([rows, items], axis=2), [-1, 2])
    return tf.tensor_scatter_nd_update(scores, index, tf.fill([tf.shape(index)[0]], _NONE))


def _only(scores: tf.Tensor, items: tf.Tensor) -> tf.Tensor:
    """Returns scores (B, I) at -inf but for the items (B, n); rows without any stay as they are."""

    def restricted() -> tf.Tensor:
        rows = tf.range(tf.shape(scores)[0])[:, None] * tf.shape(scores)[1]
        allowed = tf.scatter_nd(
            tf.reshape(rows + items, [-1, 1]), tf.ones([tf.size(items)]), [tf.size(scores)]
        )
        is_free = tf.reduce_all(items == PAD_ID, axis=1)
        return tf.where(
            is_free[:, None] | (tf.reshape(allowed, tf.shape(scores)) > 0), scores, _NONE
        )

    return tf.cond(tf.size(items) > 0, restricted, lambda: scores)
