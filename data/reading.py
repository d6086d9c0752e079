"""What a pipeline reads, and how many batches that makes on each rank."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from data.dataset import PreparedDataset
from data.errors import InputError
from data.schema import Shard


@dataclass(frozen=True)
class Reading:
    """What to read and how to batch it.

    Attributes:
        view: The view, such as `rows`.
        splits: Splits read one after the other (mixed when shuffled).
        batch_size: Rows of a batch on this rank.
        shuffle: Whether to shuffle blocks and rows; else rows come in stored order.
        max_lengths: Longest list kept of each ragged column, its last entries; by default the
            longest of the splits.
        lists: Ragged columns to read; None reads all. The others are neither parsed nor padded.
    """

    view: str
    splits: tuple[str, ...]
    batch_size: int
    shuffle: bool = False
    max_lengths: tuple[tuple[str, int], ...] = ()
    lists: tuple[str, ...] | None = None

    def __post_init__(self) -> None:
        """Checks the batch size."""
        if self.batch_size < 1:
            raise InputError("batch_size must be at least 1", received=self.batch_size)


@dataclass(frozen=True)
class DealtShard:
    """What one rank reads of a shard: its blocks from `first` on, `stride` apart.

    Attributes:
        shard: The file.
        start: Number of the shard's first row, counted over all splits of the reading.
        block_rows: Rows of every block but the shard's last.
        first: First block that the rank reads.
        stride: Blocks from one that it reads to the next.
    """

    shard: Shard
    start: int
    block_rows: int
    first: int
    stride: int

    def blocks(self) -> np.ndarray:
        """Returns where the blocks that are read start and end in the shard: (blocks, 2)."""
        starts = np.arange(self.first, self.shard.blocks, self.stride) * self.block_rows
        return np.stack([starts, np.minimum(starts + self.block_rows, self.shard.rows)], axis=1)


def dealt_shards(
    data: PreparedDataset, reading: Reading, rank: int, ranks: int
) -> Iterator[DealtShard]:
    """Yields the shards that one of several ranks reads, in stored order.

    Whole shards are dealt where that gives all ranks as many, else every shard's blocks.
    """
    start = 0
    for split in (data.split(reading.view, name) for name in reading.splits):
        by_file = len(split.shards) % ranks == 0
        for index, shard in enumerate(split.shards):
            if not by_file:
                yield DealtShard(shard, start, split.block_rows, (rank + index) % ranks, ranks)
            elif index % ranks == rank:
                yield DealtShard(shard, start, split.block_rows, 0, 1)
            start += shard.rows


def rows_of_rank(data: PreparedDataset, reading: Reading, rank: int, ranks: int) -> int:
    """Returns how many rows one of several ranks reads in an epoch."""
    dealt = dealt_shards(data, reading, rank, ranks)
    return sum(int((part.blocks() @ (-1, 1)).sum()) for part in dealt)


def stored_order(data: PreparedDataset, reading: Reading, ranks: int) -> np.ndarray:
    """Returns where each stored row is among the rows that all ranks read, rank after rank.

    What ranks find row by row and gather is in stored order when taken by this: whatever their
    number. Only of readings that do not shuffle.

    Returns:
        Shape (rows,), int64.
    """
    read = [
        part.start + np.arange(start, end)
        for rank in range(ranks)
        for part in dealt_shards(data, reading, rank, ranks)
        for start, end in part.blocks()
    ]
    return np.argsort(np.concatenate(read) if read else np.zeros(0, np.int64))


def steps_per_epoch(data: PreparedDataset, reading: Reading, ranks: int = 1) -> int:
    """Returns the batches of an epoch, the same on every rank; ranks with fewer rows pad."""
    most = max(rows_of_rank(data, reading, rank, ranks) for rank in range(ranks))
    return -(-most // reading.batch_size)
