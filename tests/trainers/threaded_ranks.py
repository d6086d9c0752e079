"""Several ranks as threads of one process, for what is gathered and added up."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import numpy as np
import tensorflow as tf

from models.communicator import Communicator

Value = TypeVar("Value")


class ThreadedRank(Communicator):
    """One of them."""

    def __init__(self, rank: int, sent: list[np.ndarray], barrier: threading.Barrier) -> None:
        self.rank, self.size = rank, len(sent)
        self._sent, self._barrier = sent, barrier

    def exchange(self, tensor: tf.Tensor) -> list[np.ndarray]:
        """Returns the tensors that the ranks give, in rank order."""
        self._sent[self.rank] = tensor.numpy()
        self._barrier.wait()
        received = list(self._sent)
        self._barrier.wait()
        return received

    def all_gather(self, tensor: tf.Tensor) -> tf.Tensor:
        return tf.constant(np.concatenate(self.exchange(tensor)))

    def all_reduce_sum(self, tensor: tf.Tensor) -> tf.Tensor:
        return tf.constant(sum(self.exchange(tensor)))


def on_ranks(ranks: int, work: Callable[[ThreadedRank], Value]) -> list[Value]:
    """Does work on each of several ranks at once. Returns what each gives."""
    sent = [np.zeros(0)] * ranks
    barrier = threading.Barrier(ranks, timeout=120)
    with ThreadPoolExecutor(ranks) as pool:
        return list(pool.map(lambda rank: work(ThreadedRank(rank, sent, barrier)), range(ranks)))
