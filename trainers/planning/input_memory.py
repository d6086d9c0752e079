"""The memory of the input pipeline, from what the schema says of the files."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping

import numpy as np
import tensorflow as tf

from data.dataset import PreparedDataset
from data.pipeline import BLOCK_SHUFFLE_BUFFER, READ_CYCLE, WINDOW_BLOCKS
from data.reading import Reading
from data.schema import Column, Split

_LENGTH_BYTES = 4  # of a list, stored as int32


class InputMemory:
    """What a pipeline of one rank holds, with as many windows in work as there are cores.

    Args:
        data: The prepared dataset.
        reading: What is read of it.
        batch: What a batch looks like.
        ranks: Number of processes that share the blocks.
    """

    def __init__(
        self,
        data: PreparedDataset,
        reading: Reading,
        batch: Mapping[str, tf.TensorSpec],
        ranks: int = 1,
    ) -> None:
        self._data, self._reading, self._ranks = data, reading, ranks
        self._batch = sum(spec.shape.num_elements() * spec.dtype.size for spec in batch.values())
        self._view = data.schema.view(reading.view)
        self._splits = [data.split(reading.view, name) for name in reading.splits]
        self._cores = len(os.sched_getaffinity(0))

    @property
    def filled(self) -> float:
        """Mean length of the lists over that of the longest; 1 where no rows have any."""
        lists = [column for column in self._view.columns if column.ragged]
        places = sum(s.rows * self._longest(lists, s) for s in self._splits)
        rows = sum(split.rows for split in self._splits)
        stored = sum(shard.bytes for split in self._splits for shard in split.shards)
        values = stored - rows * (self._fixed() + _LENGTH_BYTES * len(lists))
        return min(1.0, values / places) if places else 1.0

    def bytes(self) -> int:
        """Returns the bytes of blocks that wait to be shuffled, of windows and of batches."""
        shards = [shard for split in self._splits for shard in split.shards]
        blocks = sum(shard.blocks for shard in shards)
        block = sum(shard.bytes for shard in shards) / max(blocks, 1)
        mine = -(-blocks // self._ranks)
        waiting = min(BLOCK_SHUFFLE_BUFFER + READ_CYCLE, mine) * block
        record = min(WINDOW_BLOCKS, mine) * block
        rows = min(WINDOW_BLOCKS, mine) * max(split.block_rows for split in self._splits)
        read = rows * (self._fixed() + self.filled * self._lists(cropped=False))
        padded = rows * (self._fixed() + self._lists(cropped=True))
        # Records; their parts cut out, joined and decoded; rows shuffled, and then padded.
        decoding = record + 4 * read + padded
        # A window is cut up meanwhile. As many batches are in work and ready as there are cores.
        windows = self._cores * decoding + padded
        return round(waiting + windows + (2 * self._cores + 1) * self._batch)

    def _fixed(self) -> int:
        return self._size(column for column in self._view.columns if not column.ragged)

    def _lists(self, cropped: bool) -> int:
        """Returns the bytes that the lists which are read take in a row, all at their longest."""
        limits = dict(self._reading.max_lengths) if cropped else {}
        names = self._reading.lists
        read = [c for c in self._view.columns if c.ragged and (names is None or c.name in names)]
        return max(self._longest(read, split, limits) for split in self._splits)

    def _longest(
        self, lists: Iterable[Column], split: Split, limits: Mapping[str, int] | None = None
    ) -> int:
        lengths = split.longest | dict(limits or {})
        return sum(lengths[column.name] * self._size([column]) for column in lists)

    def _size(self, columns: Iterable[Column]) -> int:
        schema = self._data.schema
        return sum(np.dtype(schema.feature(c.feature).dtype).itemsize for c in columns)
