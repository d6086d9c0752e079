"""`trainers.run`, whose rank 1 meets faults in its input.

    FAULTS=stall:22,nan:30 launch/local.sh 2 -m tests.launch.faulty_run [flags of trainers.run]

stall   the batch of that number, from 0, comes late, as from a slow disk
error   it does not come
nan     it comes, and its loss is no number
"""

from __future__ import annotations

import os
import time

import numpy as np
import tensorflow as tf
from absl import app

from data.command_line import parse_flags
from data.pipeline import Batch
from trainers.run import main
from trainers.run_batches import RunBatches
from trainers.streams import Streams

STALLED_SECONDS = 8.0

_sound = RunBatches.batches


def _of_mask(number: np.int64, mask: np.ndarray) -> np.ndarray:
    faults = os.environ["FAULTS"].split(",")
    if f"error:{number}" in faults:
        raise RuntimeError("the disk is on fire")
    if f"stall:{number}" in faults:
        time.sleep(STALLED_SECONDS)
    return mask * np.float32("nan") if f"nan:{number}" in faults else mask


def _spoilt(number: tf.Tensor, batch: Batch) -> Batch:
    mask = tf.numpy_function(_of_mask, [number, batch["mask"]], tf.float32)
    return {**batch, "mask": tf.ensure_shape(mask, batch["mask"].shape)}


def _faulty(self: RunBatches, epoch: int, streams: Streams) -> tf.data.Dataset:
    batches = _sound(self, epoch, streams)
    return batches.enumerate().map(_spoilt) if self._communicator.rank == 1 else batches


if __name__ == "__main__":
    RunBatches.batches = _faulty  # type: ignore[method-assign]
    app.run(main, flags_parser=parse_flags)
