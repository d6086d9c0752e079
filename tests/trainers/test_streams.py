"""Readers of an epoch that another number of ranks goes on with: each batch once."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import pytest

from configs.overrides import apply_overrides
from configs.registry import build_model, recipe
from data.dataset import PreparedDataset
from data.pipeline import Batch
from models.communicator import Communicator
from trainers.steps import Steps
from trainers.streams import Part, Streams
from trainers.train_state import TrainState


def batches_of(streams: Streams, rank: int, ranks: int) -> list[tuple[int, int]]:
    """Returns what a rank reads, in order: numbers of streams and of batches."""
    parts = streams.parts(rank, ranks)
    return [(p.stream, p.first + p.stride * n) for p in parts for n in range(p.count)]


def test_each_rank_reads_its_own_stream() -> None:
    streams = Streams.new(5, 3)
    assert [streams.parts(rank, 3) for rank in range(3)] == [[Part(r, 0, 1, 5)] for r in range(3)]
    assert streams.left(3) == 5
    assert streams.after(2, 3) == Streams(5, (2, 2, 2))


@pytest.mark.parametrize(("ranks", "steps"), [(1, 6), (2, 3), (4, 2), (5, 2)])
def test_another_number_of_ranks_reads_each_rest_once(ranks: int, steps: int) -> None:
    streams = Streams(6, (4, 4, 4))
    read = sorted(batch for rank in range(ranks) for batch in batches_of(streams, rank, ranks))
    assert read == [(stream, batch) for stream in range(3) for batch in (4, 5)]
    assert streams.left(ranks) == steps
    assert streams.after(steps, ranks) == Streams(6, (6, 6, 6))


def test_one_rank_less_shares_the_stream_that_is_left_over() -> None:
    streams = Streams(100, (20,) * 8)
    assert streams.left(7) == 80 + 12  # not 80 + 80
    assert streams.parts(5, 7) == [Part(5, 20, 1, 80), Part(7, 25, 7, 11)]


@pytest.mark.parametrize(
    "positions", [(0, 0, 0), (5, 5, 2), (3, 0, 6, 1), (4,), (7, 7), (2, 2, 2, 2, 2, 1, 0)]
)
@pytest.mark.parametrize("ranks", [1, 2, 3, 4, 6, 9])
def test_stopped_at_any_step_nothing_is_lost_repeated_or_reordered(
    positions: tuple[int, ...], ranks: int
) -> None:
    begun = Streams(7, positions)
    read = [batches_of(begun, rank, ranks) for rank in range(ranks)]
    total = sum(7 - position for position in positions)
    assert begun.left(ranks) == -(-total // ranks)
    assert max(map(len, read)) - min(map(len, read)) <= 1  # none is idle but in the last step
    for steps in range(begun.left(ranks) + 1):
        stopped = begun.after(steps, ranks)
        pairs = enumerate(zip(positions, stopped.positions, strict=True))
        expected = [(stream, n) for stream, (was, now) in pairs for n in range(was, now)]
        assert sorted(batch for mine in read for batch in mine[:steps]) == expected
        assert [batches_of(stopped, r, ranks) for r in range(ranks)] == [m[steps:] for m in read]


def test_rows_of_an_epoch_are_read_once_by_three_then_two_then_three(
    synthetic_data: PreparedDataset,
) -> None:
    config = apply_overrides(recipe("ncf", "tiny"), ["trainer.batch_size=300", "trainer.epochs=2"])

    def steps_of(rank: int, ranks: int, state: TrainState | None = None) -> Steps:
        world = Communicator()
        world.rank, world.size = rank, ranks
        model = build_model(config, synthetic_data)
        return Steps(config.trainer, synthetic_data, model, world, state)

    def rows_of(batches: Iterable[Batch]) -> list[tuple[int, int]]:
        rows: list[tuple[int, int]] = []
        for batch in batches:
            real = batch["mask"].numpy() > 0
            pair = (batch[name].numpy()[real].tolist() for name in ("user", "item"))
            rows += zip(*pair, strict=True)
        return rows

    def read_on(streams: Streams, ranks: int, steps: int, taken: int) -> list[tuple[int, int]]:
        """Returns the rows of some steps of all ranks."""
        state = TrainState(step=taken, epoch=0, streams=streams)
        rows: list[tuple[int, int]] = []
        for rank in range(ranks):
            goes_on = steps_of(rank, ranks, state)
            assert goes_on.total == taken + streams.left(ranks) + goes_on.per_epoch
            batches = goes_on.batches(0, streams)
            if steps == streams.left(ranks):
                assert len(list(batches)) == steps + goes_on.per_epoch
            rows += rows_of(batches.take(steps))
        return rows

    begun = steps_of(0, 3).new_streams()
    seen = read_on(begun, 3, 5, 0)
    of_two = begun.after(5, 3)
    seen += read_on(of_two, 2, 4, 5)
    uneven = of_two.after(4, 2)
    assert len(set(uneven.positions)) > 1
    seen += read_on(uneven, 3, uneven.left(3), 9)
    stored = synthetic_data.read("rows", "train")
    expected = np.stack([stored["user"], stored["item"]], axis=1)  # type: ignore[list-item]
    assert sorted(seen) == sorted(map(tuple, expected.tolist()))
