"""Horovod: the only file that imports it, and only when there are ranks to talk to."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from typing import Any

import tensorflow as tf

from data.errors import InputError
from models.communicator import Communicator, Traffic
from trainers.allocator import give_back_freed_memory
from trainers.traffic import TrafficCounter, size_of

# What horovodrun, Open MPI and other MPI launchers set for every process they start.
_LAUNCHER_SIZES = ("HOROVOD_SIZE", "OMPI_COMM_WORLD_SIZE", "PMI_SIZE")
_ELASTIC = "HOROVOD_ELASTIC"


class HorovodCommunicator(Communicator):
    """Collectives over the ranks that `horovodrun` started.

    Args:
        size: Number of processes that the launcher started; 0 where that may change.
        wire_dtype: Type in which vectors of tables and gradients travel: `float32`; `float16`; or
            `bfloat16`, in which sums of dense gradients, that Horovod cannot take in it, stay
            float32.
        elastic_state: Horovod's, told of each checkpoint, where ranks may come and go.

    Raises:
        InputError: Horovod is not installed, or does not see the other processes.
    """

    def __init__(self, size: int, wire_dtype: str = "float32", elastic_state: Any = None) -> None:
        self._hvd = _horovod()
        self._hvd.init()
        self.rank = self._hvd.rank()
        self.size = self._hvd.size()
        self.local_size = self._hvd.local_size()
        self._elastic_state = elastic_state
        if size and self.size != size:
            # As under mpirun, for Horovod is built here without MPI: all would train alone.
            raise InputError(
                "Horovod must see all processes that were started",
                received=f"{self.size} of {size}",
                action=f"Start them with: launch/local.sh {size} --model=...",
            )
        self._wire = tf.as_dtype(wire_dtype)
        self._pin_device(self._hvd.local_rank())
        self._counter = TrafficCounter()

    @staticmethod
    def _pin_device(local_rank: int) -> None:
        """Gives this process the GPU of its local rank; TensorFlow would take them all."""
        gpus = tf.config.list_physical_devices("GPU")
        if gpus and len(tf.config.get_visible_devices("GPU")) == len(gpus):
            tf.config.set_visible_devices(gpus[local_rank % len(gpus)], "GPU")
            tf.config.experimental.set_memory_growth(gpus[local_rank % len(gpus)], True)

    def take_traffic(self) -> Traffic:
        """Returns what this rank has sent and waited since the last call."""
        return self._counter.take()

    def all_reduce_mean(self, tensors: Sequence[tf.Tensor]) -> list[tf.Tensor]:
        """Returns each tensor's mean over the ranks, in one fused call."""
        if self.size == 1:  # all that is left of an elastic run; Horovod would take its cycle
            return super().all_reduce_mean(tensors)
        sent = list(tensors)
        if self._wire == tf.float16:
            sent = [tf.cast(t, tf.float16) if t.dtype == tf.float32 else t for t in sent]
        means = self._counter.run(
            sent,
            self._ring(tf.add_n([size_of(tensor) for tensor in sent])),
            lambda: self._hvd.grouped_allreduce(sent, op=self._hvd.Average),
        )
        return [tf.cast(mean, tensor.dtype) for mean, tensor in zip(means, tensors, strict=True)]

    def _ring(self, size: tf.Tensor) -> tf.Tensor:
        """Returns what each rank sends of a sum of `size` bytes: every part goes round twice."""
        return size * (2 * (self.size - 1) / self.size)

    def all_reduce_sum(self, tensor: tf.Tensor) -> tf.Tensor:
        """Returns the tensor's sum over the ranks."""
        if self.size == 1:
            return super().all_reduce_sum(tensor)
        return self._counter.run(
            [tensor],
            self._ring(size_of(tensor)),
            lambda: self._hvd.allreduce(tensor, op=self._hvd.Sum),
        )

    def all_gather(self, tensor: tf.Tensor) -> tf.Tensor:
        """Returns the ranks' tensors joined along the first axis; lengths may differ."""
        if self.size == 1:
            return super().all_gather(tensor)
        known = _known(tensor)
        sent = size_of(tensor) * (self.size - 1)
        everyone = self._counter.run([known], sent, lambda: self._hvd.allgather(known))
        return _as_type(everyone, tensor.dtype)

    def all_to_all(self, tensor: tf.Tensor, splits: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Sends each rank its rows of a tensor."""
        if self.size == 1:
            return super().all_to_all(tensor, splits)
        sent = tf.cast(tensor, self._wire) if tensor.dtype == tf.float32 else tensor
        received, counts = self._exchange(_known(sent), splits)
        return tf.cast(_as_type(received, sent.dtype), tensor.dtype), counts

    def _exchange(self, tensor: tf.Tensor, splits: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        rows = tf.reduce_sum(splits)
        to_others = tf.cast(rows - splits[self.rank], tf.float64)
        of_row = size_of(tensor) / tf.cast(tf.maximum(rows, 1), tf.float64)
        return self._counter.run(
            [tensor, splits], to_others * of_row, lambda: self._hvd.alltoall(tensor, splits)
        )

    def broadcast(self, variables: Sequence[tf.Variable]) -> None:
        """Sets the variables of every rank to those of rank 0."""
        known = [variable for variable in variables if variable.dtype != tf.bfloat16]
        self._hvd.broadcast_variables(known, root_rank=0)
        for variable in variables:
            if variable.dtype == tf.bfloat16:
                packed = self._hvd.broadcast(_known(variable.read_value()), root_rank=0)
                variable.assign(_as_type(packed, variable.dtype))

    def barrier(self) -> None:
        """Waits until every rank is here."""
        self._hvd.allreduce(tf.zeros([1]), op=self._hvd.Sum, name="barrier")

    def checkpointed(self) -> None:
        """Lets ranks come that an elastic launcher has added."""
        if self._elastic_state is not None:
            self._elastic_state.commit()


def _known(tensor: tf.Tensor) -> tf.Tensor:
    """Returns a tensor; of bfloat16, which Horovod's operations do not know, its bytes, uint8."""
    return tf.bitcast(tensor, tf.uint8) if tensor.dtype == tf.bfloat16 else tensor


def _as_type(tensor: tf.Tensor, dtype: tf.DType) -> tf.Tensor:
    """Returns what `_known` was given, of its type `dtype`."""
    return tensor if tensor.dtype == dtype else tf.bitcast(tensor, dtype)


def _horovod() -> Any:
    try:
        import horovod.tensorflow as hvd
    except ImportError as error:
        raise InputError(
            "Training on several ranks needs Horovod",
            received=error,
            action=f"Build and install it: PYTHON={sys.executable} launch/build_horovod.sh",
        ) from error
    return hvd


def make_communicator(wire_dtype: str = "float32") -> Communicator:
    """Returns Horovod's communicator under `horovodrun`, else the one of a world of one.

    Args:
        wire_dtype: See `HorovodCommunicator`.

    Raises:
        InputError: Several ranks were started and Horovod is not installed or cannot join them.
    """
    size = max(int(os.environ.get(name, "1")) for name in _LAUNCHER_SIZES)
    return HorovodCommunicator(size, wire_dtype) if size > 1 else Communicator()


def with_ranks(work: Callable[[Communicator], None], wire_dtype: str = "float32") -> None:
    """Does work with the ranks that there are.

    Under an elastic launcher it is done again whenever ranks have gone or come, by those that are
    there then: `work` goes on from its newest checkpoint.

    Raises:
        InputError: See `make_communicator`.
    """
    if os.environ.get(_ELASTIC) != "1":
        work(make_communicator(wire_dtype))
        return
    hvd = _horovod()
    hvd.init()
    failed: list[tf.errors.OpError] = []

    def attempt(state: Any) -> None:
        give_back_freed_memory()  # the tables of the attempt before
        try:
            work(HorovodCommunicator(0, wire_dtype, state))
        except tf.errors.OpError as error:
            if is_lost_rank(error):
                print("A rank is gone; going on with those that are left", file=sys.stderr)
                raise hvd.elastic.HorovodInternalError(error) from error
            failed.append(error)  # Horovod drops an UnknownError, as if the work were done

    hvd.elastic.run(attempt)(_on_disk(hvd))
    if failed:
        raise failed[0]


def is_lost_rank(error: tf.errors.OpError) -> bool:
    """Returns whether a collective failed as another rank has ended, is stalled or out of reach."""
    return "Horovod" in error.message


def _on_disk(hvd: Any) -> Any:
    """Returns the state of an elastic run as Horovod asks for it: all of it is on the disk."""

    class OnDisk(hvd.elastic.ObjectState):
        def save(self) -> None:
            """Does nothing: a checkpoint was written."""

        def restore(self) -> None:
            """Does nothing: the next attempt reads the newest checkpoint."""

        def sync(self) -> None:
            """Does nothing: the next attempt shares what rank 0 reads."""

    return OnDisk(hvd.broadcast_object, hvd.rank)
