"""Vocabularies and views of prepared interactions: order, contents, agreement."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from data.assemble import PrepareOptions, prepare
from data.blocks import Ragged
from data.dataset import PreparedDataset
from data.errors import InputError
from data.interactions import Interactions
from data.splits import SplitOptions
from tests.data.reading import prepared, raw

SPLITS = ("train", "validation", "test")


def random_events(seed: int = 0, rows: int = 3000) -> pl.DataFrame:
    """Returns events of 80 users and 60 items, some of which come late, with ties in time."""
    rng = np.random.default_rng(seed)
    pairs = rng.permutation(80 * 60)[:rows]
    users, items = pairs // 60, pairs % 60
    late = np.where((users > 70) | (items > 54), 80, 0)
    return pl.DataFrame(
        {
            "user": users * 3 - 50,
            "item": [f"item {item}" for item in items],
            "rating": rng.integers(1, 6, rows).astype(np.float32),
            "time": np.maximum(late, rng.integers(0, 100, rows)),
        }
    )


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> PreparedDataset:
    """Returns data split by time, with users and items that training never saw."""
    split = SplitOptions("time", validation_from=60, test_from=80)
    folder = tmp_path_factory.mktemp("views") / "data"
    return prepared(Interactions("t", random_events()), folder, PrepareOptions(split=split, seed=5))


def test_vocabularies_hold_training_ids_the_most_frequent_first(data: PreparedDataset) -> None:
    train = random_events().filter(pl.col("time") < 60)
    for name in ("user", "item"):
        counts = Counter(train[name].to_list())
        expected = sorted(counts, key=lambda raw_id: (-counts[raw_id], raw_id))
        assert data.raw_ids(name).tolist() == expected
        assert data.schema.cardinality(name) == len(expected) + 2
        late = set(random_events()[name]) - set(counts)
        assert late
        assert late.isdisjoint(data.raw_ids(name).tolist())


def test_ties_in_frequency_go_by_number_and_by_byte(tmp_path: Path) -> None:
    events = pl.DataFrame(
        {
            "user": [10, 9, -2, 10, 9, 10, 9, -2, -2],
            "item": ["é", "é", "é", "b", "b", "B", "B", "a", "b"],
            "time": range(9),
        }
    )
    split = SplitOptions("time", test_from=8)
    data = prepared(Interactions("ties", events), tmp_path / "out", PrepareOptions(split=split))
    assert data.raw_ids("user").tolist() == [9, 10, -2]
    assert data.raw_ids("item").tolist() == ["é", "B", "b", "a"]
    assert (data.folder / "vocab" / "item.txt").read_bytes() == "é\nB\nb\na\n".encode()


def exploded(data: PreparedDataset, split: str) -> list[tuple[object, ...]]:
    """Returns the events of the view `histories`, in its order."""
    histories = data.read("histories", split)
    users, items = histories["user"], histories["item"]
    assert isinstance(users, np.ndarray)
    assert isinstance(items, Ragged)
    columns = [raw(data, "user", np.repeat(users, items.lengths)), raw(data, "item", items.values)]
    for name in ("rating", "time"):
        values = histories[name]
        assert isinstance(values, Ragged)
        np.testing.assert_array_equal(values.lengths, items.lengths)
        columns.append(values.values.tolist())
    return list(zip(*columns, strict=True))


def rows(data: PreparedDataset, split: str) -> list[tuple[object, ...]]:
    """Returns the events of the view `rows`, in its order."""
    columns = data.read("rows", split)
    users, items = columns["user"], columns["item"]
    assert isinstance(users, np.ndarray)
    assert isinstance(items, np.ndarray)
    rest = [np.asarray(columns[name]).tolist() for name in ("rating", "time")]
    return list(zip(raw(data, "user", users), raw(data, "item", items), *rest, strict=True))


@pytest.mark.parametrize("split", SPLITS)
def test_both_views_hold_the_events_of_the_source(data: PreparedDataset, split: str) -> None:
    start, end = {"train": (0, 60), "validation": (60, 80), "test": (80, 100)}[split]
    source = random_events().filter(pl.col("time").is_between(start, end, closed="left"))
    known = {name: set(data.raw_ids(name).tolist()) for name in ("user", "item")}
    expected = Counter(
        (u if u in known["user"] else "?", i if i in known["item"] else "?", r, t)
        for u, i, r, t in source.iter_rows()
    )
    assert Counter(rows(data, split)) == expected
    assert Counter(exploded(data, split)) == expected


def test_order_of_rows(data: PreparedDataset, tmp_path: Path) -> None:
    for split in ("validation", "test"):
        users = data.read("rows", split)["user"]
        assert isinstance(users, np.ndarray)
        assert (np.diff(users) >= 0).all()
        assert rows(data, split) == exploded(data, split)
    assert rows(data, "train") != exploded(data, "train")
    split_options = SplitOptions("time", validation_from=60, test_from=80)
    for seed in (5, 6):
        options = PrepareOptions(split=split_options, seed=seed)
        again = prepared(Interactions("t", random_events()), tmp_path / str(seed), options)
        assert (rows(again, "train") == rows(data, "train")) == (seed == 5)


@pytest.mark.parametrize("split", SPLITS)
def test_histories_are_in_time_order_after_what_was_seen(data: PreparedDataset, split: str) -> None:
    histories = data.read("histories", split)
    users, items, times = histories["user"], histories["item"], histories["time"]
    seen = histories["seen_item"]
    assert isinstance(users, np.ndarray)
    assert isinstance(items, Ragged)
    assert isinstance(times, Ragged)
    assert isinstance(seen, Ragged)
    assert (np.diff(users) >= 0).all()
    assert items.lengths.min() > 0
    names = ["?", "?", *data.raw_ids("item").tolist()]
    source = random_events().sort("time", maintain_order=True)
    first, last = {"train": (0, 59), "validation": (60, 79), "test": (80, 99)}[split]
    present = source.filter(pl.col("time").is_between(first, last))
    known = users >= 2  # unknown users share an id, so that the source cannot tell them apart
    for row in np.flatnonzero(known):
        own = pl.col("user") == data.raw_ids("user")[users[row] - 2]
        before = source.filter(own & (pl.col("time") < first))
        for column, expected in ((items, present.filter(own)), (seen, before)):
            ids = column.values[slice(*column.offsets()[row : row + 2])]
            assert [names[i] for i in ids] == [i if i in names else "?" for i in expected["item"]]
    unknown = set(present["user"]) - set(data.raw_ids("user").tolist())
    assert (~known).sum() == len(unknown)
    assert len(unknown) == (9 if split == "test" else 0)


def test_raw_id_with_a_line_break_is_refused(tmp_path: Path) -> None:
    events = pl.DataFrame({"user": ["a", "a", "a\nb"], "item": [1, 2, 3], "time": [1, 9, 1]})
    options = PrepareOptions(split=SplitOptions("time", test_from=5))
    with pytest.raises(InputError, match=r"'user' must not hold line breaks.*'a\\nb'"):
        prepare(Interactions("lines", events), options, tmp_path / "out")
