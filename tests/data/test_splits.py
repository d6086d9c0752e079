"""Splits and filters: known answers, and the k-core as a property."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data.errors import InputError
from data.events import SPLITS, Events
from data.filters import FilterOptions, apply_filters
from data.splits import SplitOptions, split_events

Parts = dict[str, list[tuple[int, int]]]


def events_of(
    users: list[int],
    items: list[int],
    times: list[int] | None = None,
    ratings: list[float] | None = None,
) -> Events:
    columns = {"user": pl.Series(users, dtype=pl.Int64), "item": pl.Series(items, dtype=pl.Int64)}
    if times is not None:
        columns["time"] = pl.Series(times, dtype=pl.Int64)
    if ratings is not None:
        columns["rating"] = pl.Series(ratings, dtype=pl.Float32)
    return Events.from_frame(pl.DataFrame(columns))


def pairs(events: Events) -> list[tuple[int, int]]:
    """Returns raw users and items in the order of the events."""
    users, items = events.user_ids.gather(events.user), events.item_ids.gather(events.item)
    return list(zip(users, items, strict=True))


def parts(events: Events) -> Parts:
    """Returns the pairs of each split, by user, then time."""
    assert events.split is not None
    found: Parts = {name: [] for name in SPLITS}
    for pair, split in zip(pairs(events), events.split, strict=True):
        found[SPLITS[split]].append(pair)
    return found


def test_leave_last_out_goes_by_time_and_spares_users_with_two_events() -> None:
    users = [9, 9, 9, 9, 4, 4, 4, 6, 6]
    events = events_of(users, [1, 2, 3, 4, 1, 2, 3, 1, 2], [40, 10, 30, 20, 5, 7, 6, 1, 2])
    counts = split_events(events, SplitOptions("leave_last_out"))
    assert parts(events) == {
        "train": [(4, 1), (6, 1), (6, 2), (9, 2), (9, 4)],
        "validation": [(4, 3), (9, 3)],
        "test": [(4, 2), (9, 1)],
    }
    assert counts == {"users_only_in_train": 1}


def test_ties_in_time_go_by_source_order() -> None:
    events = events_of([1, 2, 1, 2, 1, 2, 1, 2], [30, 8, 20, 7, 10, 6, 40, 5], [3] * 8)
    split_events(events, SplitOptions("leave_last_out"))
    assert pairs(events) == [(1, 30), (1, 20), (1, 10), (1, 40), (2, 8), (2, 7), (2, 6), (2, 5)]
    assert parts(events)["validation"] == [(1, 10), (2, 6)]
    assert parts(events)["test"] == [(1, 40), (2, 5)]


def test_ratio_takes_the_last_shares_rounded_down() -> None:
    users = [1] * 30 + [2] * 9
    items = list(range(39))
    times = [-item for item in items]  # the source is in reverse order
    events = events_of(users, items, times)
    split_events(events, SplitOptions("ratio", validation_ratio=0.2, test_ratio=0.1))
    found = parts(events)
    # 0.1 * 30 is 3 and not 2.999...; user 2: 0.9 rounds to no test event, 1.8 to one.
    assert found["test"] == [(1, 2), (1, 1), (1, 0)]
    assert found["validation"] == [(1, 8), (1, 7), (1, 6), (1, 5), (1, 4), (1, 3), (2, 30)]
    assert len(found["train"]) == 39 - 3 - 7


def test_random_ratio_has_the_sizes_of_ratio_and_depends_on_the_seed() -> None:
    def held_out(seed: int) -> tuple[list[tuple[int, int]], list[tuple[int, int]]]:
        events = events_of([1] * 40 + [2] * 20, list(range(60)))
        split_events(events, SplitOptions("random_ratio", 0.25, 0.1, seed=seed))
        found = parts(events)
        return found["validation"], found["test"]

    validation, test = held_out(1)
    assert [user for user, _ in validation] == [1] * 10 + [2] * 5
    assert [user for user, _ in test] == [1] * 4 + [2] * 2
    assert held_out(1) == (validation, test)
    assert held_out(2)[0] != validation
    assert sorted(item for user, item in test if user == 1) != [36, 37, 38, 39]


def test_time_points_hold_out_what_comes_at_or_after_them() -> None:
    def found(validation_from: int | None) -> Parts:
        events = events_of([1, 1, 1, 2, 2, 3], [1, 2, 3, 1, 2, 3], [10, 20, 30, 19, 29, 31])
        options = SplitOptions("time", validation_from=validation_from, test_from=30)
        split_events(events, options)
        return parts(events)

    assert found(20) == {
        "train": [(1, 1), (2, 1)],
        "validation": [(1, 2), (2, 2)],
        "test": [(1, 3), (3, 3)],
    }
    assert found(None)["validation"] == []
    assert found(None)["train"] == [(1, 1), (1, 2), (2, 1), (2, 2)]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (SplitOptions("leave_one"), "must be a known method.*'leave_one'.*'leave_last_out'"),
        (SplitOptions("time"), r"needs a time point\. Pass --test_from"),
        (SplitOptions("time", validation_from=9, test_from=3), "Validation must start before test"),
        (SplitOptions("time", test_from=99), "train 4, validation 0, test 0, times 1 to 4"),
        (SplitOptions("time", test_from=0), "train 0, validation 0, test 4, times 1 to 4"),
        (SplitOptions("ratio", 0.5, 0.5), "sum between 0 and 1.*0.5 and 0.5.*--test_ratio"),
        (SplitOptions("ratio", 0.1, 0.1), "events to hold out.*train 4, validation 0, test 0"),
        (SplitOptions("given"), "already split.*a source without a split.*another --split"),
    ],
)
def test_splits_that_cannot_be_made(options: SplitOptions, message: str) -> None:
    events = events_of([1, 1, 1, 2], [1, 2, 3, 1], [1, 2, 3, 4])
    with pytest.raises(InputError, match=message):
        split_events(events, options)


def test_given_split_that_is_none_of_ours() -> None:
    frame = pl.DataFrame({"user": [1, 2], "item": [1, 2], "split": ["train", "dev"]})
    with pytest.raises(InputError, match=r"one of train, validation, test.*'dev'"):
        Events.from_frame(frame)


def test_rating_threshold_keeps_what_reaches_it() -> None:
    events = events_of([1, 1, 2, 2], [1, 2, 1, 3], ratings=[3.5, 4.0, 4.5, 1.0])
    assert apply_filters(events, FilterOptions(min_rating=4.0)) == {"below_min_rating": 2}
    assert pairs(events) == [(1, 2), (2, 1)]


def test_k_core_of_a_chain_that_falls_apart_one_by_one() -> None:
    # The path u1-i1-u2-i2-u3 hangs on a square of users 4, 5 and items 4, 5.
    edges = [(1, 1), (2, 1), (2, 2), (3, 2), (3, 4), (4, 4), (4, 5), (5, 4), (5, 5)]
    events = events_of([user for user, _ in edges], [item for _, item in edges])
    options = FilterOptions(min_user_interactions=2, min_item_interactions=2)
    assert apply_filters(events, options) == {"outside_k_core": 5}
    assert pairs(events) == edges[5:]


def test_threshold_comes_before_the_k_core() -> None:
    events = events_of([1, 1, 2, 2, 2], [1, 2, 1, 2, 3], ratings=[5.0, 1.0, 5.0, 5.0, 5.0])
    options = FilterOptions(min_rating=3, min_user_interactions=2)
    assert apply_filters(events, options) == {"below_min_rating": 1, "outside_k_core": 1}
    assert pairs(events) == [(2, 1), (2, 2), (2, 3)]


def slow_core(edges: list[tuple[int, int]], users: int, items: int) -> list[tuple[int, int]]:
    """Removes one rare user or item at a time, until none is left."""
    left = list(edges)
    while True:
        of_user, of_item = ([edge[side] for edge in left] for side in (0, 1))
        rare = [e for e in left if of_user.count(e[0]) < users or of_item.count(e[1]) < items]
        if not rare:
            return left
        left.remove(rare[0])


Edges = st.lists(st.tuples(st.integers(0, 6), st.integers(0, 6)), min_size=1, unique=True)


@settings(max_examples=200, deadline=None)
@given(edges=Edges, users=st.integers(1, 4), items=st.integers(1, 4))
def test_k_core_is_the_largest_set_in_which_all_have_enough(
    edges: list[tuple[int, int]], users: int, items: int
) -> None:
    options = FilterOptions(min_user_interactions=users, min_item_interactions=items)
    expected = slow_core(edges, users, items)
    events = events_of([user for user, _ in edges], [item for _, item in edges])
    if not expected:
        with pytest.raises(InputError, match=f"{len(edges):,} dropped as outside_k_core"):
            apply_filters(events, options)
        return
    apply_filters(events, options)
    assert pairs(events) == expected
    assert np.bincount(events.user)[np.unique(events.user)].min() >= users
    assert np.bincount(events.item)[np.unique(events.item)].min() >= items
    assert apply_filters(events, options) == {}
