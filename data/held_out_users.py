"""Strong generalisation: whole users are held out, and a part of each one's events is known.

The protocol of Liang et al. 2018 (Variational Autoencoders for Collaborative Filtering, section
4.1): training never sees the users that a model is evaluated on. It gets a random share of a
user's events, the fold-in, and is scored on the rest. As in the authors' code, the rest is rounded
down, and a user with fewer than five events has nothing but fold-in.
"""

from __future__ import annotations

import numpy as np

from data.errors import InputError
from data.events import FOLD_IN, TEST, TRAIN, VALIDATION
from data.shares import rounded_share

FOLD_IN_EVENTS = 5  # fewer are all fold-in


def hold_out_users(
    user: np.ndarray,
    validation_users: int,
    test_users: int,
    fold_in: float,
    rng: np.random.Generator,
) -> np.ndarray:
    """Splits events by user.

    Args:
        user: User of each event, grouped, of shape (events,).
        validation_users: Users to hold out for validation.
        test_users: Users to hold out for test.
        fold_in: Share of a held-out user's events that is known, between 0 and 1.
        rng: What is drawn from.

    Returns:
        `FOLD_IN` or a position in `SPLITS` for each event, int8 of shape (events,).

    Raises:
        InputError: No user to hold out or none to train on, or a share that is none.
    """
    users, row, counts = np.unique(user, return_inverse=True, return_counts=True)
    held_out = validation_users + test_users
    if min(validation_users, test_users) < 0 or not 0 < held_out < len(users):
        raise InputError(
            "At least one user must be held out, and at least one left to train on",
            received=f"{validation_users:,} for validation and {test_users:,} for test, of "
            f"{len(users):,} users",
            action="Correct --validation_users and --test_users",
        )
    if not 0 < fold_in < 1:
        raise InputError(
            "The share of known events must be between 0 and 1",
            received=f"--fold_in={fold_in:g}",
        )
    kinds = (
        [TRAIN] * (len(users) - held_out) + [VALIDATION] * validation_users + [TEST] * test_users
    )
    split = rng.permutation(np.array(kinds, np.int8))
    asked = rounded_share(counts, 1 - fold_in)
    asked[counts < FOLD_IN_EVENTS] = 0
    order = np.lexsort((rng.random(len(user)), row))
    rank = np.empty(len(user), np.int64)  # of an event among its user's, in random order
    rank[order] = np.arange(len(user)) - np.repeat(np.cumsum(counts) - counts, counts)
    of_event = split[row]
    return np.where((of_event > TRAIN) & (rank >= asked[row]), np.int8(FOLD_IN), of_event)
