"""What the ranks of a run must agree on, so that none waits for another that has left."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager

import tensorflow as tf

from data.errors import InputError
from models.communicator import Communicator


class StoppedError(Exception):
    """SIGTERM came; a checkpoint was written and the same command goes on from it."""


class OtherRankError(Exception):
    """Another rank found a fault and tells of it; this one leaves without a word."""


def share_failure(error: InputError | None, communicator: Communicator, at: float = 0.0) -> None:
    """Lets every rank leave where one has found a fault.

    Args:
        error: What this rank has found; None for nothing.
        communicator: The ranks.
        at: When that was, below infinity: of several faults the others may follow from the first.

    Raises:
        InputError: `error`, on the rank that found the first, or on all that found one then.
        OtherRankError: On the others.
    """
    failures = communicator.all_reduce_sum(tf.constant(0.0 if error is None else 1.0))
    if float(failures) == 0:
        return
    mine = math.inf if error is None else at
    first = -largest(-mine, communicator)
    if error is not None and mine == first:
        raise error
    raise OtherRankError


@contextmanager
def failing_together(communicator: Communicator) -> Iterator[None]:
    """Lets every rank leave where the block has found a fault on one; see `share_failure`."""
    error = None
    try:
        yield
    except InputError as found:
        error = found
    share_failure(error, communicator)


def any_rank(flag: bool, communicator: Communicator) -> bool:
    """Returns whether the flag is set on some rank."""
    return float(communicator.all_reduce_sum(tf.constant(float(flag)))) > 0


def largest(value: float, communicator: Communicator) -> float:
    """Returns the largest of the ranks' values."""
    return float(communicator.all_gather(tf.constant([value], tf.float64)).numpy().max())


def join_texts(text: str, communicator: Communicator) -> str:
    """Returns the ranks' texts, joined in rank order, on every rank."""
    mine = text.encode()
    letters = tf.constant(list(mine), tf.uint8, shape=[len(mine)])
    return bytes(communicator.all_gather(letters).numpy()).decode()


def share_text(text: str, communicator: Communicator) -> str:
    """Returns rank 0's text on every rank."""
    return join_texts(text if communicator.rank == 0 else "", communicator)
