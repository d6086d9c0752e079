"""Where an epoch's readers stand, so that a run may go on with another number of ranks.

An epoch's rows are dealt to as many streams of batches as there are ranks when it begins. Each
rank reads its own; after a restart with another number, rank r of n reads the rest of the streams
r, r + n, r + 2 n, ..., one after the other. So each row is still seen once in the epoch.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Streams:
    """The streams of an epoch.

    Attributes:
        length: Batches of each.
        positions: The next batch of each, from 0.
    """

    length: int
    positions: tuple[int, ...]

    @classmethod
    def new(cls, length: int, ranks: int) -> Streams:
        """Returns the streams of an epoch that begins on some ranks."""
        return cls(length, (0,) * ranks)

    def of(self, rank: int, ranks: int) -> range:
        """Returns the numbers of the streams that a rank reads, in order."""
        return range(rank, len(self.positions), ranks)

    def left_of(self, rank: int, ranks: int) -> int:
        """Returns the batches that are left for a rank."""
        return sum(self.length - self.positions[stream] for stream in self.of(rank, ranks))

    def left(self, ranks: int) -> int:
        """Returns the steps that are left: the most batches of a rank."""
        return max(self.left_of(rank, ranks) for rank in range(ranks))

    def after(self, steps: int, ranks: int) -> Streams:
        """Returns where the streams stand after some steps of all ranks."""
        positions = list(self.positions)
        for rank in range(ranks):
            left = steps
            for stream in self.of(rank, ranks):
                taken = min(left, self.length - positions[stream])
                positions[stream] += taken
                left -= taken
        return Streams(self.length, tuple(positions))
