"""Reads prepared data back in raw ids, for tests."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from data.assemble import PrepareOptions, prepare
from data.blocks import Ragged
from data.dataset import PreparedDataset
from data.interactions import Interactions


def prepared(
    interactions: Interactions, folder: Path, options: PrepareOptions | None = None
) -> PreparedDataset:
    """Prepares and opens."""
    prepare(interactions, options or PrepareOptions(), folder)
    return PreparedDataset(folder)


def raw(data: PreparedDataset, feature: str, ids: np.ndarray) -> list[Any]:
    """Returns raw ids: None for padding, "?" for out-of-vocabulary."""
    names = [None, "?", *data.raw_ids(feature).tolist()]
    return [names[i] for i in ids]


def raw_lists(data: PreparedDataset, split: str, column: str) -> dict[Any, list[Any]]:
    """Returns a ragged column of items of the view `histories`, by raw user id."""
    histories = data.read("histories", split)
    users, items = histories["user"], histories[column]
    assert isinstance(users, np.ndarray)
    assert isinstance(items, Ragged)
    parts = np.split(items.values, items.offsets()[1:-1])
    lists = [raw(data, "item", part) for part in parts]
    return dict(zip(raw(data, "user", users), lists, strict=True))


def attributes(data: PreparedDataset, key: str, name: str) -> dict[Any, Any]:
    """Returns one attribute of the view `users` or `items`, by raw id."""
    column = data.read(f"{key}s", "all")[name]
    owners = data.raw_ids(key).tolist()
    if isinstance(column, Ragged):
        parts = np.split(column.values, column.offsets()[1:-1])[2:]
        return dict(zip(owners, [raw(data, name, part) for part in parts], strict=True))
    return dict(zip(owners, raw(data, name, column[2:]), strict=True))
