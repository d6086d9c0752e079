"""What is known of users or items as arrays by id, for models to gather from."""

from __future__ import annotations

from typing import Literal

import numpy as np

from data.blocks import Ragged
from data.dataset import PreparedDataset
from data.schema import PAD_ID, Kind

_INPUTS = (Kind.NUMERIC, Kind.CATEGORICAL, Kind.MULTI_HOT)


def read_attributes(data: PreparedDataset, key: Literal["user", "item"]) -> dict[str, np.ndarray]:
    """Reads the attributes of users or items that a model may take as inputs.

    Args:
        data: The prepared dataset.
        key: Whose attributes.

    Returns:
        By attribute, in the view's order, an array whose row r belongs to id r: of shape
        (cardinality,), float32 for numbers and int32 for categories; of shape
        (cardinality, longest list), int32 and padded with 0 at the end, where there are several
        ids. Empty where the dataset has no attributes.
    """
    view = f"{key}s"
    if view not in data.schema.views:
        return {}
    stored = data.read(view, "all")
    ids = stored[key]
    assert isinstance(ids, np.ndarray)
    order = np.argsort(ids)  # blocks are dealt to shards in turn, and shards are read one by one
    columns = data.schema.view(view).columns
    wanted = [c.name for c in columns if data.schema.feature(c.feature).kind in _INPUTS]
    return {name: _dense(stored[name].take(order)) for name in wanted}


def _dense(values: np.ndarray | Ragged) -> np.ndarray:
    if isinstance(values, np.ndarray):
        return values
    longest = max(1, int(values.lengths.max(initial=0)))
    padded = np.full((len(values), longest), PAD_ID, values.values.dtype)
    padded[np.arange(longest) < values.lengths[:, None]] = values.values
    return padded
