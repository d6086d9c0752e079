"""Crossed features: one category for each combination of values, hashed (Cheng et al. 2016)."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import tensorflow as tf

from data.errors import InputError, nearest
from data.schema import PAD_ID

_GOLDEN = 0x9E3779B97F4A7C15
_MIX_1, _MIX_2 = 0xFF51AFD7ED558CCD, 0xC4CEB9FE1A85EC53  # the finalizer of MurmurHash3
SEPARATOR = "*"


def parse_cross(text: str, known: Collection[str]) -> tuple[str, ...]:
    """Returns the names of the features in a cross such as `education*occupation`.

    Raises:
        InputError: Fewer than two names, one twice, or one that is no category.
    """
    names = tuple(name.strip() for name in text.split(SEPARATOR))
    if len(names) < 2 or len(set(names)) < len(names):
        raise InputError(
            "A cross must name two or more different features, as in 'education*occupation'",
            received=repr(text),
            where="model.crosses",
        )
    for name in names:
        if name not in known:
            raise InputError(
                "A cross must be of features with ids, or of buckets such as 'age_bucket'",
                received=repr(name),
                where=f"model.crosses, '{text}'",
                action=nearest(name, known) if known else "",
            )
    return names


def hash_ids(parts: Sequence[tf.Tensor], rows: int) -> tf.Tensor:
    """Hashes combinations of ids, the same way on every machine.

    Args:
        parts: Ids of shapes that broadcast, at least 0; their order matters.
        rows: Rows of the table to hash into.

    Returns:
        Ids from 1 to `rows` - 1, int32, of the broadcast shape: 0 stays free for padding.
    """
    mixed = tf.constant(_GOLDEN, tf.uint64)
    for part in parts:
        mixed = _mix(mixed + tf.constant(_GOLDEN, tf.uint64) + tf.cast(part, tf.uint64))
    return tf.cast(mixed % tf.constant(rows - 1, tf.uint64), tf.int32) + 1


def cross_ids(parts: Sequence[tf.Tensor], bag: int | None, rows: int) -> tf.Tensor:
    """Returns the ids of a cross.

    Args:
        parts: Ids of shapes that broadcast, but for a bag's last axis.
        bag: Which of them is a list of ids, padded with 0; None for none.
        rows: Rows of the table to hash into.

    Returns:
        Of the broadcast shape, int32; for a bag a list too, padded where the bag is.
    """
    if bag is None:
        return hash_ids(parts, rows)
    wide = [part if n == bag else part[..., None] for n, part in enumerate(parts)]
    return tf.where(wide[bag] != PAD_ID, hash_ids(wide, rows), PAD_ID)


def _mix(values: tf.Tensor) -> tf.Tensor:
    shift = tf.constant(33, tf.uint64)
    for factor in (_MIX_1, _MIX_2):
        values = tf.bitwise.bitwise_xor(values, tf.bitwise.right_shift(values, shift))
        values *= tf.constant(factor, tf.uint64)
    return tf.bitwise.bitwise_xor(values, tf.bitwise.right_shift(values, shift))
