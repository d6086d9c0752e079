"""The ids of one vocabulary in another."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl

from data.dataset import PreparedDataset
from data.renumbering import DROPPED, renumber, renumber_all
from tests.data.spec_tables import prepare_frame


def prepared(folder: Path, items: list[str], dtype: str = "string") -> PreparedDataset:
    """Returns rows with the items, the first one most often."""
    rows = [item for n, item in enumerate(items) for _ in range(2 * (len(items) - n))]
    frame = pl.DataFrame(
        {
            "label": [n % 2 for n in range(len(rows) + 2)],
            "item": [*rows, items[0], items[0]],
            "other": [*rows, items[0], items[0]],
            "split": ["train"] * len(rows) + ["test"] * 2,
        }
    )
    features = {
        "label": {"kind": "label"},
        "item": {"kind": "item", "type": dtype},
        "other": {"kind": "categorical", "hash": 5},
    }
    return prepare_frame(frame, features, folder)


def test_ids_are_found_by_raw_id(tmp_path: Path) -> None:
    before = prepared(tmp_path / "a", ["x", "y", "z", "é"])
    now = prepared(tmp_path / "b", ["é", "new", "x", "y"])
    assert before.raw_ids("item").tolist() == ["x", "y", "z", "é"]
    found = renumber(before, now, "item")
    np.testing.assert_array_equal(found.new_of_old, [0, 1, 4, 5, DROPPED, 2])
    assert (found.kept, found.new, found.dropped) == (3, 1, 1)
    np.testing.assert_array_equal(found.old_of_new(), [0, 1, 5, 1, 2, 3])


def test_numbers_are_no_texts_that_sort_otherwise(tmp_path: Path) -> None:
    before = prepared(tmp_path / "a", ["7", "10", "9"], "int64")
    now = prepared(tmp_path / "b", ["10", "70", "7"], "int64")
    found = renumber_all(before, now)
    np.testing.assert_array_equal(found["item"].new_of_old, [0, 1, 4, 2, DROPPED])
    assert set(found) == {"item"}  # what is hashed has no vocabulary


def test_the_same_dataset_keeps_all(tmp_path: Path) -> None:
    data = prepared(tmp_path / "a", ["x", "y", "z"])
    found = renumber(data, data, "item")
    np.testing.assert_array_equal(found.new_of_old, range(5))
    assert (found.kept, found.new, found.dropped) == (3, 0, 0)
