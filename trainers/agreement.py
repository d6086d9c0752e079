"""What the ranks of a run must agree on, so that none waits for another that has left."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import tensorflow as tf

from data.errors import InputError
from models.communicator import Communicator


class StoppedError(Exception):
    """SIGTERM came; a checkpoint was written and the same command goes on from it."""


class OtherRankError(Exception):
    """Another rank found a fault and tells of it; this one leaves without a word."""


def share_failure(error: InputError | None, communicator: Communicator) -> None:
    """Lets every rank leave where one has found a fault.

    Raises:
        InputError: `error`, on the rank that found it.
        OtherRankError: On the others.
    """
    failures = communicator.all_reduce_sum(tf.constant(0.0 if error is None else 1.0))
    if error is not None:
        raise error
    if float(failures) > 0:
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
