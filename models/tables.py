"""Embedding tables, declared as data; tables of equal width live in one variable.

Legend: n lookups, u unique rows, D width.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import tensorflow as tf

from data.errors import InputError, nearest
from models.communicator import Communicator
from models.table_optimizers import RowUpdate, Slots, TableOptimizer, make_table_optimizer

_INIT_CHUNK = 65_536  # rows drawn at a time


@dataclass(frozen=True)
class Part:
    """Some neighbouring columns of a table that start alike.

    Attributes:
        name: Name within the table.
        dim: Number of columns.
        stddev: Standard deviation of the normal initial values; 0 starts at zero.
    """

    name: str
    dim: int
    stddev: float


@dataclass(frozen=True)
class TableConfig:
    """One embedding table.

    Attributes:
        name: Name of the table.
        rows: Number of rows.
        parts: Columns, in order. Vectors that are always looked up together (the GMF and the MLP
            vector of a user) are parts of one row: one gather, one update.
        optimizer: Name of the table optimizer.
    """

    name: str
    rows: int
    parts: tuple[Part, ...]
    optimizer: str

    @property
    def dim(self) -> int:
        """Width of a row."""
        return sum(part.dim for part in self.parts)


class _Stack(tf.Module):
    """Tables of one width and one optimizer, one below the other in one variable."""

    def __init__(self, tables: Sequence[TableConfig], seed: int) -> None:
        super().__init__()
        self.tables = tuple(tables)
        self.offsets = {}
        rows = 0
        for table in tables:
            self.offsets[table.name] = rows
            rows += table.rows
        self.dim = tables[0].dim
        self.optimizer: TableOptimizer = make_table_optimizer(tables[0].optimizer)
        with tf.device("cpu"):
            values = tf.concat([_initial_rows(table, seed) for table in tables], axis=0)
        self.variable = tf.Variable(values, trainable=False, name=f"tables_{self.dim}")
        self.slots: Slots = {}

    def build_slots(self) -> None:
        """Makes the optimizer's slots, which serving never needs."""
        shapes = self.optimizer.slot_shapes(self.variable.shape[0], self.dim)
        self.slots = {
            name: tf.Variable(tf.fill(shape, self.optimizer.slot_start(name)), trainable=False)
            for name, shape in shapes.items()
        }


class EmbeddingTables(tf.Module):
    """All embedding tables of a model.

    Args:
        configs: The tables.
        features: Which table each looked-up feature uses; several may share one.
        seed: Initial values are a function of (seed, table name, row) only.
    """

    def __init__(
        self, configs: Sequence[TableConfig], features: Mapping[str, str], seed: int
    ) -> None:
        super().__init__(name="tables")
        by_kind: dict[tuple[int, str], list[TableConfig]] = {}
        for config in configs:
            by_kind.setdefault((config.dim, config.optimizer), []).append(config)
        self._stacks = [_Stack(tables, seed) for tables in by_kind.values()]
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
        for stack in self._stacks:
            if not stack.slots:
                stack.build_slots()

    def rows(self, table: str) -> tf.Tensor:
        """Returns a whole table of shape (rows, dim), for scoring every item."""
        stack = self._stack_of(table)
        start = stack.offsets[table]
        return stack.variable[start : start + self._configs[table].rows]

    def assign_part(self, table: str, part: str, values: tf.Tensor) -> None:
        """Sets one part of a table, of shape (rows, part dim)."""
        stack, config = self._stack_of(table), self._configs[table]
        start = stack.offsets[table]
        names = [p.name for p in config.parts]
        left = sum(p.dim for p in config.parts[: names.index(part)])
        right = left + config.parts[names.index(part)].dim
        stack.variable[start : start + config.rows, left:right].assign(values)

    def part(self, table: str, part: str) -> tf.Tensor:
        """Returns one part of a table, of shape (rows, part dim)."""
        return self.split(table, self.rows(table))[part]

    def split(self, table: str, vectors: tf.Tensor) -> dict[str, tf.Tensor]:
        """Splits vectors of shape (..., dim) into the table's parts by name."""
        parts = self._configs[table].parts
        pieces = tf.split(vectors, [part.dim for part in parts], axis=-1)
        return {part.name: piece for part, piece in zip(parts, pieces, strict=True)}

    def gather(self, ids: Mapping[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        """Looks ids up: one gather a stack, however many features there are.

        Args:
            ids: Ids of any shape by feature.

        Returns:
            Vectors by feature, of the ids' shape with the width appended, float32.
        """
        vectors = {}
        for stack in self._stacks:
            mine = self._of_stack(stack, ids)
            if not mine:
                continue
            found = tf.gather(stack.variable, self._stacked(stack, mine))
            sizes = [tf.size(part) for part in mine.values()]
            pieces = tf.split(found, sizes, num=len(mine)) if len(mine) > 1 else [found]
            for (name, part), piece in zip(mine.items(), pieces, strict=True):
                shaped = tf.reshape(piece, tf.concat([tf.shape(part), [stack.dim]], axis=0))
                vectors[name] = tf.ensure_shape(shaped, [*part.shape, stack.dim])
        return vectors

    def apply_gradients(
        self,
        ids: Mapping[str, tf.Tensor],
        gradients: Mapping[str, tf.Tensor],
        learning_rate: tf.Tensor,
        communicator: Communicator,
    ) -> None:
        """Updates the looked-up rows.

        Args:
            ids: What `gather` was given.
            gradients: Gradients of the vectors that `gather` returned.
            learning_rate: Scalar, float32.
            communicator: Other processes, whose gradients are averaged with these.
        """
        step = self.updates.assign_add(1)
        for stack in self._stacks:
            mine = self._of_stack(stack, ids)
            if not mine:
                continue
            rows = self._stacked(stack, mine)
            flat = [tf.reshape(gradients[name], [-1, stack.dim]) for name in mine]
            values = tf.concat(flat, axis=0) if len(flat) > 1 else flat[0]
            if stack.optimizer.needs_unique_rows or communicator.size > 1:
                rows, values = _summed_by_row(rows, values)
            if communicator.size > 1:
                rows = communicator.all_gather(rows)
                values = communicator.all_gather(values) / communicator.size
                rows, values = _summed_by_row(rows, values)
            stack.optimizer.apply(
                stack.variable, stack.slots, RowUpdate(rows, values, learning_rate, step)
            )

    def _stack_of(self, table: str) -> _Stack:
        return next(stack for stack in self._stacks if table in stack.offsets)

    def _of_stack(self, stack: _Stack, ids: Mapping[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        return {n: part for n, part in ids.items() if self._features[n] in stack.offsets}

    def _stacked(self, stack: _Stack, ids: Mapping[str, tf.Tensor]) -> tf.Tensor:
        """Returns the rows of `stack.variable` that the features' ids mean, shape (n,)."""
        flat = [
            tf.reshape(part, [-1]) + stack.offsets[self._features[name]]
            for name, part in ids.items()
        ]
        return tf.concat(flat, axis=0) if len(flat) > 1 else flat[0]


def _summed_by_row(rows: tf.Tensor, values: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    unique, index = tf.unique(rows)  # (u,), (n,)
    return unique, tf.math.unsorted_segment_sum(values, index, tf.size(unique))


def _initial_rows(table: TableConfig, seed: int) -> tf.Tensor:
    """Returns initial values of shape (rows, D), a function of (seed, table, row) only."""
    name_seed = zlib.crc32(table.name.encode()) & 0x7FFFFFFF
    scale = tf.concat([tf.fill([part.dim], part.stddev) for part in table.parts], axis=0)
    key = tf.random.experimental.stateless_fold_in(tf.constant([seed, 0], tf.int32), name_seed)
    chunks = []
    for chunk in range(-(-table.rows // _INIT_CHUNK)):
        chunk_key = tf.random.experimental.stateless_fold_in(key, chunk)
        rows = min(_INIT_CHUNK, table.rows - chunk * _INIT_CHUNK)
        chunks.append(tf.random.stateless_normal([_INIT_CHUNK, table.dim], chunk_key)[:rows])
    return tf.concat(chunks, axis=0) * scale
