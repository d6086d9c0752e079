"""The training steps of a run, as training takes them and as the benchmark times them."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from dataclasses import dataclass

import tensorflow as tf

from configs.base import TrainerConfig
from data.dataset import PreparedDataset
from data.pipeline import Batch
from models.communicator import Communicator
from models.graphs import graph_function
from models.recommender import Recommender
from models.training_step import StepOptions, TrainingStep
from trainers.run_batches import RunBatches
from trainers.schedules import make_dense_optimizer, make_table_schedule
from trainers.streams import Streams
from trainers.train_state import TrainState
from trainers.unknown_ids import UnknownIds
from trainers.waiting import wait_for_next

_PYTHON_SHARE = 0.02  # most of a run's time that may pass outside the steps
_CALL_SECONDS = 0.001  # what entering the graph and reading its results cost, about
_MOST_STEPS = 100  # of a call, so that progress, checkpoints and SIGTERM are never far
_CALLS_BEFORE_CHOICE = 3  # the first is traced and compiled


@dataclass(frozen=True)
class Call:
    """What one call into the graph did.

    Attributes:
        count: Steps taken.
        seconds: Time it took, input included.
        rows: Rows of all its batches, of this rank.
        means: Each logged scalar's mean over the steps.
        first_bad: The first step, from 0, in which a scalar was not finite, by name.
        is_traced: Whether the graph was there before; else much of the time is tracing.
        waited: Seconds of it in which the next batch was not there yet.
        outside: Seconds between the call before and this one: reports, checkpoints, validation.
        id_counts: By column of ids, how many of the first batch are out of vocabulary, and of
            how many.
    """

    count: int
    seconds: float
    rows: float
    means: dict[str, float]
    first_bad: dict[str, int]
    is_traced: bool
    waited: float
    outside: float
    id_counts: dict[str, tuple[int, int]]


class Steps:
    """Prepares a model for training and takes its steps.

    Args:
        config: How the model is trained.
        data: The prepared dataset.
        model: Freshly built.
        communicator: Other processes.
        state: Where the run goes on; by default at its beginning.

    Attributes:
        reading: How the batches are read.
        per_epoch: Steps of a whole epoch.
        total: Steps of the run.
        table_schedule: Learning rate of the tables.
        per_call: Steps of a call; 0 as long as it is not chosen.
    """

    def __init__(
        self,
        config: TrainerConfig,
        data: PreparedDataset,
        model: Recommender,
        communicator: Communicator,
        state: TrainState | None = None,
    ) -> None:
        self._config, self._model, self._communicator = config, model, communicator
        self._input = RunBatches(config, data, model, communicator)
        self.reading, self.per_epoch = self._input.reading, self._input.per_epoch
        self.total = self._steps_of_run(state or TrainState())
        optimizer = make_dense_optimizer(config, self.total)
        self.table_schedule = make_table_schedule(config, self.total)
        options = StepOptions(
            table_rate=lambda: self.table_schedule(optimizer.iterations),
            xla=config.xla,
            parts=config.accumulate,
        )
        model.prepare_training(optimizer, options)
        self._take_steps = graph_function(self._steps)
        self._take_step = graph_function(self._step)
        self._names: list[str] = []
        self._ids = UnknownIds(data.schema, model.view)
        self._calls = 0
        self._ended: float | None = None
        self._taken = state.step if state else 0
        with tf.device("cpu"):
            self._received = tf.Variable(self._taken, trainable=False, dtype=tf.int64)
        # One iterator for the whole run, and the epoch and streams that it stands at.
        self._batches: Iterator[Batch] = iter(())
        self._next: tuple[int, Streams] | None = None
        self.per_call = config.steps_per_call

    @property
    def training_step(self) -> TrainingStep:
        """What takes a single step."""
        assert self._model.training_step is not None
        return self._model.training_step

    def _steps_of_run(self, state: TrainState) -> int:
        left = self._config.epochs - state.epoch
        if state.streams is None:
            return state.step + left * self.per_epoch
        return (
            state.step
            + state.streams.left(self._communicator.size)
            + max(left - 1, 0) * (self.per_epoch)
        )

    def new_streams(self) -> Streams:
        """Returns the streams of an epoch that begins now."""
        return self._input.new_streams()

    def batches(self, epoch: int, streams: Streams | None = None) -> tf.data.Dataset:
        """Returns the batches of the run, from where an epoch's streams stand to the end."""
        return self._input.batches(epoch, streams or self.new_streams())

    def received(self) -> int:
        """Returns the steps whose batch has come; another thread than the one in a step may ask."""
        return int(self._received)

    def epoch(self, epoch: int, streams: Streams | None = None) -> Iterator[Call]:
        """Takes the steps of an epoch, from where its streams stand; yields after each call."""
        streams = streams or self.new_streams()
        if self._next != (epoch, streams):
            self._batches = iter(self.batches(epoch, streams))
        left = streams.left(self._communicator.size)
        while left:
            call = self._call(min(self.per_call or 1, left, self._to_checkpoint()))
            left -= call.count
            streams = streams.after(call.count, self._communicator.size)
            self._next = self._position(epoch, streams, left)
            began = time.perf_counter()
            yield call
            self._choose_steps_per_call(call, time.perf_counter() - began)

    def _to_checkpoint(self) -> int:
        """Returns the steps until one that is to be saved, at which a call must end."""
        every = self._config.checkpoint_steps
        return every - self._taken % every if every else self.total

    def _position(self, epoch: int, streams: Streams, left: int) -> tuple[int, Streams] | None:
        """Returns where the iterator stands; None at its end."""
        if left:
            return epoch, streams
        return (epoch + 1, self.new_streams()) if epoch + 1 < self._config.epochs else None

    def _call(self, count: int) -> Call:
        started = time.perf_counter()
        # A tensor, as each new Python number would be traced anew.
        found = self._take_steps(self._batches, tf.constant(count))
        values, rows, bad, waited, id_counts = (tensor.numpy() for tensor in found)
        ended = time.perf_counter()
        outside = started - (self._ended or started)
        self._ended = ended
        means = dict(zip(self._names, (float(v) for v in values / count), strict=True))
        first_bad = {n: int(at) for n, at in zip(self._names, bad, strict=True) if at >= 0}
        self._calls += 1
        self._taken += count
        return Call(
            count=count,
            seconds=ended - started,
            rows=float(rows),
            means=means,
            first_bad=first_bad,
            is_traced=self._calls > 1,
            waited=float(waited),
            outside=outside,
            id_counts=dict(zip(self._ids.columns, map(tuple, id_counts.tolist()), strict=True)),
        )

    def _choose_steps_per_call(self, call: Call, outside: float) -> None:
        """Chooses the steps of a call, where the config leaves it, by what Python costs."""
        if self.per_call or self._calls < _CALLS_BEFORE_CHOICE:
            return
        times = [tf.constant(call.seconds / call.count), tf.constant(outside)]
        # The mean of all ranks, which must come back to Python after the same steps.
        step, python = (float(t) for t in self._communicator.all_reduce_mean(times))
        count = math.ceil((python + _CALL_SECONDS) / (_PYTHON_SHARE * step))
        self.per_call = min(count, _MOST_STEPS)

    def _steps(self, batches: tf.data.Iterator, count: tf.Tensor) -> tuple[tf.Tensor, ...]:
        """Takes steps.

        Returns:
            Sums of the logged scalars, rows, first steps not finite, seconds of waiting for
            batches, and the counts of unknown ids of the first batch.
        """
        batch, waited = wait_for_next(batches, [], self._received)
        id_counts = self._ids.counts(batch)
        values, rows = self._take_step(batch)
        first_bad = tf.where(tf.math.is_finite(values), -1, 0)

        def one_more(index: tf.Tensor, *so_far: tf.Tensor) -> tuple[tf.Tensor, ...]:
            values, rows, first_bad, waited = so_far
            batch, more_waited = wait_for_next(batches, [values], self._received)
            more, more_rows = self._take_step(batch)
            is_first = (first_bad < 0) & ~tf.math.is_finite(more)
            first_bad = tf.where(is_first, index, first_bad)
            return index + 1, values + more, rows + more_rows, first_bad, waited + more_waited

        start = (tf.constant(1), values, rows, first_bad, waited)
        _, *found = tf.while_loop(lambda index, *_: index < count, one_more, start)
        return (*found, id_counts)

    def _step(self, batch: Batch) -> tuple[tf.Tensor, tf.Tensor]:
        losses = self._model.train_step(batch)
        self._names = list(losses)
        return tf.stack(list(losses.values())), tf.reduce_sum(batch["mask"])
