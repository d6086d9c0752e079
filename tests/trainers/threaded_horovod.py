"""Horovod's operations between ranks that are threads, in the types that they are given."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence

import numpy as np
import pytest
import tensorflow as tf

from tests.trainers.threaded_ranks import ThreadedRank, Value, on_ranks
from trainers.distributed import HorovodCommunicator


class ThreadedHorovod:
    """What `HorovodCommunicator` calls."""

    Average, Sum = "average", "sum"

    def __init__(self, rank: ThreadedRank) -> None:
        self._rank = rank
        self.init = lambda: None
        self.rank = self.local_rank = lambda: rank.rank
        self.size = self.local_size = lambda: rank.size

    def allreduce(self, tensor: tf.Tensor, op: str, name: str = "") -> tf.Tensor:
        del name
        received = self._rank.exchange(tensor)
        with np.errstate(over="ignore"):  # to infinity, as Horovod's sums do
            total = sum(received[1:], received[0])
        mean = (total / len(received)).astype(total.dtype)
        return tf.constant(mean if op == self.Average else total)

    def grouped_allreduce(self, tensors: Sequence[tf.Tensor], op: str) -> list[tf.Tensor]:
        return [self.allreduce(tensor, op) for tensor in tensors]

    def allgather(self, tensor: tf.Tensor) -> tf.Tensor:
        return tf.constant(np.concatenate(self._rank.exchange(tensor)))

    def alltoall(self, tensor: tf.Tensor, splits: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        mine = self._rank.rank
        pairs = zip(self._rank.exchange(tensor), self._rank.exchange(splits), strict=True)
        parts = [np.split(rows, np.cumsum(counts)[:-1])[mine] for rows, counts in pairs]
        counts = tf.constant([len(part) for part in parts], tf.int32)
        return tf.constant(np.concatenate(parts)), counts


def on_horovod(
    ranks: int,
    wire_dtype: str,
    work: Callable[[HorovodCommunicator], Value],
    monkeypatch: pytest.MonkeyPatch,
) -> list[Value]:
    """Does work on each of several ranks at once. Returns what each gives."""
    of_thread = threading.local()
    monkeypatch.setattr("trainers.distributed._horovod", lambda: of_thread.horovod)

    def joined(rank: ThreadedRank) -> Value:
        of_thread.horovod = ThreadedHorovod(rank)
        return work(HorovodCommunicator(ranks, wire_dtype))

    return on_ranks(ranks, joined)
