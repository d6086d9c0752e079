"""Bags: lists of ids whose vectors are summed, one sum a row.

A user's items in an autoencoder, or the genres of a movie. The sum is a product with a sparse
matrix of the batch's rows by its unique ids, so its cost follows the ids that are there, not the
longest list nor the table; XLA cannot compile it, so a step takes it outside.

Legend: B rows, L longest list, n ids in the lists, u unique ids, D width.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import tensorflow as tf

from data.schema import PAD_ID


@dataclass(frozen=True)
class Bag:
    """A list of ids for each row.

    Attributes:
        ids: Shape (B, L), int32; padding (0) counts for nothing.
        weights: What each vector is multiplied with, shape (B, L), float32; None for `scale`.
        scale: What all vectors are multiplied with, where they have no weights.
    """

    ids: tf.Tensor
    weights: tf.Tensor | None = None
    scale: float = 1.0

    def mean(self) -> Bag:
        """Returns the bag with each row's weights divided by its number of ids."""
        present = tf.cast(self.ids != PAD_ID, tf.float32)
        count = tf.maximum(tf.reduce_sum(present, axis=1, keepdims=True), 1.0)
        return Bag(self.ids, (present if self.weights is None else self.weights) / count)

    def entries(self) -> BagEntries:
        """Returns the ids that are there, in row order."""
        places = tf.where(self.ids != PAD_ID)
        ids = tf.gather_nd(self.ids, places)
        if self.weights is None:
            return BagEntries(places[:, 0], ids, tf.fill(tf.shape(ids), self.scale))
        return BagEntries(places[:, 0], ids, tf.gather_nd(self.weights, places))


class BagEntries(NamedTuple):
    """The ids of a bag without its padding.

    Attributes:
        rows: Row of each, ascending, shape (n,), int64.
        ids: Shape (n,), int32.
        weights: Shape (n,), float32.
    """

    rows: tf.Tensor
    ids: tf.Tensor
    weights: tf.Tensor


class BagMatrix(NamedTuple):
    """A batch's bags as a sparse matrix of its rows by its unique ids, (B, u).

    In compressed rows, whose products run on all threads; those of a `tf.SparseTensor` run on one.

    Attributes:
        compressed: Scalar variant.
        rows: Number of rows B.
        columns: Number of unique ids u.
    """

    compressed: tf.Tensor
    rows: int | tf.Tensor
    columns: int | tf.Tensor

    @classmethod
    def of(
        cls, entries: BagEntries, columns: tf.Tensor, shape: Sequence[int | tf.Tensor]
    ) -> BagMatrix:
        """Returns the matrix of the given shape with the entries' weights at (rows, columns)."""
        # At least one row and column: products divide by the number of rows, which ends the
        # process where there is none. A batch of padding has no ids, a server may be asked nothing.
        places = tf.stack([entries.rows, tf.cast(columns, tf.int64)], axis=1)
        compressed = tf.raw_ops.SparseTensorToCSRSparseMatrix(
            indices=places,
            values=entries.weights,
            dense_shape=tf.stack([tf.maximum(tf.cast(size, tf.int64), 1) for size in shape]),
        )
        return cls(compressed, *shape)

    def sums(self, vectors: tf.Tensor) -> tf.Tensor:
        """Returns the bags' sums, (B, D), of vectors (u, D), float32."""
        product = tf.raw_ops.SparseMatrixMatMul(
            a=self.compressed, b=_at_least_one(vectors, self.columns)
        )
        rows = self.rows if isinstance(self.rows, int) else None
        return tf.ensure_shape(product[: self.rows], [rows, vectors.shape[1]])

    def gradients(self, of_sums: tf.Tensor) -> tf.Tensor:
        """Returns the gradients of the vectors, (u, D), from those of the sums, (B, D)."""
        # Not by `transpose_a`, whose threads add up in an order that differs from run to run.
        transposed = tf.raw_ops.SparseMatrixTranspose(input=self.compressed, type=tf.float32)
        product = tf.raw_ops.SparseMatrixMatMul(a=transposed, b=of_sums)
        return tf.ensure_shape(product[: self.columns], [None, of_sums.shape[1]])


def _at_least_one(vectors: tf.Tensor, count: int | tf.Tensor) -> tf.Tensor:
    """Returns vectors (count, D), or one of zeros where there is none; nothing is copied."""
    none = tf.zeros([1, vectors.shape[1]], vectors.dtype)
    return tf.cond(tf.equal(count, 0), lambda: none, lambda: vectors)


def read_vectors(
    read: Callable[[tf.Tensor], tf.Tensor], ids: tf.Tensor | Bag, start: int | tuple[int, ...]
) -> tf.Tensor:
    """Returns a table's vectors, float32: of ids (..., D), or sums of a bag (B, D).

    Args:
        read: Returns rows of the table, of any shape with the width appended, float32.
        ids: Ids, or lists of them.
        start: Row of id 0, or, for ids, that of each column.
    """
    if not isinstance(ids, Bag):
        return read(ids + start)
    entries = ids.entries()
    unique, places = tf.unique(entries.ids)
    matrix = BagMatrix.of(entries, places, [tf.shape(ids.ids)[0], tf.size(unique)])
    return matrix.sums(read(unique + start))
