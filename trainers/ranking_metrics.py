"""Ranking metrics from scores, vectorised, with ties counted against the model.

Legend: B users, T targets, N other items, K longest list asked for.
"""

from __future__ import annotations

from collections.abc import Sequence

import tensorflow as tf

NAMES = ("hr", "ndcg", "recall", "precision", "map", "mrr")


def target_ranks(target_scores: tf.Tensor, other_scores: tf.Tensor) -> tf.Tensor:
    """Ranks the targets of each user, the best first.

    A target ranks below every other item of equal score, so a constant scorer hits nothing; and a
    score that is not a number never counts as a hit.

    Args:
        target_scores: Shape (B, T), float32; -inf where there is no target or no score for it.
        other_scores: Shape (B, N), float32: all items that compete, or at least the K best of
            them; -inf where there is none.

    Returns:
        Ranks from 1 of shape (B, T), float32, ascending within a user.
    """
    best_first = tf.sort(target_scores, axis=1, direction="DESCENDING")
    below = other_scores[:, None, :] < best_first[:, :, None]  # (B, T, N)
    ahead = tf.reduce_sum(tf.cast(~below, tf.float32), axis=2)
    position = tf.range(1, tf.shape(target_scores)[1] + 1, dtype=tf.float32)
    ranks = ahead + position
    # Without this, a user with no competitors at all would rank a missing target first.
    return tf.where(tf.math.is_finite(best_first), ranks, float("inf"))


def tied_targets(target_scores: tf.Tensor, other_scores: tf.Tensor) -> tf.Tensor:
    """Returns how many targets of each user tie with another item: shape (B,), float32."""
    equal = other_scores[:, None, :] == target_scores[:, :, None]
    tied = tf.reduce_any(equal, axis=2) & tf.math.is_finite(target_scores)
    return tf.reduce_sum(tf.cast(tied, tf.float32), axis=1)


def best_items(
    target_scores: tf.Tensor,
    targets: tf.Tensor,
    other_scores: tf.Tensor,
    others: tf.Tensor,
    longest: int,
) -> tf.Tensor:
    """Returns the list that each user would be shown, the best first, targets last among equals.

    Args:
        target_scores: Shape (B, T), float32; -inf where there is no target.
        targets: Their ids, int32.
        other_scores: Shape (B, N), float32, of the best other items; -inf where there is none.
        others: Their ids, int32.
        longest: Length of the list, K.

    Returns:
        Ids of shape (B, min(K, N + T)), int32; 0 where there is no item left.
    """
    scores = tf.concat([other_scores, target_scores], axis=1)
    ids = tf.concat([others, targets], axis=1)
    best = tf.math.top_k(scores, min(longest, scores.shape[1]))
    listed = tf.gather(ids, best.indices, batch_dims=1)
    return tf.where(best.values > float("-inf"), listed, 0)


def ranking_metrics(
    ranks: tf.Tensor, relevant: tf.Tensor, ks: Sequence[int], recall_by_k: bool = False
) -> tf.Tensor:
    """Returns every metric of `NAMES` at every k for each user.

    hr: whether any target is in the list. ndcg: sum of 1 / log2(rank + 1), divided by the largest
    sum possible (Järvelin & Kekäläinen 2002). recall: share of the targets in the list. precision:
    share of the list that is targets. map: mean, over min(targets, k), of the precision at each
    target in the list. mrr: 1 / rank of the first target in the list.

    Args:
        ranks: Shape (B, T), ascending within a user, inf for none.
        relevant: Number of targets of each user, shape (B,), float32, those without a score too.
        ks: Lengths of the list.
        recall_by_k: Whether recall is divided by min(targets, k), so that it can reach 1 (Liang
            et al. 2018, section 4.2), instead of by the targets.

    Returns:
        Shape (B, len(ks), len(NAMES)), float64.
    """
    ranks, relevant = tf.cast(ranks, tf.float64), tf.cast(relevant, tf.float64)
    position = tf.range(1, tf.shape(ranks)[1] + 1, dtype=tf.float64)
    gains = 1.0 / _log2(ranks + 1.0)
    ideal = tf.cumsum(1.0 / _log2(tf.range(2, max(ks) + 2, dtype=tf.float64)))
    at_k = []
    for k in ks:
        inside = tf.cast(ranks <= k, tf.float64)  # (B, T)
        hits = tf.reduce_sum(inside, axis=1)
        most = tf.clip_by_value(relevant, 1.0, float(k))
        at_k.append(
            tf.stack(
                [
                    tf.minimum(hits, 1.0),
                    tf.reduce_sum(inside * gains, axis=1)
                    / tf.gather(ideal, tf.cast(most, tf.int32) - 1),
                    hits / (most if recall_by_k else tf.maximum(relevant, 1.0)),
                    hits / float(k),
                    tf.reduce_sum(inside * position / ranks, axis=1) / most,
                    tf.reduce_max(inside / ranks, axis=1),
                ],
                axis=1,
            )
        )
    return tf.stack(at_k, axis=1)


def _log2(values: tf.Tensor) -> tf.Tensor:
    return tf.math.log(values) / tf.math.log(tf.constant(2.0, values.dtype))
