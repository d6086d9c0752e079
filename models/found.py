"""Which rows of the tables a batch needs, each once.

Legend: n lookups, u unique rows, N = min(n, rows of the stack), B rows of a batch.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import tensorflow as tf

from models.bags import Bag, BagMatrix
from models.communicator import Communicator
from models.exchange import Exchange, ask, by_owner
from models.table_stack import TableStack

Lookups = Mapping[str, tf.Tensor | Bag]


class Found(NamedTuple):
    """Where the vectors of a batch are.

    Attributes:
        rows: By stack, numbers of its unique rows, shape (u,); padded with row 0 to a static (N,)
            where that was asked for and more than bags look into it.
        counts: By stack, how many of `rows` are real, scalar.
        places: By feature, the place of each id among `rows`, of the ids' shape, int32.
        bags: By feature that is a bag, a sparse matrix (B, N) over the `rows` of its stack.
        exchanges: By stack that is sharded, who asked whom for its rows.
    """

    rows: dict[str, tf.Tensor]
    counts: dict[str, tf.Tensor]
    places: dict[str, tf.Tensor]
    bags: dict[str, BagMatrix]
    exchanges: dict[str, Exchange]


def find_in(
    stack: TableStack,
    ids: Lookups,
    starts: Mapping[str, int | tuple[int, ...]],
    communicator: Communicator,
    found: Found,
    padded: bool,
) -> None:
    """Adds what a batch needs of one stack to `found`.

    Args:
        stack: The stack.
        ids: Ids of any static shape, or a `Bag`, by feature.
        starts: By feature, the number of its table's first row, or of each column's.
        communicator: The ranks that share the stack, if it is sharded.
        found: What is known of the other stacks.
        padded: Whether the shapes of the rows must be static, for XLA.
    """
    plain = {n: part for n, part in ids.items() if not isinstance(part, Bag)}
    bags = {n: (part, part.entries()) for n, part in ids.items() if isinstance(part, Bag)}
    asked = [tf.reshape(part + starts[n], [-1]) for n, part in plain.items()]
    asked += [entries.ids + starts[n] for n, (_, entries) in bags.items()]
    unique, places = tf.unique(tf.concat(asked, axis=0))  # (u,), (n,)
    if stack.shards > 1:
        unique, places = by_owner(unique, places, stack.shards)
        found.exchanges[stack.key] = ask(unique, communicator)
    count = most = tf.size(unique)
    if plain and padded:
        shapes = [part.ids.shape if isinstance(part, Bag) else part.shape for part in ids.values()]
        # Never more than the batch asks for: the whole stack would be read and updated.
        most = min(sum(shape.num_elements() for shape in shapes), stack.rows)
        unique = tf.ensure_shape(tf.pad(unique, [[0, most - count]]), [most])
    found.rows[stack.key], found.counts[stack.key] = unique, count
    start: int | tf.Tensor = 0
    for name, part in plain.items():
        size = part.shape.num_elements()
        found.places[name] = tf.reshape(places[start : start + size], part.shape)
        start += size
    for name, (bag, entries) in bags.items():
        mine = places[start : start + tf.size(entries.ids)]
        found.bags[name] = BagMatrix.of(entries, mine, [bag.ids.shape[0], most])
        start += tf.size(entries.ids)
