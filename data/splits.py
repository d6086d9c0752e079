"""How events are split into train, validation and test."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from data.errors import InputError, nearest
from data.events import TEST, TRAIN, VALIDATION, Events

LEAVE_LAST_OUT_EVENTS = 3  # one each for train, validation and test


@dataclass(frozen=True)
class SplitOptions:
    """How to split.

    Attributes:
        method: One of `SPLIT_METHODS`.
        validation_ratio: Share of each user's events for validation (ratio methods).
        test_ratio: Share of each user's events for test (ratio methods).
        validation_from: First time of validation, in the source's unit (method time).
        test_from: First time of test (method time).
        seed: Seed of the method random_ratio.
    """

    method: str = "leave_last_out"
    validation_ratio: float = 0.1
    test_ratio: float = 0.1
    validation_from: int | None = None
    test_from: int | None = None
    seed: int = 0


def split_events(events: Events, options: SplitOptions) -> dict[str, int]:
    """Sorts the events by user and time, and splits them in place.

    Returns:
        Counts to report: `users_only_in_train`.

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
    held_out = np.bincount(events.user[events.split != TRAIN], minlength=len(events.user_ids))
    present = np.bincount(events.user, minlength=len(events.user_ids)) > 0
    _check_not_empty(events, options)
    return {"users_only_in_train": int((present & (held_out == 0)).sum())}


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
    ends = np.cumsum(counts)[enough]
    split = np.full(len(events), TRAIN, np.int8)
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


def _last_shares(user: np.ndarray, users: int, options: SplitOptions) -> np.ndarray:
    ratios = (options.validation_ratio, options.test_ratio)
    if min(ratios) < 0 or not 0 < sum(ratios) < 1:
        raise InputError(
            "The ratios of validation and test must be at least 0, and their sum between 0 and 1",
            received=f"{ratios[0]:g} and {ratios[1]:g}",
            action="Correct --validation_ratio and --test_ratio",
        )
    counts = np.bincount(user, minlength=users)
    # A share such as 0.1 * 30 comes out as 2.9999...: nudge before rounding down.
    tests = np.floor(counts * options.test_ratio + 1e-9).astype(np.int64)
    validations = np.floor(counts * options.validation_ratio + 1e-9).astype(np.int64)
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
    counts = np.bincount(events.split, minlength=3)
    if not counts[TRAIN] or not counts[VALIDATION] + counts[TEST]:
        times = "" if events.time is None else f", times {events.time.min()} to {events.time.max()}"
        raise InputError(
            f"The split '{options.method}' must leave events to train on and events to hold out",
            received=f"train {counts[TRAIN]:,}, validation {counts[VALIDATION]:,}, "
            f"test {counts[TEST]:,}{times}",
            action="Change the split's options",
        )


SPLIT_METHODS: dict[str, Callable[[Events, SplitOptions], np.ndarray]] = {
    "leave_last_out": _leave_last_out,
    "ratio": _ratio,
    "random_ratio": _random_ratio,
    "time": _time,
    "given": _given,
}
NEED_TIME = ("leave_last_out", "ratio", "time")
