"""The real datasets, where they are present: counts as their README states them."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import polars as pl

from data.assemble import PrepareOptions
from data.blocks import Ragged
from data.dataset import PreparedDataset
from data.filters import FilterOptions
from data.sources import lightgcn, movielens, ncf_authors
from data.splits import SplitOptions
from tests.data.reading import attributes, prepared
from tests.data.spec_tables import prepare_shipped

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


def test_clicks_of_movielens_1m(real_data: RealData, tmp_path: Path) -> None:
    source = movielens.load(movielens.MovieLensOptions("movielens_1m", real_data("ml-1m")))
    options = PrepareOptions(FilterOptions(label_threshold=3), SplitOptions("random", 0.1, 0.1))
    data = prepared(source, tmp_path / "out", options)
    assert split_rows(data) == [591_210, 73_901, 73_901]  # 739,012 together, as AutoInt has them


def test_strong_generalisation_on_movielens_1m(real_data: RealData, tmp_path: Path) -> None:
    source = movielens.load(movielens.MovieLensOptions("movielens_1m", real_data("ml-1m")))
    rated_high = source.events.filter(source.events["rating"] >= 4)
    left = rated_high.filter(rated_high["user"].is_in(_users_with(rated_high, 5)))
    options = PrepareOptions(
        FilterOptions(min_rating=4, min_user_interactions=5), SplitOptions("held_out_users")
    )
    data = prepared(source, tmp_path / "out", options)
    users = left["user"].n_unique()
    assert len(data.raw_ids("user")) == users - 1000
    assert [data.split("histories", s).rows for s in ("validation", "test")] == [500, 500]
    fold_in = data.schema.facts["preparation"]["fold_in_interactions"]
    assert sum(split_rows(data)) + fold_in == len(left)


def _users_with(events: pl.DataFrame, least: int) -> list[int]:
    counts = events["user"].value_counts()
    return counts.filter(counts["count"] >= least)["user"].to_list()


def test_gowalla(real_data: RealData, tmp_path: Path) -> None:
    folder = real_data("gowalla")
    (train, test), (users,), (items,) = stated(folder)
    source = lightgcn.load(lightgcn.LightGcnOptions(folder))
    assert source.events["user"].n_unique() == users
    assert source.events["item"].n_unique() == items
    options = PrepareOptions(split=SplitOptions("given"), negatives=1)
    rows = split_rows(prepared(source, tmp_path / "out", options))
    assert (rows[0] + rows[1], rows[2]) == (train, test)
    assert 0.08 < rows[1] / train < 0.1


def test_adult(real_data: RealData, tmp_path: Path) -> None:
    folder = real_data("adult")
    (data_rows, test), _, _ = stated(folder)
    data = prepare_shipped("adult", folder, tmp_path / "out")
    rows = split_rows(data)
    assert (rows[0] + rows[1], rows[2]) == (data_rows, test)
    assert 0.09 < rows[1] / data_rows < 0.11
    assert data.raw_ids("native_country")[0] == "United-States"
    labels = data.read("rows", "test")["label"]
    assert isinstance(labels, np.ndarray)
    assert labels.sum() == 3846


def test_criteo_sample(real_data: RealData, tmp_path: Path) -> None:
    folder = real_data("criteo-sample")
    (rows, clicks), _, _ = stated(folder)
    data = prepare_shipped("criteo", folder / "train.txt", tmp_path / "out")
    assert split_rows(data) == [rows * 8 // 10, rows // 10, rows // 10]
    labels = [np.asarray(data.read("rows", s)["label"]) for s in ("train", "validation", "test")]
    assert np.concatenate(labels).sum() == clicks
