"""What the training step asks of other processes; on one process, nothing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import tensorflow as tf


@dataclass(frozen=True)
class Traffic:
    """What a rank has sent and waited since it was last asked.

    Attributes:
        sent: Bytes sent to other ranks, of the values alone.
        seconds: Time from calling collectives to their results, that of slower ranks included.
    """

    sent: float = 0.0
    seconds: float = 0.0


class Communicator:
    """Collectives of a world of one process. `trainers.distributed` has the one for many.

    Every rank must call the same collectives in the same order.

    Attributes:
        rank: This process, from 0.
        size: Number of processes.
        local_size: Number of those on this host, this one included.
    """

    rank: int = 0
    size: int = 1
    local_size: int = 1

    def all_reduce_mean(self, tensors: Sequence[tf.Tensor]) -> list[tf.Tensor]:
        """Returns each tensor's mean over the processes."""
        return list(tensors)

    def all_reduce_sum(self, tensor: tf.Tensor) -> tf.Tensor:
        """Returns the tensor's sum over the processes."""
        return tensor

    def all_gather(self, tensor: tf.Tensor) -> tf.Tensor:
        """Returns the processes' tensors joined along the first axis, in rank order."""
        return tensor

    def all_to_all(self, tensor: tf.Tensor, splits: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Sends each process its rows of a tensor.

        Args:
            tensor: Rows for process 0, then those for process 1, and so on.
            splits: How many rows each process gets, shape (size,), int32.

        Returns:
            The rows that the processes sent to this one, in rank order, and how many each sent.
        """
        return tensor, splits

    def broadcast(self, variables: Sequence[tf.Variable]) -> None:
        """Sets the variables of every process to those of process 0."""

    def barrier(self) -> None:
        """Waits until every process is here."""

    def take_traffic(self) -> Traffic:
        """Returns what this process has sent and waited since the last call."""
        return Traffic()

    def checkpointed(self) -> None:
        """Says that a checkpoint is on the disk: the number of processes may change here."""
