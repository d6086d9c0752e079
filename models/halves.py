"""What the row and its items each bring into a model of mixed features, and what is dropped of it.

Legend: B rows, A rows of items (B, or 1 where all rows share them), C items of a row, H width of
the first layer.
"""

from __future__ import annotations

import tensorflow as tf

from models.click_config import ClickConfig
from models.dropout import Dropout

Half = dict[str, tf.Tensor]


class Drops:
    """What one pass drops: values of looked-up vectors, and activations.

    Args:
        config: The shares.
        seed: The batch's, shape (2,), int32; None drops nothing.
    """

    def __init__(self, config: ClickConfig, seed: tf.Tensor | None) -> None:
        split = tf.random.experimental.stateless_split
        keys = (None, None) if seed is None else tf.unstack(split(seed, 2))
        self.vectors = Dropout(config.input_dropout, keys[0])
        self.hidden = Dropout(config.dropout, keys[1])


def first_sums(row: Half, item: Half) -> tf.Tensor:
    """Returns the first layer's sums for all pairs, (B, C, H), from `first` of both halves.

    The row's has the shape (B, H), the items' (A, C, H), or they have none.
    """
    # Not by an index of None, whose gradient fills a tensor of zeros.
    sums = tf.expand_dims(row["first"], 1)
    return sums + item["first"] if "first" in item else sums
