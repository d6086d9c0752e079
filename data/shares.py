"""Shares of rows in whole numbers, and splits made of them."""

from __future__ import annotations

import numpy as np

from data.errors import InputError
from data.events import SPLITS

_NUDGE = 1e-9  # a share such as 0.1 * 30 comes out as 2.9999...


def rounded_share(counts: np.ndarray, ratio: float) -> np.ndarray:
    """Returns a share of each count, rounded down, int64."""
    return np.floor(counts * ratio + _NUDGE).astype(np.int64)


def split_by_position(rows: int, validation_ratio: float, test_ratio: float) -> np.ndarray:
    """Makes the last rows test and those before them validation; shares are rounded down.

    Args:
        rows: Number of rows.
        validation_ratio: Share of validation.
        test_ratio: Share of test.

    Returns:
        Positions in `SPLITS`, int8 of shape (rows,).

    Raises:
        InputError: Ratios that leave nothing to train on or nothing to hold out.
    """
    check_ratios(validation_ratio, test_ratio)
    validations = rounded_share(np.array(rows), validation_ratio)
    tests = rounded_share(np.array(rows), test_ratio)
    counts = [rows - int(validations) - int(tests), int(validations), int(tests)]
    return np.repeat(np.arange(len(SPLITS), dtype=np.int8), counts)


def check_ratios(validation_ratio: float, test_ratio: float) -> None:
    """Raises InputError where the ratios leave nothing to train on or nothing to hold out."""
    ratios = (validation_ratio, test_ratio)
    if min(ratios) < 0 or not 0 < sum(ratios) < 1:
        raise InputError(
            "The ratios of validation and test must be at least 0, and their sum between 0 and 1",
            received=f"{ratios[0]:g} and {ratios[1]:g}",
            action="Correct --validation_ratio and --test_ratio",
        )


def check_validation_share(share: float) -> None:
    """Raises InputError where validation's share leaves nothing to train on."""
    if not 0 <= share < 1:
        raise InputError(
            "The share of validation must be at least 0 and below 1",
            received=f"--validation_ratio={share:g}",
            action="Correct --validation_ratio",
        )
