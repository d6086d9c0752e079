"""The batches that a rank trains on, from wherever a run stands to its end."""

from __future__ import annotations

import functools

import tensorflow as tf

from configs.base import TrainerConfig
from data.dataset import PreparedDataset
from data.pipeline import Transform, empty_like, make_dataset
from data.reading import steps_per_epoch
from models.communicator import Communicator
from models.recommender import Recommender
from trainers.device_input import computing_device, copied_ahead
from trainers.streams import Streams


class RunBatches:
    """Reads them.

    Args:
        config: How the model is trained.
        data: The prepared dataset.
        model: The model.
        communicator: Other processes.

    Attributes:
        reading: How the batches are read.
        per_epoch: Steps of a whole epoch.
    """

    def __init__(
        self,
        config: TrainerConfig,
        data: PreparedDataset,
        model: Recommender,
        communicator: Communicator,
    ) -> None:
        self._config, self._data, self._communicator = config, data, communicator
        self.reading = model.reading(config.fit_on, config.batch_size)
        self._transforms: list[Transform] = model.transforms(data, config.fit_on, True)
        self.per_epoch = steps_per_epoch(data, self.reading, communicator.size)

    def new_streams(self) -> Streams:
        """Returns the streams of an epoch that begins now."""
        return Streams.new(self.per_epoch, self._communicator.size)

    def batches(self, epoch: int, streams: Streams) -> tf.data.Dataset:
        """Returns the batches of the run, from where an epoch's streams stand to the end."""
        return copied_ahead(self._host_batches(epoch, streams), computing_device())

    def _host_batches(self, epoch: int, streams: Streams) -> tf.data.Dataset:
        rank, size = self._communicator.rank, self._communicator.size
        left = max(1, self._config.epochs - epoch)
        if streams == Streams(streams.length, (streams.positions[0],) * size):
            return self._read(epoch, rank, size, start=streams.positions[0], epochs=left)
        batches = self._rest(epoch, streams)
        if left > 1:
            batches = batches.concatenate(self._read(epoch + 1, rank, size, epochs=left - 1))
        return batches

    def _read(self, epoch: int, rank: int, ranks: int, **which: int) -> tf.data.Dataset:
        data, reading, seed = self._data, self.reading, self._config.seed
        where = {"seed": seed, "epoch": epoch, "rank": rank, "ranks": ranks, **which}
        return make_dataset(data, reading, self._transforms, **where)

    def _rest(self, epoch: int, streams: Streams) -> tf.data.Dataset:
        """Returns the rest of an epoch that another number of ranks began, or went on with."""
        rank, size, ranks = self._communicator.rank, self._communicator.size, len(streams.positions)
        parts = [
            self._read(epoch, p.stream, ranks, start=p.first, stride=p.stride).take(p.count)
            for p in streams.parts(rank, size)
        ]
        # A batch of rows that count for nothing, for all ranks take the same number of steps.
        nothing = self._read(epoch, 0, ranks).take(1).map(empty_like).repeat()
        return functools.reduce(tf.data.Dataset.concatenate, [*parts, nothing]).take(
            streams.left(size)
        )
