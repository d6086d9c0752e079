"""Rows of a sharded table, fetched from the ranks that hold them, and their gradients' way back.

    numbers of unique rows -> to their owners, which read them -> vectors come back
    gradients of vectors   -> to the owners, which sum those of one row and update it

A row is held by the rank `row mod ranks`, as row `row div ranks` of its shard. Numbers and
vectors cross the wire once a batch, however many features ask for them.

Legend: u unique rows that this rank asks for, r rows that ranks ask of this one, n ranks, D width.
"""

from __future__ import annotations

from typing import NamedTuple

import tensorflow as tf

from models.communicator import Communicator


class Exchange(NamedTuple):
    """Who asked whom for how many rows of a batch.

    Attributes:
        rows: Rows of this rank's shard that were asked for, rank by rank, (r,).
        asked: How many rows this rank asked of each rank, (n,), int32.
        given: How many rows each rank asked of this one, (n,), int32.
    """

    rows: tf.Tensor
    asked: tf.Tensor
    given: tf.Tensor


def by_owner(unique: tf.Tensor, places: tf.Tensor, ranks: int) -> tuple[tf.Tensor, tf.Tensor]:
    """Sorts a batch's unique rows by the rank that holds them.

    Args:
        unique: Numbers of the rows, (u,).
        places: Place of each lookup among them.
        ranks: Number of ranks.

    Returns:
        Both, sorted: `unique[places]` stays what it was.
    """
    order = tf.argsort(unique % ranks, stable=True)
    return tf.gather(unique, order), tf.gather(tf.math.invert_permutation(order), places)


def ask(unique: tf.Tensor, communicator: Communicator) -> Exchange:
    """Tells every rank which of its rows this one needs; `unique` is sorted by owner."""
    ranks = communicator.size
    asked = tf.math.bincount(unique % ranks, minlength=ranks, maxlength=ranks)
    rows, given = communicator.all_to_all(unique // ranks, asked)
    return Exchange(rows, asked, given)


def fetch(vectors: tf.Tensor, exchange: Exchange, communicator: Communicator) -> tf.Tensor:
    """Returns the vectors that this rank asked for, (u, D).

    Args:
        vectors: Those that were asked of it: of `exchange.rows`, (r, D), float32.
        exchange: What `ask` returned.
        communicator: The ranks.
    """
    return communicator.all_to_all(vectors, exchange.given)[0]


def give_back(
    gradients: tf.Tensor, exchange: Exchange, communicator: Communicator
) -> tuple[tf.Tensor, tf.Tensor]:
    """Returns this rank's rows without repeats, and the mean over the ranks of their gradients.

    Args:
        gradients: Of the vectors that this rank asked for, (u, D), float32.
        exchange: What `ask` returned.
        communicator: The ranks.
    """
    received, _ = communicator.all_to_all(gradients, exchange.asked)
    return mean_by_row(exchange.rows, received, communicator.size)


def mean_by_row(rows: tf.Tensor, gradients: tf.Tensor, ranks: int) -> tuple[tf.Tensor, tf.Tensor]:
    """Returns rows without repeats, and the sums of their gradients divided by the ranks."""
    unique, places = tf.unique(rows)
    sums = tf.math.unsorted_segment_sum(gradients / ranks, places, tf.size(unique))
    return unique, sums
