"""Embedding tables, declared as data; tables of equal width live in one variable.

A training step asks for each row once: `find` numbers the batch's unique rows, `gather_rows` reads
them, `expand` deals them out to the features under the gradient tape (inside XLA, where the sum
over equal rows that is its gradient costs little), `sum_bags` sums those of bags outside it, and
`apply_gradients` updates them. Rows of sharded tables come from the ranks that hold them, and
their gradients go back there (`models.exchange`).

Legend: n lookups, u unique rows, N = min(n, rows of the stack), D width, B rows of a batch.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import tensorflow as tf

from data.errors import InputError, nearest
from models.bags import Bag, read_vectors
from models.exchange import fetch
from models.found import Found, Lookups, find_in
from models.routes import Routes, Tables, table_names
from models.row_update import RowGradients, RowUpdate
from models.table_config import Part, TableConfig
from models.table_stack import TableStack
from models.table_storage import current_storage

__all__ = ["Bag", "EmbeddingTables", "Found", "Lookups", "Part", "TableConfig"]


class EmbeddingTables(tf.Module):
    """All embedding tables of a model.

    Args:
        configs: The tables.
        features: Which table each looked-up feature uses; several may share one. Or the tables, of
            one width, that the columns of its ids' last axis use.
        seed: Initial values are a function of (seed, table name, row) only.

    Attributes:
        configs: What the tables were declared as, by name.
        stacks: The variables that hold them.
        communicator: The ranks that share them.
        placements: Of each table, in how many parts it is held, and why.
    """

    def __init__(
        self, configs: Sequence[TableConfig], features: Mapping[str, Tables], seed: int
    ) -> None:
        super().__init__(name="tables")
        self._is_apart = False
        storage = current_storage()
        self.communicator = storage.communicator
        self.placements = {config.name: storage.shards(config) for config in configs}
        by_kind: dict[tuple[str, int], list[TableConfig]] = {}
        for config in configs:
            shards, _ = self.placements[config.name]
            by_kind.setdefault((config.kind, shards), []).append(config)
        self.stacks = [TableStack(t, seed, shards) for (_, shards), t in by_kind.items()]
        self.configs = {config.name: config for config in configs}
        self._check_known(table_names(features), "Every feature must point at a declared table")
        self._check_known(storage.placement.tables, "trainer.placement must name tables")
        self._routes = Routes(features, self.stacks)
        self.updates = tf.Variable(0, dtype=tf.int64, trainable=False, name="table_updates")

    def _check_known(self, tables: set[str], rule: str) -> None:
        unknown = tables - set(self.configs)
        if unknown:
            raise InputError(
                rule, received=sorted(unknown), action=nearest(min(unknown), self.configs)
            )

    @contextmanager
    def kept_apart(self) -> Iterator[None]:
        """Hides the stacks from TensorFlow's checkpoints: they have files of their own."""
        self._is_apart = True
        try:
            yield
        finally:
            self._is_apart = False

    def _trackable_children(self, save_type: str = "checkpoint", **options: Any) -> Any:
        children = super()._trackable_children(save_type, **options)
        return {n: c for n, c in children.items() if n != "stacks" or not self._is_apart}

    def build_slots(self) -> None:
        """Makes the optimizers' slots; needed before the first `apply_gradients`."""
        for stack in self.stacks:
            if not stack.slots:
                stack.build_slots()

    @property
    def size(self) -> int:
        """How many numbers the tables hold, on all ranks together."""
        return sum(config.rows * config.dim for config in self.configs.values())

    def variables_trained(self) -> list[tf.Variable]:
        """Returns the variables that hold the tables, without optimizer slots."""
        return [stack.variable for stack in self.stacks]

    def rows(self, table: str) -> tf.Tensor:
        """Returns a whole table of shape (rows, dim), float32, for scoring every item."""
        stack = self._stack_of(table)
        rows, start = stack.rows_of(table), stack.offsets[table] // stack.shards
        most = -(-rows // stack.shards)
        held = stack.variable[start : start + most]
        if stack.shards > 1:
            # Row 0 of each rank, then row 1 of each rank, and so on.
            everyone = self.communicator.all_gather(held)
            by_rank = tf.reshape(everyone, [stack.shards, most, stack.dim])
            held = tf.reshape(tf.transpose(by_rank, [1, 0, 2]), [-1, stack.dim])[:rows]
        return tf.cast(held, tf.float32)

    def assign_part(self, table: str, part: str, values: tf.Tensor) -> None:
        """Sets one part of a table, of shape (rows, part dim)."""
        stack = self._stack_of(table)
        start, count = stack.held(table)
        mine = tf.cast(values[stack.shard :: stack.shards], stack.dtype)
        columns = self.configs[table].columns(part)
        stack.variable[start : start + count, columns].assign(mine)

    def part(self, table: str, part: str) -> tf.Tensor:
        """Returns one part of a table, of shape (rows, part dim)."""
        return self.split(table, self.rows(table))[part]

    def split(self, table: str, vectors: tf.Tensor) -> dict[str, tf.Tensor]:
        """Splits vectors of shape (..., dim) into the table's parts by name."""
        parts = self.configs[table].parts
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
        mine = self._routes.stacks_of(ids)
        stacks = [stack for stack in self.stacks if stack.key in mine]
        if any(stack.shards > 1 for stack in stacks):
            found = self.find(ids)
            rows = self.gather_rows(found)
            return {**self.expand(rows, found.places), **self.sum_bags(rows, found)}
        vectors = {}
        for stack in stacks:
            pieces, starts = self._routes.split(ids, stack.key)
            for name, part in pieces.items():
                vectors[name] = read_vectors(stack.read, part, starts[name])
        return self._routes.join(vectors)

    def find(self, ids: Lookups, padded: bool = False) -> Found:
        """Finds the unique rows of a batch, however many features ask for them.

        Args:
            ids: Ids of any static shape, or a `Bag`, by feature.
            padded: Whether to make as many rows as there may be at most, for XLA.

        Returns:
            Where their vectors are: by feature, or by piece of one whose tables are in several
            stacks.
        """
        found = Found({}, {}, {}, {}, {})
        for stack in self.stacks:
            mine, starts = self._routes.split(ids, stack.key)
            if mine:
                find_in(stack, mine, starts, self.communicator, found, padded)
        return found

    def gather_rows(self, found: Found) -> dict[str, tf.Tensor]:
        """Returns the vectors of the unique rows by stack: shape (N, D), float32."""
        return {s.key: self._gather_from(s, found) for s in self.stacks if s.key in found.rows}

    def _gather_from(self, stack: TableStack, found: Found) -> tf.Tensor:
        rows = found.rows[stack.key]
        exchange = found.exchanges.get(stack.key)
        if exchange is None:
            return stack.read(rows)
        vectors = fetch(stack.read(exchange.rows), exchange, self.communicator)
        padded = tf.pad(vectors, [[0, tf.size(rows) - tf.shape(vectors)[0]], [0, 0]])
        return tf.ensure_shape(padded, [*rows.shape, stack.dim])

    def expand(
        self, vectors: Mapping[str, tf.Tensor], places: Mapping[str, tf.Tensor]
    ) -> dict[str, tf.Tensor]:
        """Deals the vectors of `gather_rows` out to the features: what `gather` returns."""
        pieces = {n: tf.gather(vectors[self.key_of(n)], place) for n, place in places.items()}
        return self._routes.join(pieces)

    def sum_bags(self, vectors: Mapping[str, tf.Tensor], found: Found) -> dict[str, tf.Tensor]:
        """Returns the sums of the bags, (B, D), from the vectors of `gather_rows`."""
        return {n: matrix.sums(vectors[self.key_of(n)]) for n, matrix in found.bags.items()}

    def add_bag_gradients(
        self,
        found: Found,
        row_gradients: dict[str, tf.Tensor],
        bag_gradients: Mapping[str, tf.Tensor],
    ) -> dict[str, tf.Tensor]:
        """Returns gradients of the rows by stack, those through bags (B, D) included."""
        total = dict(row_gradients)
        for name, matrix in found.bags.items():
            key = self.key_of(name)
            through = matrix.gradients(bag_gradients[name])
            total[key] = total[key] + through if key in total else through
        return total

    def apply_gradients(
        self, gradients: Mapping[str, RowGradients], learning_rate: tf.Tensor
    ) -> None:
        """Updates rows of the tables.

        Args:
            gradients: By stack, what `models.rank_updates.exchange_gradients` returned.
            learning_rate: Scalar, float32.
        """
        step = self.updates.assign_add(1)
        for stack in self.stacks:
            if stack.key in gradients:
                rows, of_rows, values = gradients[stack.key]
                rate = learning_rate * stack.rate_scale
                update = RowUpdate(rows, of_rows, rate, step, values)
                stack.optimizer.apply(stack.variable, stack.slots, update)

    def key_of(self, feature: str) -> str:
        """Returns the key of the stack that holds the table of a feature, or of its piece."""
        return self._routes.stack_of(feature)

    def _stack_of(self, table: str) -> TableStack:
        return next(stack for stack in self.stacks if table in stack.offsets)
