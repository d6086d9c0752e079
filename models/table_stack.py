"""Tables of equal width and optimizer, stacked in one variable, with their initial values."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import dataclass

import tensorflow as tf

from models.table_optimizers import Slots, TableOptimizer, make_table_optimizer

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
        rate_scale: Times the tables' learning rate.
        l1: Weight of the absolute values (`ftrl` only).
        l2: Weight of the squares (`ftrl` only).
    """

    name: str
    rows: int
    parts: tuple[Part, ...]
    optimizer: str
    rate_scale: float = 1.0
    l1: float = 0.0
    l2: float = 0.0

    @property
    def kind(self) -> str:
        """What tables must share to be stacked."""
        regularised = f"_{self.l1:g}_{self.l2:g}" if self.l1 or self.l2 else ""
        return f"{self.optimizer}_{self.dim}_{self.rate_scale:g}{regularised}"

    @property
    def dim(self) -> int:
        """Width of a row."""
        return sum(part.dim for part in self.parts)


class TableStack(tf.Module):
    """Tables of one kind (width and optimizer), one below the other in one variable."""

    def __init__(self, tables: Sequence[TableConfig], seed: int) -> None:
        super().__init__()
        self.key = tables[0].kind
        self.tables = tuple(tables)
        self.offsets = {}
        rows = 0
        for table in tables:
            self.offsets[table.name] = rows
            rows += table.rows
        self.dim = tables[0].dim
        self.rate_scale = tables[0].rate_scale
        self.optimizer: TableOptimizer = make_table_optimizer(
            tables[0].optimizer, tables[0].l1, tables[0].l2
        )
        with tf.device("cpu"):
            values = tf.concat([_initial_rows(table, seed) for table in tables], axis=0)
        self.variable = tf.Variable(values, trainable=False, name=f"tables_{self.key}")
        self.slots: Slots = {}

    def rows_of(self, table: str) -> int:
        """Returns the number of rows of one of the tables."""
        return next(config.rows for config in self.tables if config.name == table)

    def build_slots(self) -> None:
        """Makes the optimizer's slots, which serving never needs."""
        shapes = self.optimizer.slot_shapes(self.variable.shape[0], self.dim)
        self.slots = {
            name: tf.Variable(tf.fill(shape, self.optimizer.slot_start(name)), trainable=False)
            for name, shape in shapes.items()
        }


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
