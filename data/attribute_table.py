"""What is known of users or items as arrays by id, for models to gather from."""

from __future__ import annotations

from typing import Literal

import numpy as np

from data.blocks import Ragged
from data.dataset import PreparedDataset
from data.schema import FIRST_ID, PAD_ID, Kind

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


def read_item_titles(data: PreparedDataset) -> np.ndarray | None:
    """Reads what people call the items.

    Returns:
        Row r belongs to item id r: (cardinality,), text, empty where an item has none; None where
        the dataset has no text of items. Of several texts `title`, else the first.
    """
    if "items" not in data.schema.views:
        return None
    names = [column.name for column in data.schema.view("items").columns]
    texts = [name for name in names if data.schema.feature(name).kind is Kind.TEXT]
    if not texts:
        return None
    name = "title" if "title" in texts else texts[0]
    words = np.concatenate([np.full(FIRST_ID, ""), data.raw_ids(name).astype(np.str_)])
    stored = data.read("items", "all")
    ids, codes = stored["item"], stored[name]
    assert isinstance(ids, np.ndarray)
    assert isinstance(codes, np.ndarray)
    titles = np.full(data.schema.cardinality("item"), "", words.dtype)
    titles[ids] = words[codes]
    return titles


def _dense(values: np.ndarray | Ragged) -> np.ndarray:
    if isinstance(values, np.ndarray):
        return values
    longest = max(1, int(values.lengths.max(initial=0)))
    padded = np.full((len(values), longest), PAD_ID, values.values.dtype)
    padded[np.arange(longest) < values.lengths[:, None]] = values.values
    return padded
