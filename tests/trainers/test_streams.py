"""Readers of an epoch that another number of ranks goes on with: each batch once."""

from __future__ import annotations

import numpy as np
import pytest

from configs.overrides import apply_overrides
from configs.registry import build_model, recipe
from data.dataset import PreparedDataset
from models.communicator import Communicator
from trainers.steps import Steps
from trainers.streams import Streams
from trainers.train_state import TrainState


def test_each_rank_reads_its_own_stream() -> None:
    streams = Streams.new(5, 3)
    assert [list(streams.of(rank, 3)) for rank in range(3)] == [[0], [1], [2]]
    assert streams.left(3) == 5
    assert streams.after(2, 3) == Streams(5, (2, 2, 2))


@pytest.mark.parametrize("ranks", [1, 2, 4, 5])
def test_another_number_of_ranks_reads_each_rest_once(ranks: int) -> None:
    streams = Streams(6, (4, 4, 4))
    read = sorted(stream for rank in range(ranks) for stream in streams.of(rank, ranks))
    assert read == [0, 1, 2]
    assert sum(streams.left_of(rank, ranks) for rank in range(ranks)) == 6
    assert streams.left(ranks) == {1: 6, 2: 4, 4: 2, 5: 2}[ranks]
    assert streams.after(streams.left(ranks), ranks) == Streams(6, (6, 6, 6))


def test_stopped_again_in_the_middle_nothing_is_lost_nor_repeated() -> None:
    two = Streams(6, (4, 4, 4)).after(3, 2)  # rank 0: stream 0 to its end, then one batch of 2
    assert two == Streams(6, (6, 6, 5))
    assert [two.left_of(rank, 2) for rank in range(2)] == [1, 0]
    assert two.left(1) == 1
    assert two.after(1, 1) == Streams(6, (6, 6, 6))


def test_rows_of_an_epoch_begun_by_three_are_read_once_by_two(
    synthetic_data: PreparedDataset,
) -> None:
    config = apply_overrides(recipe("ncf", "tiny"), ["trainer.batch_size=100", "trainer.epochs=2"])

    def steps_of(rank: int, ranks: int, state: TrainState | None = None) -> Steps:
        world = Communicator()
        world.rank, world.size = rank, ranks
        model = build_model(config, synthetic_data)
        return Steps(config.trainer, synthetic_data, model, world, state)

    def rows_of(batches: object) -> list[tuple[int, int]]:
        rows: list[tuple[int, int]] = []
        for batch in batches:  # type: ignore[attr-defined]
            real = batch["mask"].numpy() > 0
            pair = (batch[name].numpy()[real].tolist() for name in ("user", "item"))
            rows += zip(*pair, strict=True)
        return rows

    begun = steps_of(0, 3)
    rest = begun.new_streams().after(7, 3)
    seen = [row for rank in range(3) for row in rows_of(steps_of(rank, 3).batches(0).take(7))]
    state = TrainState(step=7, epoch=0, streams=rest)
    total = set()
    for rank in range(2):
        goes_on = steps_of(rank, 2, state)
        total.add(goes_on.total)
        seen += rows_of(goes_on.batches(0, rest).take(rest.left(2)))
        whole = len(list(goes_on.batches(0, rest)))
        assert whole == rest.left(2) + goes_on.per_epoch
    assert total == {7 + rest.left(2) + goes_on.per_epoch}
    stored = synthetic_data.read("rows", "train")
    expected = np.stack([stored["user"], stored["item"]], axis=1)  # type: ignore[list-item]
    assert sorted(seen) == sorted(map(tuple, expected.tolist()))
