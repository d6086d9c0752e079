"""Weights on disk: one checkpoint for training and for serving, whatever the number of ranks."""

from __future__ import annotations

from pathlib import Path

import tensorflow as tf

from data.errors import InputError
from models.recommender import Recommender
from models.table_files import read_tables, write_tables

TABLES = "tables"
_PREFIX = "weights"


def save_weights(model: Recommender, folder: Path) -> None:
    """Writes tables, dense weights and, where present, optimizer slots into `folder`.

    Every rank calls this for the same folder, and writes the rows of sharded tables that it holds.
    """
    write_tables(model.tables, folder / TABLES)
    if model.tables.communicator.rank == 0:
        with model.tables.kept_apart():
            tf.train.Checkpoint(model=model).write(str(folder / _PREFIX))


def load_weights(model: Recommender, folder: Path) -> None:
    """Restores what the model holds: with optimizer slots if it is prepared for training.

    Raises:
        InputError: The checkpoint belongs to another model, or cannot be read.
    """
    load_dense(model, folder)
    read_tables(model.tables, folder / TABLES)


def load_dense(model: Recommender, folder: Path) -> None:
    """Restores all but the embedding tables; see `load_weights`."""
    try:
        with model.tables.kept_apart():
            status = tf.train.Checkpoint(model=model).read(str(folder / _PREFIX))
            status.assert_existing_objects_matched()
            status.expect_partial()
    except (AssertionError, ValueError, tf.errors.OpError) as error:
        raise InputError(
            "The checkpoint must hold this model's weights",
            received=str(error).splitlines()[0],
            where=folder,
            action="Use the config and the dataset that the run was trained with",
        ) from error
