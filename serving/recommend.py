"""The serving graph: raw ids in, raw ids out, everything between in TensorFlow.

Legend: B requests, H history, E excluded, I item ids (padding and unknown included), K list.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow as tf

from configs.runs import TrainedRun
from data.dataset import PreparedDataset
from data.errors import InputError
from data.schema import FIRST_ID, OOV_ID
from serving.request_checks import check_k, check_rows

NEIGHBOURS = 10  # training users whose scores stand in for an unknown user's
NO_SCORE = float(np.finfo(np.float32).min)  # of a place in the list that no item fills
_NONE = float("-inf")


class RawIds(tf.Module):
    """Raw ids of one feature to ids and back.

    Args:
        data: The prepared dataset.
        feature: Name of the feature.

    Raises:
        InputError: A raw id of the vocabulary is the one that pads requests.
    """

    def __init__(self, data: PreparedDataset, feature: str) -> None:
        super().__init__()
        entry = data.schema.feature(feature)
        assert entry.vocabulary is not None
        raw = data.raw_ids(feature)
        is_text = entry.raw_dtype == "string"
        self.dtype = tf.string if is_text else tf.int64
        self.padding: bytes | int = b"" if is_text else -1
        if (raw == ("" if is_text else -1)).any():
            raise InputError(
                f"No raw id of '{feature}' may be the one that pads requests",
                received=repr("" if is_text else -1),
                where=data.folder / entry.vocabulary,
                action="Rename it in the source and prepare the data again",
            )
        self._file = tf.saved_model.Asset(str(data.folder / entry.vocabulary))
        whole_line = tf.lookup.TextFileIndex.WHOLE_LINE
        self._table = tf.lookup.StaticHashTable(
            tf.lookup.TextFileInitializer(
                self._file,
                key_dtype=self.dtype,
                key_index=whole_line if is_text else 0,
                value_dtype=tf.int64,
                value_index=tf.lookup.TextFileIndex.LINE_NUMBER,
            ),
            default_value=OOV_ID - FIRST_ID,
        )
        shown = [self.padding] * FIRST_ID + [r.encode() if is_text else r for r in raw.tolist()]
        self._raw = tf.Variable(tf.constant(shown, self.dtype), trainable=False)

    def encode(self, raw: tf.Tensor) -> tf.Tensor:
        """Returns ids, int32: 0 for padding, 1 for what training never saw."""
        ids = tf.cast(self._table.lookup(raw) + FIRST_ID, tf.int32)
        return tf.where(raw == self.padding, 0, ids)

    def decode(self, ids: tf.Tensor) -> tf.Tensor:
        """Returns raw ids; padding for ids below 2."""
        return tf.gather(self._raw, ids)


class RecommendGraph(tf.Module):
    """Scores, excludes and ranks for one trained run.

    A user that training knows is scored by the model. An unknown user with a history of known
    items is scored as the mean of its nearest training users, by cosine between histories; one
    without gets the most popular items, and the answer says so.

    Args:
        run: The trained run.
    """

    def __init__(self, run: TrainedRun) -> None:
        super().__init__()
        # Not the model itself: as a Keras object it would be saved with Keras's own functions.
        self._item_scores, self._pair_scores = run.model.item_scores, run.model.scores
        self._tables, self._dense = run.model.tables, run.model.weights
        self.user_ids = RawIds(run.data, "user")
        self.item_ids = RawIds(run.data, "item")
        splits = list(run.data.schema.view("histories").splits)
        seen = run.data.positives(splits)
        self._seen = tf.Variable(seen.items, trainable=False)
        self._seen_starts = tf.Variable(seen.starts, trainable=False)
        self._seen_users = tf.Variable(seen.users().astype(np.int32), trainable=False)
        counts = run.data.item_counts(run.config.trainer.fit_on).astype(np.float32)
        self._popularity = tf.Variable(counts, trainable=False)

    def signatures(self) -> dict[str, Any]:
        """Returns the SavedModel's signatures by name."""
        user, item = self.user_ids.dtype, self.item_ids.dtype

        def spec(name: str, dtype: tf.DType, *shape: None) -> tf.TensorSpec:
            return tf.TensorSpec([None, *shape], dtype, name=name)

        by_user = tf.function(
            self.recommend_user,
            input_signature=[spec("user", user), spec("k", tf.int32)],
        )
        full = tf.function(
            self.recommend,
            input_signature=[
                spec("user", user),
                spec("history", item, None),
                spec("exclude", item, None),
                spec("k", tf.int32),
                spec("exclude_seen", tf.bool),
            ],
        )
        pair = tf.function(self.score, input_signature=[spec("user", user), spec("item", item)])
        return {
            "serving_default": by_user,
            "recommend_user": by_user,
            "recommend": full,
            "score": pair,
        }

    def score(self, user: tf.Tensor, item: tf.Tensor) -> dict[str, tf.Tensor]:
        """Returns, each of shape (B,): the probability that the user takes the item, its logit,
        and whether training knows both.
        """
        check_rows(user=user, item=item)
        users, items = self.user_ids.encode(user), self.item_ids.encode(item)
        logit = self._pair_scores({"user": users}, items[:, None])[:, 0]
        known = (users >= FIRST_ID) & (items >= FIRST_ID)
        return {"probability": tf.sigmoid(logit), "logit": logit, "is_known": known}

    def recommend_user(self, user: tf.Tensor, k: tf.Tensor) -> dict[str, tf.Tensor]:
        """Recommends to known users, without the items that they have seen."""
        nothing = tf.fill([tf.size(user), 0], tf.constant(self.item_ids.padding))
        nothing = tf.cast(nothing, self.item_ids.dtype)
        return self.recommend(user, nothing, nothing, k, tf.ones_like(user, tf.bool))

    def recommend(
        self,
        user: tf.Tensor,
        history: tf.Tensor,
        exclude: tf.Tensor,
        k: tf.Tensor,
        exclude_seen: tf.Tensor,
    ) -> dict[str, tf.Tensor]:
        """Recommends items.

        Args:
            user: Raw user ids (B,); padding where there is only a history.
            history: Raw item ids (B, H), padded with "" or -1.
            exclude: Raw item ids never to return (B, E), padded likewise.
            k: Items wanted (B,), int32, from 1; the lists are as wide as the largest.
            exclude_seen: Whether to leave out items the user has seen (B,), bool.

        Returns:
            items: Raw ids (B, K), best first; padding where no item is left.
            scores: (B, K), float32; the lowest float32 where no item is left.
            is_popular: (B,), whether the list is the most popular items, for want of knowledge.
            unknown_share: (B,), float32, share of the given user and history ids that training
                never saw.
        """
        check_rows(user=user, history=history, exclude=exclude, k=k, exclude_seen=exclude_seen)
        check_k(k)
        users, past = self.user_ids.encode(user), self.item_ids.encode(history)
        scores, is_popular = self._scores(users, past)
        shown = self._without_seen(scores, users, past, exclude_seen)
        shown = _without(shown, self.item_ids.encode(exclude), tf.ones_like(exclude_seen))
        items, best = self._top(shown, k)
        given = tf.concat([users[:, None], past], axis=1)
        unknown = tf.reduce_sum(tf.cast(given == OOV_ID, tf.float32), axis=1)
        present = tf.reduce_sum(tf.cast(given > 0, tf.float32), axis=1)
        return {
            "items": items,
            "scores": best,
            "is_popular": is_popular,
            "unknown_share": unknown / tf.maximum(present, 1.0),
        }

    def _scores(self, users: tf.Tensor, past: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Returns scores (B, I), and whether they are mere popularity (B,)."""
        scores = self._item_scores({"user": users})
        known = users >= FIRST_ID
        has_past = tf.reduce_any(past >= FIRST_ID, axis=1)
        strangers = tf.where(~known & has_past)[:, 0]
        folded = tf.cond(
            tf.size(strangers) > 0,
            lambda: tf.map_fn(
                self._folded_in, tf.gather(past, strangers), fn_output_signature=tf.float32
            ),
            lambda: tf.zeros([0, tf.shape(scores)[1]]),
        )
        popular = tf.broadcast_to(self._popularity, tf.shape(scores))
        scores = tf.where(known[:, None], scores, popular)
        scores = tf.tensor_scatter_nd_update(scores, strangers[:, None], folded)
        return scores, ~known & ~has_past

    def _folded_in(self, past: tf.Tensor) -> tf.Tensor:
        """Returns the mean scores (I,) of the training users nearest to one history (H,)."""
        known = tf.boolean_mask(past, past >= FIRST_ID)[:, None]
        in_past = tf.scatter_nd(known, tf.ones_like(known[:, 0]), self._popularity.shape)
        shared = tf.gather(tf.minimum(in_past, 1), self._seen)
        users = self._seen_starts.shape[0] - 1
        overlap = tf.math.unsorted_segment_sum(shared, self._seen_users, users)
        lengths = tf.cast(self._seen_starts[1:] - self._seen_starts[:-1], tf.float32)
        # The history's own norm is the same for every user, so it cannot change the order.
        cosine = tf.cast(overlap, tf.float32) / tf.sqrt(tf.maximum(lengths, 1.0))
        nearest = tf.math.top_k(cosine, min(NEIGHBOURS, users))
        near = tf.boolean_mask(nearest.indices, nearest.values > 0)
        return tf.reduce_mean(self._item_scores({"user": near}), axis=0)

    def _without_seen(
        self, scores: tf.Tensor, users: tf.Tensor, past: tf.Tensor, wanted: tf.Tensor
    ) -> tf.Tensor:
        starts = tf.gather(self._seen_starts, users)
        ends = tf.where(wanted, tf.gather(self._seen_starts, users + 1), starts)
        places = tf.ragged.range(starts, ends)
        rows = tf.cast(places.value_rowids(), tf.int32)
        items = tf.gather(self._seen, places.flat_values)
        index = tf.stack([rows, items], axis=1)
        scores = tf.tensor_scatter_nd_update(scores, index, tf.fill(tf.shape(rows), _NONE))
        return _without(scores, past, wanted)

    def _top(self, scores: tf.Tensor, k: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        width = tf.reduce_max(tf.concat([k, [0]], axis=0))  # a request may hold no row
        real = tf.range(tf.shape(scores)[1]) >= FIRST_ID
        best = tf.math.top_k(tf.where(real, scores, _NONE), tf.minimum(width, tf.shape(scores)[1]))
        missing = [[0, 0], [0, width - tf.shape(best.values)[1]]]
        values = tf.pad(best.values, missing, constant_values=_NONE)
        filled = (tf.range(width)[None] < k[:, None]) & (values > _NONE)
        ids = tf.where(filled, tf.pad(best.indices, missing), 0)
        return self.item_ids.decode(ids), tf.where(filled, values, NO_SCORE)


def _without(scores: tf.Tensor, items: tf.Tensor, wanted: tf.Tensor) -> tf.Tensor:
    """Returns scores (B, I) with the items (B, n) at -inf in the rows where it is wanted."""
    items = tf.where(wanted[:, None], items, 0)  # the column of padding is never shown
    rows = tf.broadcast_to(tf.range(tf.shape(items)[0])[:, None], tf.shape(items))
    index = tf.reshape(tf.stack([rows, items], axis=2), [-1, 2])
    return tf.tensor_scatter_nd_update(scores, index, tf.fill([tf.shape(index)[0]], _NONE))
