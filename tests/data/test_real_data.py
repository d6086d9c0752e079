"""The real datasets, where they are present: counts as their README states them."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import numpy as np

from data.assemble import PrepareOptions
from data.blocks import Ragged
from data.dataset import PreparedDataset
from data.sources import movielens, ncf_authors
from data.splits import SplitOptions
from tests.data.reading import attributes, prepared

RealData = Callable[[str], Path]


def stated(folder: Path) -> tuple[list[int], list[int], list[int]]:
    """Returns the numbers that the README states of a dataset: rows, users, items."""
    readme = (folder.parent / "README.md").read_text(encoding="utf-8")
    (line,) = (text for text in readme.splitlines() if text.startswith(f"| `{folder.name}/`"))
    rows, users, items = (
        [int(number.replace(",", "")) for number in re.findall(r"\d[\d,]*", cell)]
        for cell in line.split("|")[3:6]
    )
    return rows, users, items


def split_rows(data: PreparedDataset) -> list[int]:
    return [data.split("rows", split).rows for split in ("train", "validation", "test")]


def test_movielens_1m(real_data: RealData, tmp_path: Path) -> None:
    folder = real_data("ml-1m")
    (rows,), (users,), (rated, listed) = stated(folder)
    source = movielens.load(movielens.MovieLensOptions("movielens_1m", folder))
    assert source.events["item"].n_unique() == rated
    assert source.items is not None
    assert len(source.items) == listed
    data = prepared(source, tmp_path / "out")
    assert split_rows(data) == [rows - 2 * users, users, users]
    assert len(data.raw_ids("user")) == users
    assert rated - 100 < len(data.raw_ids("item")) <= rated
    assert attributes(data, "user", "age")[1] == 1
    assert attributes(data, "user", "occupation")[2] == 16
    assert attributes(data, "item", "genres")[1] == ["Animation", "Children's", "Comedy"]


def test_ncf_split(real_data: RealData, tmp_path: Path) -> None:
    folder = real_data("ncf-ml-1m")
    (train, test), (users,), (items,) = stated(folder)
    source = ncf_authors.load(ncf_authors.NcfOptions(folder))
    assert source.events["item"].n_unique() == items
    data = prepared(source, tmp_path / "out", PrepareOptions(split=SplitOptions("given")))
    assert split_rows(data) == [train - users, users, test]
    assert len(data.raw_ids("user")) == users
    negatives = data.read("histories", "test")["negative_item"]
    assert isinstance(negatives, Ragged)
    # 156 users have the held-out item among their 99 negatives.
    lengths, counts = np.unique(negatives.lengths, return_counts=True)
    assert dict(zip(lengths.tolist(), counts.tolist(), strict=True)) == {98: 156, 99: users - 156}


def test_movielens_100k(real_data: RealData, tmp_path: Path) -> None:
    folder = real_data("ml-100k")
    (rows,), (users,), (items,) = stated(folder)
    source = movielens.load(movielens.MovieLensOptions("movielens_100k", folder))
    assert source.events["item"].n_unique() == items
    data = prepared(source, tmp_path / "out")
    assert split_rows(data) == [rows - 2 * users, users, users]
    assert attributes(data, "user", "occupation")[1] == "technician"
    assert attributes(data, "user", "age")[1] == 18
    assert attributes(data, "item", "year")[1] == 1995
