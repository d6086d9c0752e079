"""Bags: lists of ids whose vectors are summed, one sum a row.

A user's items in an autoencoder, or the genres of a movie. The sum is a product with a sparse
matrix of the batch's rows by its unique ids, so its cost follows the ids that are there, not the
longest list nor the table; XLA cannot compile it, so a step takes it outside.

Legend: B rows, L longest list, u unique ids, D width.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import tensorflow as tf

from data.schema import PAD_ID


@dataclass(frozen=True)
class Bag:
    """A list of ids for each row.

    Attributes:
        ids: Shape (B, L), int32; padding (0) counts for nothing.
        weights: What each vector is multiplied with, shape (B, L), float32; None for 1.
    """

    ids: tf.Tensor
    weights: tf.Tensor | None = None

    def mean(self) -> Bag:
        """Returns the bag with each row's weights divided by its number of ids."""
        present = tf.cast(self.ids != PAD_ID, tf.float32)
        count = tf.maximum(tf.reduce_sum(present, axis=1, keepdims=True), 1.0)
        return Bag(self.ids, (present if self.weights is None else self.weights) / count)

    def entries(self) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        """Returns the row, the id and the weight of each id that is there, in row order."""
        present = self.ids != PAD_ID
        rows = tf.where(present)[:, 0]
        ids = tf.boolean_mask(self.ids, present)
        if self.weights is None:
            return rows, ids, tf.ones_like(ids, tf.float32)
        return rows, ids, tf.boolean_mask(self.weights, present)


def sparse_rows(
    rows: tf.Tensor, columns: tf.Tensor, weights: tf.Tensor, shape: tuple[tf.Tensor, tf.Tensor]
) -> tf.SparseTensor:
    """Returns the sparse matrix of the given shape with `weights` at (rows, columns)."""
    places = tf.stack([tf.cast(rows, tf.int64), tf.cast(columns, tf.int64)], axis=1)
    return tf.SparseTensor(places, weights, [tf.cast(size, tf.int64) for size in shape])


def sum_bag(read: Callable[[tf.Tensor], tf.Tensor], bag: Bag, offset: int = 0) -> tf.Tensor:
    """Returns the sums of a table's vectors over each list: (B, D), float32.

    Args:
        read: Returns rows of the table, (n, D), float32.
        bag: The lists.
        offset: Row of id 0.
    """
    rows, ids, weights = bag.entries()
    unique, places = tf.unique(ids)
    matrix = sparse_rows(rows, places, weights, (tf.shape(bag.ids)[0], tf.size(unique)))
    return tf.sparse.sparse_dense_matmul(matrix, read(unique + offset))
