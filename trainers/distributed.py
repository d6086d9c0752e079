"""Horovod: the only file that imports it, and only when there are ranks to talk to."""

from __future__ import annotations

import os
from collections.abc import Sequence

import tensorflow as tf

from data.errors import InputError
from models.communicator import Communicator

# What horovodrun, Open MPI and other MPI launchers set for every process they start.
_LAUNCHER_SIZES = ("HOROVOD_SIZE", "OMPI_COMM_WORLD_SIZE", "PMI_SIZE")


class HorovodCommunicator(Communicator):
    """Collectives over the ranks that `horovodrun` started.

    Args:
        size: Number of processes that the launcher started.
        wire_dtype: Type in which vectors of tables and gradients travel: `float32`; `float16`; or
            `bfloat16`, in which sums of dense gradients, that Horovod cannot take in it, stay
            float32.

    Raises:
        InputError: Horovod is not installed, or does not see the other processes.
    """

    def __init__(self, size: int, wire_dtype: str = "float32") -> None:
        try:
            import horovod.tensorflow as hvd
        except ImportError as error:
            raise InputError(
                "Training on several ranks needs Horovod",
                received=error,
                action="Build and install it: PYTHON=$(which python) launch/build_horovod.sh",
            ) from error
        hvd.init()
        self._hvd = hvd
        self.rank = hvd.rank()
        self.size = hvd.size()
        if self.size != size:
            # As under mpirun, for Horovod is built here without MPI: all would train alone.
            raise InputError(
                "Horovod must see all processes that were started",
                received=f"{self.size} of {size}",
                action=f"Start them with: horovodrun -np {size} --gloo python -m trainers.run ...",
            )
        self._wire = tf.as_dtype(wire_dtype)
        self._pin_device(hvd.local_rank())

    @staticmethod
    def _pin_device(local_rank: int) -> None:
        """Gives this process the GPU of its local rank; TensorFlow would take them all."""
        gpus = tf.config.list_physical_devices("GPU")
        if gpus:
            tf.config.set_visible_devices(gpus[local_rank % len(gpus)], "GPU")
            tf.config.experimental.set_memory_growth(gpus[local_rank % len(gpus)], True)

    def all_reduce_mean(self, tensors: Sequence[tf.Tensor]) -> list[tf.Tensor]:
        """Returns each tensor's mean over the ranks, in one fused call."""
        sent = list(tensors)
        if self._wire == tf.float16:
            sent = [tf.cast(t, tf.float16) if t.dtype == tf.float32 else t for t in sent]
        means = self._hvd.grouped_allreduce(sent, op=self._hvd.Average)
        return [tf.cast(mean, tensor.dtype) for mean, tensor in zip(means, tensors, strict=True)]

    def all_reduce_sum(self, tensor: tf.Tensor) -> tf.Tensor:
        """Returns the tensor's sum over the ranks."""
        return self._hvd.allreduce(tensor, op=self._hvd.Sum)

    def all_gather(self, tensor: tf.Tensor) -> tf.Tensor:
        """Returns the ranks' tensors joined along the first axis; lengths may differ."""
        return self._hvd.allgather(tensor)

    def all_to_all(self, tensor: tf.Tensor, splits: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Sends each rank its rows of a tensor."""
        if tensor.dtype != tf.float32 or self._wire == tf.float32:
            return self._hvd.alltoall(tensor, splits)
        # As bytes, for Horovod's operations know no bfloat16.
        packed = tf.bitcast(tf.cast(tensor, self._wire), tf.uint8)
        received, counts = self._hvd.alltoall(packed, splits)
        return tf.cast(tf.bitcast(received, self._wire), tf.float32), counts

    def broadcast(self, variables: Sequence[tf.Variable]) -> None:
        """Sets the variables of every rank to those of rank 0."""
        self._hvd.broadcast_variables(list(variables), root_rank=0)

    def barrier(self) -> None:
        """Waits until every rank is here."""
        self._hvd.allreduce(tf.zeros([1]), op=self._hvd.Sum, name="barrier")


def make_communicator(wire_dtype: str = "float32") -> Communicator:
    """Returns Horovod's communicator under `horovodrun`, else the one of a world of one.

    Args:
        wire_dtype: See `HorovodCommunicator`.

    Raises:
        InputError: Several ranks were started and Horovod is not installed or cannot join them.
    """
    size = max(int(os.environ.get(name, "1")) for name in _LAUNCHER_SIZES)
    return HorovodCommunicator(size, wire_dtype) if size > 1 else Communicator()
