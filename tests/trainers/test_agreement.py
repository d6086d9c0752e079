"""What ranks agree on when one of them has found a fault."""

from __future__ import annotations

import pytest

from data.errors import InputError
from models.communicator import Communicator
from tests.trainers.threaded_ranks import on_ranks
from trainers.agreement import OtherRankError, share_failure


@pytest.mark.parametrize(
    ("found", "told"),
    [
        ({}, {}),
        ({2: 3.0}, {2}),
        ({0: 5.0, 2: 3.0}, {2}),  # what rank 0 found follows from what rank 2 did
        ({0: 3.0, 2: 3.0}, {0, 2}),
    ],
)
def test_the_rank_with_the_first_fault_tells_of_it(found: dict[int, float], told: set[int]) -> None:
    def work(communicator: Communicator) -> Exception | None:
        at = found.get(communicator.rank)
        error = None if at is None else InputError(f"fault of rank {communicator.rank}")
        try:
            share_failure(error, communicator, at=at or 0.0)
        except (InputError, OtherRankError) as raised:
            return raised
        return None

    for rank, raised in enumerate(on_ranks(3, work)):
        if rank in told:
            assert str(raised) == f"fault of rank {rank}."
        else:
            assert isinstance(raised, OtherRankError if found else type(None))
