"""Prepared data with held-out users: fold-in is what was seen, and training knows none of them."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from data.assemble import PrepareOptions
from data.blocks import Ragged
from data.dataset import PreparedDataset
from data.interactions import Interactions
from data.sources import synthetic
from data.splits import SplitOptions
from tests.data.reading import prepared, raw
from tests.data.test_views import random_events, rows

SPLIT = SplitOptions("held_out_users", seed=2, validation_users=9, test_users=12)


def source(times: bool = True) -> pl.DataFrame:
    events = random_events().with_columns(
        item=pl.when(pl.col("user") == -50).then(pl.lit("own ") + pl.col("item")).otherwise("item")
    )
    return events if times else events.drop("time")


@pytest.fixture(scope="module", params=[True, False], ids=["times", "no times"])
def data(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> PreparedDataset:
    folder = tmp_path_factory.mktemp("strong") / "data"
    return prepared(
        Interactions("strong", source(request.param)), folder, PrepareOptions(split=SPLIT, seed=2)
    )


def lists(values: object) -> list[np.ndarray]:
    assert isinstance(values, Ragged)
    return np.split(values.values, values.offsets()[1:-1])


def test_held_out_users_are_out_of_vocabulary_and_keep_a_row_each(data: PreparedDataset) -> None:
    assert data.schema.facts["held_out_users"] is True
    assert len(data.raw_ids("user")) == 80 - 21
    for split, users in (("train", 59), ("validation", 9), ("test", 12)):
        histories = data.read("histories", split)
        found = histories["user"]
        assert isinstance(found, np.ndarray)
        assert len(found) == users
        assert (found == 1).all() == (split != "train")
        assert min(map(len, lists(histories["item"]))) > 0
        assert min(map(len, lists(histories["seen_item"]))) > (-1 if split == "train" else 0)
        assert max(map(len, lists(histories["seen_item"]))) == 0 or split != "train"


def test_every_event_is_in_train_or_scored_or_fold_in(data: PreparedDataset) -> None:
    in_rows = 0
    whole: Counter[int] = Counter()  # held-out users by their number of events
    for split in ("train", "validation", "test"):
        histories = data.read("histories", split)
        in_rows += data.split("rows", split).rows
        items, seen = lists(histories["item"]), lists(histories["seen_item"])
        assert sum(map(len, items)) == data.split("rows", split).rows
        if split != "train":
            for now, before in zip(items, seen, strict=True):
                n = len(now) + len(before)
                assert len(now) == int(0.2 * n)
                whole[n] += 1
                known = [i for i in (*now, *before) if i >= 2]
                assert len(known) == len(set(known))
    fold_in = data.schema.facts["preparation"]["fold_in_interactions"]
    assert in_rows + fold_in == 3000
    sizes = Counter(source()["user"].value_counts()["count"].to_list())
    assert whole <= sizes


def test_scored_events_are_those_of_held_out_users(data: PreparedDataset) -> None:
    known = set(data.raw_ids("user").tolist())
    train = data.read("rows", "train")
    users, items = train["user"], train["item"]
    assert isinstance(users, np.ndarray)
    assert isinstance(items, np.ndarray)
    found = zip(raw(data, "user", users), raw(data, "item", items), strict=True)
    expected = [(u, i) for u, i, *_ in source().rows() if u in known]
    assert sorted(found) == sorted(expected)
    assert set(data.raw_ids("item").tolist()) == {item for _, item in expected}


def test_fold_in_is_in_time_order_and_no_candidate(tmp_path: Path) -> None:
    events = random_events()
    options = PrepareOptions(split=SPLIT, negatives=5)
    data = prepared(Interactions("strong", events), tmp_path / "out", options)
    times = {(u, i): t for u, i, _, t in events.rows()}
    strangers = set(events["user"]) - set(data.raw_ids("user").tolist())
    names = np.array([None, None, *data.raw_ids("item")], object)
    for split in ("validation", "test"):
        histories = data.read("histories", split)
        columns = [lists(histories[c]) for c in ("item", "seen_item", "negative_item", "time")]
        for now, before, negatives, stamps in zip(*columns, strict=True):
            touched = [*names[now], *names[before]]
            fitting = [
                user
                for user in strangers
                if all((user, item) in times for item in touched)
                and [times[user, item] for item in names[now]] == stamps.tolist()
            ]
            assert any(
                (np.diff([times[user, item] for item in names[before]]) >= 0).all()
                for user in fitting
            )
            assert set(negatives.tolist()).isdisjoint([*now, *before])
            assert len(negatives) == min(5, 60 - len(touched))
        assert len(rows(data, split)) == data.split("rows", split).rows


def test_truth_of_synthetic_data_is_not_scored_without_the_fold_in(tmp_path: Path) -> None:
    world = synthetic.SyntheticOptions(users=40, items=60, ratings=800)
    split = SplitOptions("held_out_users", validation_users=5, test_users=5)
    data = prepared(synthetic.load(world), tmp_path / "out", PrepareOptions(split=split))
    assert "best_scores" not in data.schema.facts
