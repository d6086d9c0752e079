"""The training steps of a run, as training takes them and as the benchmark times them."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from dataclasses import dataclass

import tensorflow as tf

from configs.base import TrainerConfig
from data.dataset import PreparedDataset
from data.pipeline import Batch, Transform, make_dataset
from data.reading import steps_per_epoch
from models.communicator import Communicator
from models.recommender import Recommender
from models.training_step import StepOptions, TrainingStep
from trainers.schedules import make_dense_optimizer, make_table_schedule

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
    """

    count: int
    seconds: float
    rows: float
    means: dict[str, float]
    first_bad: dict[str, int]
    is_traced: bool


class Steps:
    """Prepares a model for training and takes its steps.

    Args:
        config: How the model is trained.
        data: The prepared dataset.
        model: Freshly built.
        communicator: Other processes.

    Attributes:
        reading: How the batches are read.
        per_epoch: Steps of an epoch.
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
    ) -> None:
        self._config, self._data, self._model = config, data, model
        self._communicator = communicator
        self.reading = model.reading(config.fit_on, config.batch_size)
        self._transforms: list[Transform] = model.transforms(data, config.fit_on, True)
        self.per_epoch = steps_per_epoch(data, self.reading, communicator.size)
        self.total = self.per_epoch * config.epochs
        optimizer = make_dense_optimizer(config, self.total)
        self.table_schedule = make_table_schedule(config, self.total)
        options = StepOptions(
            table_rate=lambda: self.table_schedule(optimizer.iterations),
            communicator=communicator,
            xla=config.xla,
            parts=config.accumulate,
        )
        model.prepare_training(optimizer, options)
        self._take_steps, self._take_step = tf.function(self._steps), tf.function(self._step)
        self._names: list[str] = []
        self._calls = 0
        # One iterator for the whole run, and the epoch and batch that it stands at.
        self._batches: Iterator[Batch] = iter(())
        self._next: tuple[int, int] | None = None
        self.per_call = config.steps_per_call

    @property
    def training_step(self) -> TrainingStep:
        """What takes a single step."""
        assert self._model.training_step is not None
        return self._model.training_step

    def batches(self, epoch: int, start: int = 0) -> tf.data.Dataset:
        """Returns the batches of the run, from the one numbered `start` of an epoch to the end."""
        return make_dataset(
            self._data,
            self.reading,
            self._transforms,
            seed=self._config.seed,
            epoch=epoch,
            epochs=max(1, self._config.epochs - epoch),
            start=start,
            rank=self._communicator.rank,
            ranks=self._communicator.size,
        )

    def epoch(self, epoch: int, start: int = 0) -> Iterator[Call]:
        """Takes the steps of an epoch, from batch `start`; yields after each call."""
        if self._next != (epoch, start):
            self._batches, self._next = iter(self.batches(epoch, start)), (epoch, start)
        done = start
        while done < self.per_epoch:
            call = self._call(min(self.per_call or 1, self.per_epoch - done))
            done += call.count
            self._next = self._position(epoch, done)
            left = time.perf_counter()
            yield call
            self._choose_steps_per_call(call, time.perf_counter() - left)

    def _position(self, epoch: int, done: int) -> tuple[int, int] | None:
        """Returns the epoch and batch that come next; None where the iterator is at its end."""
        if done < self.per_epoch:
            return epoch, done
        return (epoch + 1, 0) if epoch + 1 < self._config.epochs else None

    def _call(self, count: int) -> Call:
        started = time.perf_counter()
        # A tensor, as each new Python number would be traced anew.
        values, rows, bad = (t.numpy() for t in self._take_steps(self._batches, tf.constant(count)))
        seconds = time.perf_counter() - started
        means = dict(zip(self._names, (float(v) for v in values / count), strict=True))
        first_bad = {n: int(at) for n, at in zip(self._names, bad, strict=True) if at >= 0}
        self._calls += 1
        return Call(count, seconds, float(rows), means, first_bad, self._calls > 1)

    def _choose_steps_per_call(self, call: Call, outside: float) -> None:
        """Chooses the steps of a call, where the config leaves it, by what Python costs."""
        if self.per_call or self._calls < _CALLS_BEFORE_CHOICE:
            return
        times = [tf.constant(call.seconds / call.count), tf.constant(outside)]
        # The mean of all ranks, which must come back to Python after the same steps.
        step, python = (float(t) for t in self._communicator.all_reduce_mean(times))
        count = math.ceil((python + _CALL_SECONDS) / (_PYTHON_SHARE * step))
        self.per_call = min(count, _MOST_STEPS)

    def _steps(self, batches: Iterator[Batch], count: tf.Tensor) -> tuple[tf.Tensor, ...]:
        """Takes steps. Returns sums of the logged scalars, rows, and first steps not finite."""
        values, rows = self._take_step(next(batches))
        first_bad = tf.where(tf.math.is_finite(values), -1, 0)
        for index in tf.range(1, count):
            more, more_rows = self._take_step(next(batches))
            is_first = (first_bad < 0) & ~tf.math.is_finite(more)
            first_bad = tf.where(is_first, index, first_bad)
            values, rows = values + more, rows + more_rows
        return values, rows, first_bad

    def _step(self, batch: Batch) -> tuple[tf.Tensor, tf.Tensor]:
        losses = self._model.train_step(batch)
        self._names = list(losses)
        return tf.stack(list(losses.values())), tf.reduce_sum(batch["mask"])
