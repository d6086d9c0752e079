"""Weights on disk: one checkpoint for training and for serving, whatever the number of ranks."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

import tensorflow as tf

from data.atomic import write_text
from data.errors import InputError
from models.checksums import checksum_of, write_checksums
from models.recommender import Recommender
from models.table_files import read_tables, write_tables

TABLES = "tables"
_PREFIX = "weights"


def save_weights(
    model: Recommender, folder: Path, texts: Mapping[str, str] = MappingProxyType({})
) -> None:
    """Writes tables, dense weights and, where present, optimizer slots into `folder`.

    Every rank calls this for the same folder, and writes the rows of sharded tables that it holds.
    Checksums of all files are written beside them.

    Args:
        model: The model.
        folder: An empty folder.
        texts: Small files that belong to them, by name; rank 0 writes them.

    Raises:
        OSError, tf.errors.OpError: They cannot be written, as on a full disk.
    """
    communicator = model.tables.communicator
    tables = write_tables(model.tables, folder / TABLES)
    written = {f"{TABLES}/{path}": checksum for path, checksum in tables.items()}
    if communicator.rank == 0:
        with model.tables.kept_apart():
            tf.train.Checkpoint(model=model).write(str(folder / _PREFIX))
        for name, text in texts.items():
            write_text(folder / name, text)
        names = [*texts, *(path.name for path in folder.glob(f"{_PREFIX}.*"))]
        written.update({name: checksum_of(folder / name) for name in names})
    write_checksums(folder, written, communicator.rank, communicator.size)


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
