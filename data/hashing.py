"""Ids of raw ids that have no vocabulary: hashes, the same in preparation and in serving."""

from __future__ import annotations

import tensorflow as tf

from data.schema import FIRST_ID, OOV_ID


def hashed_ids(texts: tf.Tensor, buckets: int) -> tf.Tensor:
    """Returns ids of raw ids: 2 + FarmHash64 modulo the number of buckets, and 1 for no text.

    Args:
        texts: Raw ids as texts, string, of any shape; integers in decimal digits.
        buckets: Number of buckets.

    Returns:
        Of the same shape, int32.
    """
    hashed = tf.cast(tf.strings.to_hash_bucket_fast(texts, buckets), tf.int32) + FIRST_ID
    return tf.where(texts == "", OOV_ID, hashed)
