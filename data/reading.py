"""What a pipeline reads, and how many batches that makes on each rank."""

from __future__ import annotations

from dataclasses import dataclass

from data.dataset import PreparedDataset
from data.errors import InputError


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


def rows_of_rank(data: PreparedDataset, reading: Reading, rank: int, ranks: int) -> int:
    """Returns how many rows one of several ranks reads in an epoch."""
    rows = 0
    for split in (data.split(reading.view, name) for name in reading.splits):
        for index, shard in enumerate(split.shards):
            if len(split.shards) % ranks == 0:
                rows += shard.rows if index % ranks == rank else 0
            else:
                mine = range((rank + index) % ranks, shard.blocks, ranks)
                last = shard.rows - (shard.blocks - 1) * split.block_rows
                rows += sum(split.block_rows if b < shard.blocks - 1 else last for b in mine)
    return rows


def steps_per_epoch(data: PreparedDataset, reading: Reading, ranks: int = 1) -> int:
    """Returns the batches of an epoch, the same on every rank; ranks with fewer rows pad."""
    most = max(rows_of_rank(data, reading, rank, ranks) for rank in range(ranks))
    return -(-most // reading.batch_size)
