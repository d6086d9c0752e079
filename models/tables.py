"""Embedding tables, declared as data; tables of equal width live in one variable.

A training step asks for each row once: `find` numbers the batch's unique rows, `gather_rows` reads
them, `expand` deals them out to the features under the gradient tape (inside XLA, where the sum
over equal rows that is its gradient costs little), `sum_bags` sums those of bags outside it, and
`apply_gradients` updates them.

Legend: n lookups, u unique rows, N = min(n, rows of the stack), D width, B rows of a batch.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

import tensorflow as tf

from data.errors import InputError, nearest
from models.bags import Bag, BagMatrix, sum_bag
from models.communicator import Communicator
from models.row_update import RowUpdate
from models.table_stack import Part, TableConfig, TableStack

__all__ = ["Bag", "EmbeddingTables", "Found", "Lookups", "Part", "TableConfig"]

Lookups = Mapping[str, tf.Tensor | Bag]


class Found(NamedTuple):
    """Where the vectors of a batch are.

    Attributes:
        rows: By stack, its unique rows, of shape (N,): static, padded with row 0; or (u,) where
            only bags look into it.
        counts: By stack, how many of `rows` are real, scalar.
        places: By feature, the place of each id among `rows`, of the ids' shape, int32.
        bags: By feature that is a bag, a sparse matrix (B, N) over the `rows` of its stack.
    """

    rows: dict[str, tf.Tensor]
    counts: dict[str, tf.Tensor]
    places: dict[str, tf.Tensor]
    bags: dict[str, BagMatrix]


class EmbeddingTables(tf.Module):
    """All embedding tables of a model.

    Args:
        configs: The tables.
        features: Which table each looked-up feature uses; several may share one.
        seed: Initial values are a function of (seed, table name, row) only.

    Attributes:
        stacks: The variables that hold them.
    """

    def __init__(
        self, configs: Sequence[TableConfig], features: Mapping[str, str], seed: int
    ) -> None:
        super().__init__(name="tables")
        by_kind: dict[str, list[TableConfig]] = {}
        for config in configs:
            by_kind.setdefault(config.kind, []).append(config)
        self.stacks = [TableStack(tables, seed) for tables in by_kind.values()]
        self._configs = {config.name: config for config in configs}
        self._features = dict(features)
        unknown = set(features.values()) - set(self._configs)
        if unknown:
            raise InputError(
                "Every feature must point at a declared table",
                received=sorted(unknown),
                action=nearest(min(unknown), self._configs),
            )
        self.updates = tf.Variable(0, dtype=tf.int64, trainable=False, name="table_updates")

    def build_slots(self) -> None:
        """Makes the optimizers' slots; needed before the first `apply_gradients`."""
        for stack in self.stacks:
            if not stack.slots:
                stack.build_slots()

    def variables_trained(self) -> list[tf.Variable]:
        """Returns the variables that hold the tables, without optimizer slots."""
        return [stack.variable for stack in self.stacks]

    def rows(self, table: str) -> tf.Tensor:
        """Returns a whole table of shape (rows, dim), float32, for scoring every item."""
        stack = self._stack_of(table)
        start = stack.offsets[table]
        whole = stack.variable[start : start + self._configs[table].rows]
        return tf.cast(whole, tf.float32)

    def assign_part(self, table: str, part: str, values: tf.Tensor) -> None:
        """Sets one part of a table, of shape (rows, part dim)."""
        stack, config = self._stack_of(table), self._configs[table]
        start = stack.offsets[table]
        names = [p.name for p in config.parts]
        left = sum(p.dim for p in config.parts[: names.index(part)])
        right = left + config.parts[names.index(part)].dim
        stack.variable[start : start + config.rows, left:right].assign(tf.cast(values, stack.dtype))

    def part(self, table: str, part: str) -> tf.Tensor:
        """Returns one part of a table, of shape (rows, part dim)."""
        return self.split(table, self.rows(table))[part]

    def split(self, table: str, vectors: tf.Tensor) -> dict[str, tf.Tensor]:
        """Splits vectors of shape (..., dim) into the table's parts by name."""
        parts = self._configs[table].parts
        pieces = tf.split(vectors, [part.dim for part in parts], axis=-1)
        return {part.name: piece for part, piece in zip(parts, pieces, strict=True)}

    def gather(self, ids: Lookups) -> dict[str, tf.Tensor]:
        """Looks ids up.

        Args:
            ids: Ids of any shape, or a `Bag`, by feature.

        Returns:
            Vectors by feature, float32: of the ids' shape with the width appended, or (B, D) sums
            of a bag.
        """
        vectors = {}
        for name, part in ids.items():
            stack = self._stack_of(self._features[name])
            offset = stack.offsets[self._features[name]]
            if isinstance(part, Bag):
                vectors[name] = sum_bag(stack.read, part, offset)
            else:
                vectors[name] = stack.read(part + offset)
        return vectors

    def find(self, ids: Lookups) -> Found:
        """Finds the unique rows of a batch, however many features ask for them.

        Args:
            ids: Ids of any static shape, or a `Bag`, by feature.
        """
        found = Found({}, {}, {}, {})
        for stack in self.stacks:
            mine = {n: part for n, part in ids.items() if self._features[n] in stack.offsets}
            if mine:
                self._find_in(stack, mine, found)
        return found

    def _find_in(self, stack: TableStack, ids: Lookups, found: Found) -> None:
        plain = {n: part for n, part in ids.items() if not isinstance(part, Bag)}
        bags = {n: (part, part.entries()) for n, part in ids.items() if isinstance(part, Bag)}
        asked = [self._rows_of(stack, n, part) for n, part in plain.items()]
        asked += [self._rows_of(stack, n, entries.ids) for n, (_, entries) in bags.items()]
        unique, places = tf.unique(tf.concat(asked, axis=0))  # (u,), (n,)
        count = most = tf.size(unique)
        if plain:
            most = stack.variable.shape[0]
            if not bags:
                most = min(sum(part.shape.num_elements() for part in plain.values()), most)
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

    def gather_rows(self, found: Found) -> dict[str, tf.Tensor]:
        """Returns the vectors of the unique rows by stack: shape (N, D), float32."""
        return {
            stack.key: stack.read(found.rows[stack.key])
            for stack in self.stacks
            if stack.key in found.rows
        }

    def expand(
        self, vectors: Mapping[str, tf.Tensor], places: Mapping[str, tf.Tensor]
    ) -> dict[str, tf.Tensor]:
        """Deals the vectors of `gather_rows` out to the features: what `gather` returns."""
        return {
            name: tf.gather(vectors[self._key_of(name)], place) for name, place in places.items()
        }

    def sum_bags(self, vectors: Mapping[str, tf.Tensor], found: Found) -> dict[str, tf.Tensor]:
        """Returns the sums of the bags, (B, D), from the vectors of `gather_rows`."""
        return {n: matrix.sums(vectors[self._key_of(n)]) for n, matrix in found.bags.items()}

    def add_bag_gradients(
        self,
        found: Found,
        row_gradients: dict[str, tf.Tensor],
        bag_gradients: Mapping[str, tf.Tensor],
    ) -> dict[str, tf.Tensor]:
        """Returns gradients of the rows by stack, those through bags (B, D) included."""
        total = dict(row_gradients)
        for name, matrix in found.bags.items():
            key = self._key_of(name)
            through = matrix.gradients(bag_gradients[name])
            total[key] = total[key] + through if key in total else through
        return total

    def apply_gradients(
        self,
        found: Found,
        gradients: Mapping[str, tf.Tensor],
        learning_rate: tf.Tensor,
        communicator: Communicator,
    ) -> None:
        """Updates the batch's unique rows.

        Args:
            found: What `find` returned.
            gradients: By stack, gradients of the vectors that `gather_rows` returned.
            learning_rate: Scalar, float32.
            communicator: Other processes, whose gradients are averaged with these.
        """
        step = self.updates.assign_add(1)
        for stack in self.stacks:
            if stack.key not in found.rows:
                continue
            count = found.counts[stack.key]
            rows, values = found.rows[stack.key][:count], gradients[stack.key][:count]
            if communicator.size > 1:
                rows = communicator.all_gather(rows)
                values = communicator.all_gather(values) / communicator.size
                rows, places = tf.unique(rows)
                values = tf.math.unsorted_segment_sum(values, places, tf.size(rows))
            update = RowUpdate(rows, values, learning_rate * stack.rate_scale, step)
            stack.optimizer.apply(stack.variable, stack.slots, update)

    def stacks_of(self, features: Iterable[str]) -> set[str]:
        """Returns the keys of the stacks that hold the features' tables."""
        return {self._key_of(name) for name in features}

    def _key_of(self, feature: str) -> str:
        return self._stack_of(self._features[feature]).key

    def _stack_of(self, table: str) -> TableStack:
        return next(stack for stack in self.stacks if table in stack.offsets)

    def _rows_of(self, stack: TableStack, feature: str, ids: tf.Tensor) -> tf.Tensor:
        return tf.reshape(ids, [-1]) + stack.offsets[self._features[feature]]
