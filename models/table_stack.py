"""Tables of equal width and optimizer, stacked in one variable, with their initial values."""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, replace
from typing import Any

import tensorflow as tf

from models.row_update import Slots
from models.table_optimizers import TableOptimizer, make_table_optimizer

INIT_CHUNK = 65_536  # rows drawn at a time


@dataclass(frozen=True)
class TableStorage:
    """How tables that are made now are stored.

    Attributes:
        dtype: Type of their values, `float32` or `bfloat16`; that of `ftrl` is float32, for its
            weights follow from its slots. Slots are float32.
        draws: Whether they get their initial values; a plan, which allocates nothing, needs none.
    """

    dtype: str = "float32"
    draws: bool = True


_STORAGE: ContextVar[TableStorage] = ContextVar("table_storage", default=TableStorage())  # noqa: B039  frozen


@contextmanager
def table_storage(**changes: Any) -> Iterator[None]:
    """Stores tables that are made within the block so; takes fields of `TableStorage`."""
    token = _STORAGE.set(replace(_STORAGE.get(), **changes))
    try:
        yield
    finally:
        _STORAGE.reset(token)


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
        storage = _STORAGE.get()
        self.dtype = tf.as_dtype("float32" if self.optimizer.needs_float32 else storage.dtype)
        # By a function, so that nothing else holds the zeros and they are written in place.
        self.variable = tf.Variable(
            lambda: tf.zeros([rows, self.dim], self.dtype),
            trainable=False,
            name=f"tables_{self.key}",
            dtype=self.dtype,
            shape=[rows, self.dim],
        )
        if storage.draws:
            self._draw(seed)
        self.slots: Slots = {}

    def _draw(self, seed: int) -> None:
        for table in self.tables:
            start = self.offsets[table.name]
            for rows in _initial_rows(table, seed):
                end = start + rows.shape[0]
                # In place; to assign to a slice, TensorFlow reads and copies the whole table.
                slices = tf.IndexedSlices(tf.cast(rows, self.dtype), tf.range(start, end))
                self.variable.scatter_update(slices)
                start = end

    def read(self, rows: tf.Tensor) -> tf.Tensor:
        """Returns rows of any shape with the width appended, float32."""
        return tf.cast(tf.gather(self.variable, rows), tf.float32)

    @property
    def row_bytes(self) -> int:
        """Bytes of a row, without the optimizer's slots."""
        return self.dim * self.dtype.size

    @property
    def slot_row_bytes(self) -> int:
        """Bytes that the optimizer's slots hold for a row."""
        shapes = self.optimizer.slot_shapes(1, self.dim)
        return sum(width for _, width in shapes.values()) * tf.float32.size

    def bytes_moved(self, rows: int) -> int:
        """Returns the bytes that a step reads and writes of so many rows and their gradients."""
        vector = self.dim * tf.float32.size
        gathered = self.row_bytes + vector
        updated = vector + 2 * self.row_bytes + 2 * self.slot_row_bytes
        return rows * (gathered + updated)

    def rows_of(self, table: str) -> int:
        """Returns the number of rows of one of the tables."""
        return next(config.rows for config in self.tables if config.name == table)

    def build_slots(self) -> None:
        """Makes the optimizer's slots, which serving never needs."""
        shapes = self.optimizer.slot_shapes(self.variable.shape[0], self.dim)
        self.slots = {name: self._slot(name, shape) for name, shape in shapes.items()}

    def _slot(self, name: str, shape: tuple[int, int]) -> tf.Variable:
        start = self.optimizer.slot_start(name)
        return tf.Variable(
            lambda: tf.fill(shape, start), trainable=False, dtype=tf.float32, shape=shape
        )


def _initial_rows(table: TableConfig, seed: int) -> Iterator[tf.Tensor]:
    """Yields initial values (rows, D), chunk by chunk, a function of (seed, table, row) only."""
    name_seed = zlib.crc32(table.name.encode()) & 0x7FFFFFFF
    scale = tf.concat([tf.fill([part.dim], part.stddev) for part in table.parts], axis=0)
    key = tf.random.experimental.stateless_fold_in(tf.constant([seed, 0], tf.int32), name_seed)
    for chunk in range(-(-table.rows // INIT_CHUNK)):
        chunk_key = tf.random.experimental.stateless_fold_in(key, chunk)
        rows = min(INIT_CHUNK, table.rows - chunk * INIT_CHUNK)
        with tf.device("cpu"):  # where a row's values do not depend on how many are drawn
            drawn = tf.random.stateless_normal([rows, table.dim], chunk_key) * scale
        yield drawn
