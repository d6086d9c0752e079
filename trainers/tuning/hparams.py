"""A trial's settings in TensorBoard's HParams tab."""

from __future__ import annotations

from pathlib import Path

import tensorflow as tf
from tensorboard.plugins.hparams import api


def write_hparams(folder: Path, values: dict[str, float | str]) -> None:
    """Writes the searched values of a run, by path; its metrics are the scalars beside them."""
    with tf.summary.create_file_writer(str(folder)).as_default():
        api.hparams(values, trial_id=folder.name)
