"""The norms of the rows of the embedding tables, at a cost that their size does not change."""

from __future__ import annotations

import time

import numpy as np
import tensorflow as tf

from models.graphs import graph_function
from models.tables import EmbeddingTables
from trainers.board.tags import ALL_TABLES_NORM, TABLE_NORM

MOST_ROWS = 4_096  # looked at, of each table
_SHARE_OF_TIME = 0.005  # most that looking may take


class TableNorms:
    """Root mean square of the norms of some rows of each table, evenly spread over its ids.

    Of a sharded table only this rank's rows are looked at, so that no rank waits for another.

    Args:
        tables: The tables.
    """

    def __init__(self, tables: EmbeddingTables) -> None:
        self._stacks = tables.stacks
        self._names = [config.name for stack in self._stacks for config in stack.tables]
        self._squares = graph_function(self._mean_squares).get_concrete_function()
        self._due = 0.0

    def scalars(self) -> dict[str, float]:
        """Returns the norms by tag; nothing where they were returned a short time ago."""
        began = time.monotonic()
        if not self._names or began < self._due:
            return {}
        squares = self._squares().numpy()
        ended = time.monotonic()
        self._due = ended + (ended - began) / _SHARE_OF_TIME
        norms = dict(zip(self._names, np.sqrt(squares).tolist(), strict=True))
        named = {f"{TABLE_NORM}/{name}": norm for name, norm in norms.items()}
        return {ALL_TABLES_NORM: float(np.sqrt(squares.mean())), **named}

    def _mean_squares(self) -> tf.Tensor:
        """Returns the mean of the squared norms by table: (tables,), float32."""
        means = []
        for stack in self._stacks:
            for config in stack.tables:
                start, count = stack.held(config.name)
                rows = np.linspace(start, start + count - 1, min(count, MOST_ROWS), dtype=np.int64)
                vectors = stack.read(rows)
                means.append(tf.reduce_mean(tf.reduce_sum(tf.square(vectors), axis=1)))
        return tf.stack(means) if means else tf.zeros([0])
