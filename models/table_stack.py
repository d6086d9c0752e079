"""Tables of equal width and optimizer, stacked in one variable, with their initial values."""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Sequence

import tensorflow as tf

from data.errors import InputError
from data.process_memory import available_bytes
from models.row_update import Slots
from models.table_config import TableConfig
from models.table_optimizers import TableOptimizer, make_table_optimizer
from models.table_storage import current_storage

INIT_CHUNK = 65_536  # rows drawn at a time
_MOST_SHARE = 0.9  # of the memory that there is; a step, its input and threads need some too


class TableStack(tf.Module):
    """Tables of one kind (width and optimizer), one below the other in one variable.

    Sharded over n ranks, the variable holds those rows of each table whose id is this rank modulo
    n. Rows of the whole stack have numbers in which each table starts at a multiple of n, so that
    row number // n is the place in the variable of the rank number % n.

    Args:
        tables: The tables.
        seed: Of the initial values.
        shards: Ranks that share each table; 1 where every rank has it whole.

    Attributes:
        key: Name among a model's stacks.
        offsets: Number of each table's first row.
        variable: The rows that this rank holds, (rows / n, D).
    """

    def __init__(self, tables: Sequence[TableConfig], seed: int, shards: int = 1) -> None:
        super().__init__()
        storage = current_storage()
        self.key = tables[0].kind + ("_sharded" if shards > 1 else "")
        self.tables = tuple(tables)
        self.shards = shards
        self._communicator = storage.communicator
        self.shard = self._communicator.rank if shards > 1 else 0
        self.offsets = {}
        self.rows = 0
        for table in tables:
            self.offsets[table.name] = self.rows
            self.rows += -(-table.rows // shards) * shards
        self.dim = tables[0].dim
        self.rate_scale = tables[0].rate_scale
        self.optimizer: TableOptimizer = make_table_optimizer(
            tables[0].optimizer, tables[0].l1, tables[0].l2
        )
        self.dtype = tf.as_dtype("float32" if self.optimizer.needs_float32 else storage.dtype)
        held = self.rows // shards if storage.holds_rows else 0
        if held and not storage.is_planned:
            self._check_fits(self.row_bytes, "")
        # By a function, so that nothing else holds the zeros and they are written in place.
        self.variable = tf.Variable(
            lambda: tf.zeros([held, self.dim], self.dtype),
            trainable=False,
            name=f"tables_{self.key}",
            dtype=self.dtype,
            shape=[held, self.dim],
        )
        if held and storage.draws:
            self._draw(seed)
        self.slots: Slots = {}

    def _draw(self, seed: int) -> None:
        for table in self.tables:
            start = self.offsets[table.name] // self.shards
            # Chunks begin at any remainder, so each has its own first row of this shard.
            for first, rows in _initial_rows(table, seed):
                mine = rows[(self.shard - first) % self.shards :: self.shards]
                end = start + mine.shape[0]
                # In place; to assign to a slice, TensorFlow reads and copies the whole table.
                slices = tf.IndexedSlices(tf.cast(mine, self.dtype), tf.range(start, end))
                self.variable.scatter_update(slices)
                start = end

    def read(self, rows: tf.Tensor) -> tf.Tensor:
        """Returns rows of the variable, of any shape with the width appended, float32."""
        return tf.cast(tf.gather(self.variable, rows), tf.float32)

    def held(self, table: str) -> tuple[int, int]:
        """Returns the first row of the variable that is a table's, and how many are."""
        start = self.offsets[table] // self.shards
        return start, -(-(self.rows_of(table) - self.shard) // self.shards)

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
        """Returns the number of rows of one of the tables, on all ranks together."""
        return next(config.rows for config in self.tables if config.name == table)

    def build_slots(self) -> None:
        """Makes the optimizer's slots, which serving never needs."""
        if not current_storage().is_planned:
            self._check_fits(self.slot_row_bytes, "' optimizer slots")
        shapes = self.optimizer.slot_shapes(self.variable.shape[0], self.dim)
        self.slots = {name: self._slot(name, shape) for name, shape in shapes.items()}

    def _check_fits(self, row_bytes: int, what: str) -> None:
        """Refuses what would end in the system killing the process."""
        ranks = self._communicator.local_size
        # All look before one takes what the others would see as taken.
        self._communicator.barrier()
        rows, available = self.rows // self.shards, available_bytes(ranks)
        self._communicator.barrier()
        needed = rows * row_bytes
        if needed <= _MOST_SHARE * available:
            return
        largest = max(self.tables, key=lambda table: table.rows)
        raise InputError(
            f"The tables{what} must fit into this process's memory",
            received=f"{needed / 2**30:,.2f} GiB for {rows:,} rows, the largest "
            f"table being '{largest.name}', of {available / 2**30:,.2f} GiB that it may take"
            + (f", as one of {ranks} ranks on its host" if ranks > 1 else ""),
            action="See where memory goes, and what would help, by trainers.run --plan; tables are "
            "dealt to more ranks by launch/local.sh and launch/ssh.sh",
        )

    def _slot(self, name: str, shape: tuple[int, int]) -> tf.Variable:
        start = self.optimizer.slot_start(name)
        return tf.Variable(
            lambda: tf.fill(shape, start), trainable=False, dtype=tf.float32, shape=shape
        )


def _initial_rows(table: TableConfig, seed: int) -> Iterator[tuple[int, tf.Tensor]]:
    """Yields initial values chunk by chunk, a function of (seed, table, row) only.

    Each with the number of its first row; values have the shape (rows, D).
    """
    name_seed = zlib.crc32(table.name.encode()) & 0x7FFFFFFF
    scale = tf.concat([tf.fill([part.dim], part.stddev) for part in table.parts], axis=0)
    key = tf.random.experimental.stateless_fold_in(tf.constant([seed, 0], tf.int32), name_seed)
    for chunk in range(-(-table.rows // INIT_CHUNK)):
        chunk_key = tf.random.experimental.stateless_fold_in(key, chunk)
        rows = min(INIT_CHUNK, table.rows - chunk * INIT_CHUNK)
        with tf.device("cpu"):  # where a row's values do not depend on how many are drawn
            drawn = tf.random.stateless_normal([rows, table.dim], chunk_key) * scale
        yield chunk * INIT_CHUNK, drawn
