"""Splits of all events or of whole users: counts, what is disjoint, and Liang's rounding."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data.errors import InputError
from data.events import FOLD_IN, TEST, TRAIN, VALIDATION, Events
from data.held_out_users import hold_out_users
from data.shares import rounded_share
from data.splits import SplitOptions, split_events
from tests.data.test_splits import events_of


def random_split(seed: int, rows: int = 1000) -> Events:
    events = events_of([n % 37 for n in range(rows)], list(range(rows)))
    split_events(events, SplitOptions("random", 0.1, 0.15, seed=seed))
    return events


def held_out(lengths: list[int], validation: int, test: int, seed: int = 0) -> np.ndarray:
    """Returns the split of the events of users with as many events as stated."""
    users = np.repeat(np.arange(len(lengths)), lengths)
    return hold_out_users(users, validation, test, 0.8, np.random.default_rng(seed))


def test_random_takes_exact_shares_of_all_events_and_not_of_each_user() -> None:
    split = random_split(3).split
    assert split is not None
    assert np.bincount(split).tolist() == [750, 100, 150]
    by_user = np.bincount(random_split(3).user[split == TEST], minlength=37)
    assert by_user.min() < by_user.max() - 1  # a share of each user would be 4 of 27 for all
    np.testing.assert_array_equal(random_split(3).split, split)
    assert not np.array_equal(random_split(4).split, split)  # type: ignore[arg-type]
    # Every event is as likely held out: no part of the order has many more than its share.
    halves = [(part == TEST).mean() for part in np.split(split, 2)]
    np.testing.assert_allclose(halves, 0.15, atol=0.05)


def test_random_needs_no_times_and_checks_its_ratios() -> None:
    for options in (SplitOptions("random", 0.5, 0.5), SplitOptions("random", 0.0, 0.0)):
        with pytest.raises(InputError, match="sum between 0 and 1"):
            split_events(events_of([1, 2, 3], [1, 2, 3]), options)


@settings(max_examples=150, deadline=None)
@given(data=st.data(), seed=st.integers(0, 99))
def test_held_out_users_leave_train_and_are_scored_on_a_fifth(
    data: st.DataObject, seed: int
) -> None:
    lengths = data.draw(st.lists(st.integers(1, 30), min_size=2, max_size=25))
    validation = data.draw(st.integers(0, len(lengths) - 1))
    test = data.draw(st.integers(0 if validation else 1, len(lengths) - 1 - validation))
    split = held_out(lengths, validation, test, seed)
    of_users = np.split(split, np.cumsum(lengths)[:-1])
    assert sum((part == TRAIN).all() for part in of_users) == len(lengths) - validation - test
    whole = [part for part in of_users if not (part == TRAIN).any()]
    assert len(whole) == validation + test
    for part in whole:
        # As in Liang's code: fewer than five events are all fold-in.
        assert (part > TRAIN).sum() == (int(0.2 * len(part)) if len(part) >= 5 else 0)
    counts = [sum((part == code).any() for part in whole) for code in (VALIDATION, TEST)]
    all_fold_in = sum((part == FOLD_IN).all() for part in whole)
    assert counts[0] <= validation
    assert counts[1] <= test
    assert sum(counts) + all_fold_in == validation + test
    np.testing.assert_array_equal(held_out(lengths, validation, test, seed), split)


def test_fold_in_rounds_as_the_authors_do_for_every_number_of_events() -> None:
    counts = np.arange(20_000)
    theirs = [int(0.2 * n) for n in counts.tolist()]
    assert rounded_share(counts, 1 - 0.8).tolist() == theirs


def test_seed_decides_who_is_held_out_and_which_events_are_known() -> None:
    users = [np.flatnonzero(held_out([20] * 30, 4, 5, seed) == TEST) // 20 for seed in range(2)]
    assert [len(set(found)) for found in users] == [5, 5]
    assert set(users[0]) != set(users[1])
    scored = [np.flatnonzero(held_out([20] * 3, 1, 1, seed) == TEST) % 20 for seed in range(40)]
    assert set(np.concatenate(scored)) == set(range(20))


def test_held_out_users_with_few_events_are_all_fold_in_and_counted() -> None:
    found = set()
    for seed in range(20):
        events = events_of([0] * 4 + [1] * 4 + [2] * 10 + [3] * 10, list(range(28)))
        options = SplitOptions("held_out_users", seed=seed, validation_users=1, test_users=2)
        counts = split_events(events, options)
        assert events.split is not None
        trained = int(events.user[events.split == TRAIN][0])
        short, long = (2, 1) if trained > 1 else (1, 2)
        assert counts == {
            "fold_in_interactions": 4 * short + 8 * long,
            "users_only_in_fold_in": short,
        }
        found.add(trained)
    assert found == {0, 1, 2, 3}


def test_held_out_users_who_leave_nothing_to_score() -> None:
    events = events_of([1, 1, 2, 2], [1, 2, 3, 4])
    options = SplitOptions("held_out_users", validation_users=0, test_users=1)
    with pytest.raises(InputError, match=r"events to hold out.*train 2, validation 0, test 0"):
        split_events(events, options)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"validation_users": 2, "test_users": 1}, "2 for validation and 1 for test, of 3 users"),
        ({"validation_users": 0, "test_users": 0}, "0 for validation and 0 for test, of 3 users"),
        ({"validation_users": 1, "test_users": 1, "fold_in": 1.0}, "--fold_in=1"),
        ({"validation_users": 1, "test_users": 1, "fold_in": 0.0}, "--fold_in=0"),
    ],
)
def test_users_that_cannot_be_held_out(changes: dict[str, float], message: str) -> None:
    events = events_of([1, 2, 3], [1, 2, 3])
    with pytest.raises(InputError, match=message):
        split_events(events, SplitOptions("held_out_users", **changes))  # type: ignore[arg-type]
