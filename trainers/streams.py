"""Where an epoch's readers stand, so that a run may go on with another number of ranks.

An epoch's rows are dealt to as many streams of batches as there are ranks when it begins, and each
rank reads its own. Of n ranks that go on after a restart, rank r reads the streams r, r + n,
r + 2 n, ..., one after the other, as far as all ranks have one with batches left. The batches of
the streams that remain are dealt to the ranks one by one. So each row is still seen once in the
epoch, and all ranks have a batch in every step but perhaps the last.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Part:
    """Batches of a stream that one rank reads.

    Attributes:
        stream: Number of the stream.
        first: The first batch.
        stride: Batches from one that is read to the next.
        count: Batches that are read.
    """

    stream: int
    first: int
    stride: int
    count: int


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

    def parts(self, rank: int, ranks: int) -> list[Part]:
        """Returns what a rank reads, in order: streams of its own, then its share of the rest."""
        alone = self._alone(ranks)
        own = [Part(s, self.positions[s], 1, alone[s]) for s in range(rank, len(alone), ranks)]
        dealt, shared = 0, []
        for stream, position in enumerate(self.positions):
            first = position + alone[stream]
            skipped = (rank - dealt) % ranks  # batches that other ranks read before
            count = -(-(self.length - first - skipped) // ranks)
            shared.append(Part(stream, first + skipped, ranks, count))
            dealt += self.length - first
        return [part for part in own + shared if part.count > 0]

    def left(self, ranks: int) -> int:
        """Returns the steps that are left."""
        alone = self._alone(ranks)
        shared = len(alone) * self.length - sum(self.positions) - sum(alone)
        return sum(alone[::ranks]) + -(-shared // ranks)

    def after(self, steps: int, ranks: int) -> Streams:
        """Returns where the streams stand after some steps of all ranks."""
        alone, positions = self._alone(ranks), list(self.positions)
        for start in range(0, len(positions), ranks):
            taken = min(steps, alone[start])
            steps -= taken
            for stream in range(start, min(start + ranks, len(positions))):
                positions[stream] += taken
        shared = steps * ranks
        for stream, position in enumerate(positions):
            taken = min(shared, self.length - position)
            shared -= taken
            positions[stream] += taken
        return Streams(self.length, tuple(positions))

    def _alone(self, ranks: int) -> list[int]:
        """Returns how many batches of each stream one rank reads alone: alike for all ranks."""
        left = [self.length - position for position in self.positions]
        whole = len(left) // ranks * ranks  # streams beyond are not one for each rank
        rounds = [min(left[start : start + ranks]) for start in range(0, whole, ranks)]
        return [rounds[s // ranks] if s < whole else 0 for s in range(len(left))]
