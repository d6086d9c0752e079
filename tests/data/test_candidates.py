"""Frozen candidates: untouched, without repeats, uniform, and hashed by raw ids."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data import candidates
from data.assemble import PrepareOptions, prepare
from data.blocks import Ragged
from data.candidates import TouchedItems, draw_negatives, draw_popular
from data.dataset import PreparedDataset
from data.interactions import Interactions
from data.schema import FIRST_ID
from data.sources import synthetic
from tests.data.reading import prepared, raw_lists

WORLD = synthetic.SyntheticOptions(users=60, items=150, ratings=1500, tastes=4)


def lists(ragged: Ragged) -> list[list[int]]:
    return [part.tolist() for part in np.split(ragged.values, ragged.offsets()[1:-1])]


@settings(max_examples=150, deadline=None)
@given(data=st.data(), items=st.integers(1, 25), count=st.integers(1, 12), seed=st.integers(0, 99))
def test_draws_are_untouched_distinct_and_as_many_as_there_are(
    data: st.DataObject, items: int, count: int, seed: int
) -> None:
    ids = st.lists(st.integers(0, items + 1), max_size=40)  # 0 and 1 are no items
    touched = data.draw(st.lists(ids, min_size=1, max_size=6))
    user = np.repeat(np.arange(len(touched)), [len(part) for part in touched])
    item_id = np.array([i for part in touched for i in part], np.int32)
    order = np.random.default_rng(seed).permutation(len(user))
    index = TouchedItems(user[order], item_id[order], len(touched), items)
    rows = np.arange(len(touched))[::-1]
    drawn = draw_negatives(rows, index, count, [seed])
    for row, found in zip(rows, lists(drawn), strict=True):
        untouched = set(range(FIRST_ID, FIRST_ID + items)) - set(touched[row])
        assert set(found) <= untouched
        assert len(found) == min(count, len(untouched))
        assert found == sorted(set(found))
    again = draw_negatives(rows, index, count, [seed])
    np.testing.assert_array_equal(again.values, drawn.values)


@pytest.mark.parametrize("count", [3, 12])
def test_draws_are_uniform_where_there_are_many_and_few_items(
    count: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(candidates, "DRAW_USERS", 700)  # several chunks, the last one shorter
    users, items = 4000, 20
    touched = np.array([2, 7, 7, 21], np.int32)
    user = np.repeat(np.arange(users), len(touched))
    index = TouchedItems(user, np.tile(touched, users), users, items)
    drawn = draw_negatives(np.arange(users), index, count, [1, 2])
    assert set(drawn.lengths) == {count}
    counts = np.bincount(drawn.values, minlength=items + FIRST_ID)
    free = np.setdiff1d(np.arange(FIRST_ID, items + FIRST_ID), touched)
    share = count / len(free)
    five_sigma = 5 * np.sqrt(users * share * (1 - share))
    np.testing.assert_allclose(counts[free], users * share, atol=five_sigma)
    assert counts.sum() == counts[free].sum()
    # Users are drawn for independently: two neighbours agree as often as chance has it.
    same = [len(set(a) & set(b)) for a, b in zip(lists(drawn)[:-1], lists(drawn)[1:], strict=True)]
    assert np.mean(same) == pytest.approx(count * share, rel=0.1)


@pytest.mark.parametrize("split", ["validation", "test"])
def test_stored_candidates_avoid_what_the_user_touches_in_any_split(
    synthetic_data: PreparedDataset, split: str
) -> None:
    touched: dict[int, set[int]] = {}
    for name in ("train", "validation", "test"):
        for user, items in raw_lists(synthetic_data, name, "item").items():
            touched.setdefault(user, set()).update(items)
    known = set(synthetic_data.raw_ids("item").tolist())
    negatives = raw_lists(synthetic_data, split, "negative_item")
    assert len(negatives) == 400
    for user, items in negatives.items():
        assert set(items) <= known - touched[user]
        assert len(items) == len(set(items)) == min(99, len(known - touched[user]))
    card = synthetic_data.schema.candidates[split]
    assert (card.sampling, card.seed, card.negatives) == ("uniform", 3, 99)
    train = synthetic_data.read("histories", "train")["negative_item"]
    assert isinstance(train, Ragged)
    assert len(train.values) == 0


def test_candidates_are_fewer_where_fewer_remain(
    checkerboard_data: PreparedDataset, tmp_path: Path
) -> None:
    # Each user has touched all 20 items of one colour; the 20 of the other colour remain.
    source = Interactions("board", checkerboard_events())
    data = prepared(source, tmp_path / "out", PrepareOptions(negatives=99))
    for user, items in raw_lists(data, "test", "negative_item").items():
        assert sorted(items) == sorted(f"i{n}" for n in range(40) if n % 2 != int(user[1:]) % 2)
    assert data.schema.candidates["test"].negatives == 20
    assert checkerboard_data.schema.candidates["test"].negatives == 15


def checkerboard_events() -> pl.DataFrame:
    rng = np.random.default_rng(0)
    items = [rng.permutation(np.arange(user % 2, 40, 2)) for user in range(40)]
    return pl.DataFrame(
        {
            "user": [f"u{user}" for user in np.repeat(np.arange(40), 20)],
            "item": [f"i{item}" for item in np.concatenate(items)],
            "time": np.tile(np.arange(20), 40),
        }
    )


def test_hash_is_of_the_raw_pairs_and_changes_with_the_seed(tmp_path: Path) -> None:
    def made(name: str, seed: int) -> PreparedDataset:
        options = PrepareOptions(seed=seed, negatives=20)
        return prepared(synthetic.load(WORLD), tmp_path / name, options)

    first, same, other = made("a", 1), made("b", 1), made("c", 2)
    assert first.schema.candidates == same.schema.candidates
    assert raw_lists(first, "test", "negative_item") == raw_lists(same, "test", "negative_item")
    hashes = [d.schema.candidates[s].sha256 for d in (first, other) for s in ("validation", "test")]
    assert len(set(hashes)) == 4
    lines = [
        f"{user}\t{item}\n"
        for user, items in raw_lists(first, "test", "negative_item").items()
        for item in items
    ]
    assert (
        first.schema.candidates["test"].sha256
        == hashlib.sha256("".join(lines).encode()).hexdigest()
    )


def test_items_that_only_evaluation_holds_are_no_candidates(tmp_path: Path) -> None:
    events = checkerboard_events()
    cold = pl.DataFrame({"user": ["u0"], "item": ["cold"], "time": [99]})
    data = tmp_path / "out"
    schema = prepare(Interactions("cold", pl.concat([events, cold])), PrepareOptions(), data)
    assert "cold" not in PreparedDataset(data).raw_ids("item")
    assert schema.cardinality("item") == 42
    test = raw_lists(PreparedDataset(data), "test", "item")
    assert test["u0"] == ["?"]
    for items in raw_lists(PreparedDataset(data), "test", "negative_item").values():
        assert "?" not in items


def test_popular_draws_follow_the_counts_and_avoid_what_was_touched(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(candidates, "DRAW_CELLS", 5 * 900)  # several chunks, the last one shorter
    users, counts = 4000, np.array([8.0, 4.0, 2.0, 1.0, 5.0])
    touched = np.full(users, FIRST_ID + 4)  # everybody took the last item
    index = TouchedItems(np.arange(users), touched, users, len(counts))
    one = draw_popular(np.arange(users), index, counts, 1, [1])
    share = np.bincount(one.values, minlength=FIRST_ID + 5)[FIRST_ID:] / users
    np.testing.assert_allclose(share, [8 / 15, 4 / 15, 2 / 15, 1 / 15, 0], atol=0.04)
    # The second of two distinct draws follows what is left after the first.
    two = draw_popular(np.arange(users), index, counts, 2, [1]).values.reshape(-1, 2) - FIRST_ID
    assert (two[:, 0] < two[:, 1]).all()
    both = np.mean((two == [0, 1]).all(axis=1))
    assert both == pytest.approx(8 / 15 * 4 / 7 + 4 / 15 * 8 / 11, abs=0.04)
    every = draw_popular(np.arange(3), index, counts, 99, [1])
    assert lists(every) == [[2, 3, 4, 5]] * 3


def test_popular_candidates_are_stored_beside_the_uniform_ones(tmp_path: Path) -> None:
    options = PrepareOptions(seed=1, negatives=20, popular_negatives=12)
    data = prepared(synthetic.load(WORLD), tmp_path / "data", options)
    touched: dict[int, set[int]] = {}
    for name in ("train", "validation", "test"):
        for user, items in raw_lists(data, name, "item").items():
            touched.setdefault(user, set()).update(items)
    popular = raw_lists(data, "test", "popular_item")
    assert len(popular) == 60
    for user, items in popular.items():
        assert len(set(items)) == 12
        assert not touched[user] & set(items)
    card = data.schema.candidates["test/popular"]
    assert (card.negatives, card.sampling, card.seed) == (12, "popularity", 1)
    assert card.sha256 != data.schema.candidates["test"].sha256
    without = prepared(synthetic.load(WORLD), tmp_path / "w", PrepareOptions(seed=1, negatives=20))
    assert raw_lists(without, "test", "negative_item") == raw_lists(data, "test", "negative_item")
