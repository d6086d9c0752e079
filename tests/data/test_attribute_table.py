"""Attributes as arrays by id, in the order of ids whatever the shards."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl

from data.assemble import PrepareOptions
from data.attribute_table import read_attributes, read_item_titles
from data.interactions import Interactions
from data.splits import SplitOptions
from tests.data.reading import prepared

ITEMS = 10_000  # three blocks, which lie in three shards


def source() -> Interactions:
    rng = np.random.default_rng(0)
    items = rng.permutation(ITEMS)
    events = pl.DataFrame({"user": np.arange(ITEMS + 1) % 7, "item": [*items, 5], "time": 0})
    table = pl.DataFrame(
        {
            "item": items,
            "price": pl.Series(items / 2, dtype=pl.Float32),
            "colour": [f"c{item % 5}" for item in items],
            "tags": [[f"t{n}" for n in range(item % 4)] for item in items],
            "title": [f"title {item}" for item in items],
        }
    )
    return Interactions("t", events, items=table, text_attributes=frozenset({"title"}))


def test_arrays_are_indexed_by_id(tmp_path: Path) -> None:
    split = SplitOptions("random", 0, 0.001)
    data = prepared(source(), tmp_path / "out", PrepareOptions(split=split, negatives=1))
    assert len(data.split("items", "all").shards) == 3
    found = read_attributes(data, "item")
    assert list(found) == ["price", "colour", "tags"]
    cardinality = data.schema.cardinality("item")
    assert [values.shape for values in found.values()] == [
        (cardinality,),
        (cardinality,),
        (cardinality, 3),
    ]
    assert [values.dtype for values in found.values()] == [np.float32, np.int32, np.int32]
    raw = data.raw_ids("item")
    np.testing.assert_array_equal(found["price"][2:], raw / 2)
    assert set(found["price"][:2]) == {np.float32(data.schema.feature("price").default)}
    colours = data.raw_ids("colour")[found["colour"][2:] - 2]
    assert colours.tolist() == [f"c{item % 5}" for item in raw]
    assert found["colour"][:2].tolist() == [1, 1]
    tags = [None, None, *data.raw_ids("tags")]
    for item, row in zip(raw[:50], found["tags"][2:52], strict=True):
        count = item % 4
        assert [tags[i] for i in row[:count]] == [f"t{n}" for n in range(count)]
        assert not row[count:].any()
    assert not found["tags"][:2].any()
    titles = read_item_titles(data)
    assert titles is not None
    assert titles.tolist() == ["", "", *(f"title {item}" for item in raw)]


def test_no_attributes(tmp_path: Path) -> None:
    events = pl.DataFrame({"user": [1, 1, 1], "item": [1, 2, 3], "time": [1, 2, 3]})
    data = prepared(Interactions("bare", events), tmp_path / "out")
    assert read_attributes(data, "user") == read_attributes(data, "item") == {}
    assert read_item_titles(data) is None


def test_lists_that_are_all_empty(tmp_path: Path) -> None:
    events = pl.DataFrame({"user": [1, 1, 1], "item": [1, 2, 3], "time": [1, 2, 3]})
    tags = pl.Series([[], []], dtype=pl.List(pl.String))
    source = Interactions("bare", events, items=pl.DataFrame({"item": [1, 2], "tags": tags}))
    found = read_attributes(prepared(source, tmp_path / "out"), "item")
    assert found["tags"].tolist() == [[0]] * 3
