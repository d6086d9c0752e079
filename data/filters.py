"""Which interactions count: duplicates, rating thresholds, k-core. Applied in this order."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np

from data.errors import InputError
from data.events import Events

DuplicatePolicy = Literal["error", "keep_first", "keep_last", "keep_all"]
DUPLICATE_POLICIES: tuple[str, ...] = get_args(DuplicatePolicy)


@dataclass(frozen=True)
class FilterOptions:
    """What to keep.

    Attributes:
        duplicates: What to do where a user has the same item twice: `error`, `keep_first`,
            `keep_last` (by time, ties and missing times by source order) or `keep_all`.
        min_rating: Keeps events rated at least this; None keeps all.
        min_user_interactions: Drops users with fewer events.
        min_item_interactions: Drops items with fewer events.
        label_threshold: Labels events rated above it 1 and below it 0, and drops those equal to
            it; None labels nothing.
    """

    duplicates: str = "error"
    min_rating: float | None = None
    min_user_interactions: int = 1
    min_item_interactions: int = 1
    label_threshold: float | None = None


def apply_filters(events: Events, options: FilterOptions) -> dict[str, int]:
    """Drops what `options` exclude and labels the rest, in place.

    Returns:
        Events dropped, by reason.

    Raises:
        InputError: Duplicates under policy `error`, a threshold without ratings, nothing left, or
            labels that are all the same.
    """
    dropped = {}
    for name, step in _STEPS.items():
        keep = step(events, options)
        if keep is not None and not keep.all():
            dropped[name] = int(len(keep) - keep.sum())
            events.take(keep)
    if not len(events):
        raise InputError(
            "At least one interaction must pass the filters",
            received=", ".join(f"{count:,} dropped as {name}" for name, count in dropped.items()),
            action="Lower --min_rating, --min_user_interactions or --min_item_interactions",
        )
    if options.label_threshold is not None:
        events.label = _labels(events, options.label_threshold)
    return dropped


def _labels(events: Events, threshold: float) -> np.ndarray:
    assert events.rating is not None
    above = events.rating > threshold
    if above.all() or not above.any():
        raise InputError(
            "Some interactions must be rated above the label threshold, and some below",
            received=f"ratings from {events.rating.min():g} to {events.rating.max():g}",
            action=f"Pass another threshold than --label_threshold={threshold:g}",
        )
    return above.astype(np.float32)


def _duplicates(events: Events, options: FilterOptions) -> np.ndarray | None:
    if options.duplicates == "keep_all":
        return None
    keys = events.user.astype(np.int64) * len(events.item_ids) + events.item
    in_order = np.sort(keys)
    if not (in_order[1:] == in_order[:-1]).any():
        return None
    del in_order
    if options.duplicates == "error" or events.time is None:
        order = np.argsort(keys, kind="stable")
    else:
        order = np.lexsort((events.time, keys))
    same = keys[order[1:]] == keys[order[:-1]]  # each event and the one before it
    if options.duplicates == "error":
        first = int(np.flatnonzero(same)[0])
        raise InputError(
            "A user may have an item only once",
            received=f"{int(same.sum()):,} repeated interactions",
            where=f"interactions {order[first] + 1} and {order[first + 1] + 1}: "
            + events.raw_pair(order[first]),
            action="Pass --duplicates=keep_first, keep_last or keep_all",
        )
    keep = np.ones(len(events), bool)
    keep[order[1:][same] if options.duplicates == "keep_first" else order[:-1][same]] = False
    return keep


def _rated(events: Events, options: FilterOptions) -> np.ndarray | None:
    if options.min_rating is None:
        return None
    return _ratings(events, "min_rating") >= options.min_rating


def _off_threshold(events: Events, options: FilterOptions) -> np.ndarray | None:
    if options.label_threshold is None:
        return None
    return _ratings(events, "label_threshold") != options.label_threshold


def _ratings(events: Events, flag: str) -> np.ndarray:
    if events.rating is None:
        raise InputError(
            "A rating threshold needs ratings",
            received="a source without ratings",
            action=f"Drop --{flag}, or name the column with --rating_column",
        )
    return events.rating


def _k_core(events: Events, options: FilterOptions) -> np.ndarray | None:
    """Drops rare users and items until none is left, as dropping one can make another rare."""
    if options.min_user_interactions <= 1 and options.min_item_interactions <= 1:
        return None
    keep = np.ones(len(events), bool)
    while True:
        user_counts = np.bincount(events.user[keep], minlength=len(events.user_ids))
        item_counts = np.bincount(events.item[keep], minlength=len(events.item_ids))
        enough = keep & (user_counts >= options.min_user_interactions)[events.user]
        enough &= (item_counts >= options.min_item_interactions)[events.item]
        if enough.sum() == keep.sum():
            return keep
        keep = enough


_STEPS: dict[str, Callable[[Events, FilterOptions], np.ndarray | None]] = {
    "duplicates": _duplicates,
    "below_min_rating": _rated,
    "at_label_threshold": _off_threshold,
    "outside_k_core": _k_core,
}
