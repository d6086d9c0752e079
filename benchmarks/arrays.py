"""Training rows of a prepared dataset as plain arrays, which the peers start from.

So they train on the same rows, ids and normalised numbers as our own models.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import tensorflow as tf

import models  # noqa: F401  Keras 2 must be chosen before tf.keras is touched.
from data.atomic import atomic_folder
from data.blocks import Ragged
from data.dataset import PreparedDataset
from data.feature import LABEL, Kind
from models.numeric import normalise

Sizes = dict[str, object]


def write_arrays(folder: Path, out: Path) -> tuple[str, Sizes]:
    """Writes the training rows of a dataset, unless they are there.

    Args:
        folder: The prepared dataset.
        out: Where one folder for each kind is written.

    Returns:
        `clicks` or `interactions`, what the rows are, and the numbers of ids that a model needs.
    """
    data = PreparedDataset(folder)
    if LABEL in {column.name for column in data.schema.view("rows").columns}:
        names = [f.name for f in data.schema.features if f.kind is Kind.CATEGORICAL]
        if not (out / "clicks").is_dir():
            _save(out / "clicks", _clicks(data, names))
        return "clicks", {"cardinalities": [data.schema.cardinality(name) for name in names]}
    if not (out / "interactions").is_dir():
        _save(out / "interactions", _interactions(data))
        _save(out / "histories", _histories(data))
    return "interactions", {f"{n}s": data.schema.cardinality(n) for n in ("user", "item")}


def _save(folder: Path, arrays: dict[str, np.ndarray]) -> None:
    with atomic_folder(folder) as partial:
        for name, values in arrays.items():
            np.save(partial / f"{name}.npy", values)


def _clicks(data: PreparedDataset, names: list[str]) -> dict[str, np.ndarray]:
    rows = data.read("rows", "train")
    numeric = [f for f in data.schema.features if f.kind is Kind.NUMERIC]
    raw = np.stack([np.asarray(rows[f.name]) for f in numeric], axis=1)
    return {
        "numbers": normalise(tf.constant(raw), numeric, "standardise").numpy(),
        "ids": np.stack([np.asarray(rows[n], np.int32) for n in names], axis=1),
        "labels": np.asarray(rows[LABEL], np.float32),
    }


def _interactions(data: PreparedDataset) -> dict[str, np.ndarray]:
    rows = data.read("rows", "train")
    return {f"{n}s": np.asarray(rows[n], np.int32) for n in ("user", "item")}


def _histories(data: PreparedDataset) -> dict[str, np.ndarray]:
    items = data.read("histories", "train")["item"]
    assert isinstance(items, Ragged)
    return {
        "history_items": items.values.astype(np.int32),
        "history_offsets": items.offsets(),
    }
