"""How events are split into train, validation and test."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from data.errors import InputError, nearest
from data.events import FOLD_IN, SPLITS, TEST, TRAIN, VALIDATION, Events
from data.held_out_users import hold_out_users
from data.shares import check_ratios, rounded_share, split_by_position
from data.times import time_text

HELD_OUT_USERS = "held_out_users"
LEAVE_LAST_OUT_EVENTS = 3  # one each for train, validation and test
SPLIT_STREAM = 3  # of the seed; shuffling and candidates take those before it


@dataclass(frozen=True)
class SplitOptions:
    """How to split.

    Attributes:
        method: One of `SPLIT_METHODS`.
        validation_ratio: Share for validation, of each user's events (ratio methods) or of all
            (method random).
        test_ratio: Share for test, likewise.
        validation_from: First time of validation, in the source's unit (method time).
        test_from: First time of test (method time).
        seed: Seed of the methods random, random_ratio and held_out_users.
        validation_users: Users held out for validation (method held_out_users).
        test_users: Users held out for test (method held_out_users).
        fold_in: Share of a held-out user's events that is known (method held_out_users).
    """

    method: str = "leave_last_out"
    validation_ratio: float = 0.1
    test_ratio: float = 0.1
    validation_from: int | None = None
    test_from: int | None = None
    seed: int = 0
    validation_users: int = 500
    test_users: int = 500
    fold_in: float = 0.8


def split_events(events: Events, options: SplitOptions) -> dict[str, int]:
    """Sorts the events by user and time, and splits them in place.

    Returns:
        Counts to report: `users_only_in_train`; of the method held_out_users instead
        `fold_in_interactions` and `users_only_in_fold_in`.

    Raises:
        InputError: An unknown method, times that the method needs and the source lacks, or a
            split that leaves nothing to train on or nothing to test.
    """
    if options.method not in SPLIT_METHODS:
        raise InputError(
            "The split must be a known method",
            received=repr(options.method),
            action=nearest(options.method, SPLIT_METHODS),
        )
    if options.method in NEED_TIME and events.time is None:
        raise InputError(
            f"The split '{options.method}' needs the time of each interaction",
            received="a source without times",
            action="Name the column with --time_column, or pass --split=random_ratio",
        )
    events.sort_by_user_and_time()
    events.split = SPLIT_METHODS[options.method](events, options)
    _check_not_empty(events, options)
    if options.method != HELD_OUT_USERS:
        return {"users_only_in_train": _users_only_in(events, TRAIN)}
    return {
        "fold_in_interactions": int((events.split == FOLD_IN).sum()),
        "users_only_in_fold_in": _users_only_in(events, FOLD_IN),
    }


def _users_only_in(events: Events, split: int) -> int:
    """Counts the users who have events in `split` and none that is held out."""
    assert events.split is not None
    users = len(events.user_ids)
    found = np.bincount(events.user[events.split == split], minlength=users)
    held_out = np.bincount(events.user[events.split > TRAIN], minlength=users)
    return int(((found > 0) & (held_out == 0)).sum())


def _leave_last_out(events: Events, options: SplitOptions) -> np.ndarray:
    """The last event of each user is test and the one before it validation.

    Users with fewer than three events keep them all in train.
    """
    counts = np.bincount(events.user, minlength=len(events.user_ids))
    enough = counts >= LEAVE_LAST_OUT_EVENTS
    if not enough.any():
        raise InputError(
            f"Leave-last-out needs a user with at least {LEAVE_LAST_OUT_EVENTS} interactions",
            received=f"at most {counts.max()} a user",
            action="Pass another --split, or check --user_column and the filters",
        )
    return last_of_each(counts)


def last_of_each(counts: np.ndarray) -> np.ndarray:
    """Returns the split of events, by user and time: each one's last is test, the last but one
    validation, and all of users with fewer than three are train.

    Args:
        counts: Events of each user, of shape (users,).
    """
    ends = np.cumsum(counts)[counts >= LEAVE_LAST_OUT_EVENTS]
    split = np.full(int(np.sum(counts)), TRAIN, np.int8)
    split[ends - 1] = TEST
    split[ends - 2] = VALIDATION
    return split


def _ratio(events: Events, options: SplitOptions) -> np.ndarray:
    """The last shares of each user's events, in time order; shares are rounded down."""
    return _last_shares(events.user, len(events.user_ids), options)


def _random_ratio(events: Events, options: SplitOptions) -> np.ndarray:
    """Random shares of each user's events; shares are rounded down."""
    chance = np.random.default_rng(options.seed).random(len(events))
    order = np.lexsort((chance, events.user))
    split = np.empty(len(events), np.int8)
    split[order] = _last_shares(events.user, len(events.user_ids), options)
    return split


def _random(events: Events, options: SplitOptions) -> np.ndarray:
    """Random shares of all events, whoever's they are; shares are rounded down."""
    split = split_by_position(len(events), options.validation_ratio, options.test_ratio)
    return np.random.default_rng([options.seed, SPLIT_STREAM]).permutation(split)


def _last_shares(user: np.ndarray, users: int, options: SplitOptions) -> np.ndarray:
    check_ratios(options.validation_ratio, options.test_ratio)
    counts = np.bincount(user, minlength=users)
    tests = rounded_share(counts, options.test_ratio)
    validations = rounded_share(counts, options.validation_ratio)
    from_end = np.cumsum(counts)[user] - np.arange(len(user))  # 1 is the user's last event
    held_out = np.where(from_end <= tests[user], TEST, VALIDATION)
    return np.where(from_end <= (tests + validations)[user], held_out, TRAIN).astype(np.int8)


def _time(events: Events, options: SplitOptions) -> np.ndarray:
    """Everything from a time point on is test; from an earlier one on, validation."""
    assert events.time is not None
    if options.test_from is None:
        raise InputError("The split 'time' needs a time point", action="Pass --test_from=TIME")
    start = options.test_from if options.validation_from is None else options.validation_from
    if start > options.test_from:
        raise InputError(
            "Validation must start before test",
            received=f"--validation_from={start} and --test_from={options.test_from}",
        )
    later = np.where(events.time >= options.test_from, TEST, VALIDATION)
    return np.where(events.time >= start, later, TRAIN).astype(np.int8)


def _held_out_users(events: Events, options: SplitOptions) -> np.ndarray:
    """All events of some users; a share of these is known when the others are recommended."""
    rng = np.random.default_rng([options.seed, SPLIT_STREAM])
    return hold_out_users(
        events.user, options.validation_users, options.test_users, options.fold_in, rng
    )


def _given(events: Events, options: SplitOptions) -> np.ndarray:
    if events.split is None:
        raise InputError(
            "The split 'given' needs a source that is already split",
            received="a source without a split",
            action="Pass another --split",
        )
    return events.split


def _check_not_empty(events: Events, options: SplitOptions) -> None:
    assert events.split is not None
    counts = np.bincount(events.split[events.split >= TRAIN], minlength=len(SPLITS))
    if not counts[TRAIN] or not counts[VALIDATION] + counts[TEST]:
        times = "" if events.time is None else f", times {_span(events.time)}"
        raise InputError(
            f"The split '{options.method}' must leave events to train on and events to hold out",
            received=f"train {counts[TRAIN]:,}, validation {counts[VALIDATION]:,}, "
            f"test {counts[TEST]:,}{times}",
            action="Change the split's options",
        )


def _span(times: np.ndarray) -> str:
    return f"{time_text(float(times.min()))} to {time_text(float(times.max()))}"


SPLIT_METHODS: dict[str, Callable[[Events, SplitOptions], np.ndarray]] = {
    "leave_last_out": _leave_last_out,
    "ratio": _ratio,
    "random_ratio": _random_ratio,
    "random": _random,
    HELD_OUT_USERS: _held_out_users,
    "time": _time,
    "given": _given,
}
NEED_TIME = ("leave_last_out", "ratio", "time")
