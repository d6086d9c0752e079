"""How the rows of a table may be split, from what its columns seem to be."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from data.events import SPLITS
from data.feature import Kind
from data.inference.features import Choice
from data.inference.keys import lacking_times
from data.inference.names import names_splits
from data.inference.profile import Profile
from data.sources.iso_times import iso_microseconds

_HELD_OUT = 0.1  # validation, and as much test
_HASH = {"method": "hash", "validation": _HELD_OUT, "test": _HELD_OUT}


def splits_column(profiles: Mapping[str, Profile], label: Profile | None) -> str:
    """Returns the column that names the split of each row, or nothing."""
    for name, profile in profiles.items():
        texts = set(profile.counts["text"]) if not profile.is_list else set()
        is_label = label is not None and name == label.name
        whole = profile.present == profile.rows and not is_label
        if names_splits(name) and whole and {"train"} < texts <= set(SPLITS):
            return name
    return ""


def choose_split(
    profiles: Mapping[str, Profile], choices: list[Choice], label: Profile | None, complete: bool
) -> tuple[dict[str, Any], str]:
    """Returns the keys of `split`, and why.

    Args:
        profiles: The columns.
        choices: What they seem to be.
        label: The column of the label; None for interactions.
        complete: Whether all rows of all files were read.
    """
    named = splits_column(profiles, label)
    if named:
        return {"method": "column", "column": named}, f"{named!r} names the split of each row"
    time = next((profiles[c.column] for c in choices if c.kind is Kind.TIME), None)
    if time is None:
        return _HASH, "no time to split by, so by a hash of the row: equal rows stay together"
    if label is None:
        return {"method": "leave_last_out"}, "the last item of each user is what is to be predicted"
    if not time.is_integer and lacking_times(time):
        return _HASH, "by a hash of the row; better by time, once every row has one"
    texts = time.values
    times = (time.numbers if time.is_integer else iso_microseconds(texts).to_numpy()).astype("i8")
    order = np.argsort(times, kind="stable")
    start, test = (int(len(order) * share) for share in (1 - 2 * _HELD_OUT, 1 - _HELD_OUT))
    if (np.diff(times) >= 0).all() and _learnable(label, order[:start]):
        split = {**_HASH, "method": "position"}
        return split, "the rows are in the order of time: the last ones are held out"
    first = times[order[start]], times[order[test]]
    before = np.flatnonzero(times < first[0])
    if complete and first[0] < first[1] and _learnable(label, before):
        bounds = {"validation_from": texts[int(order[start])], "test_from": texts[int(order[test])]}
        split = {"method": "time", "column": time.name, **bounds}
        return split, "the last fifth of the time is held out, the later half of it for test"
    why = "better by time, as what is predicted lies ahead: method: time with `test_from`"
    return _HASH, f"by a hash of the row; {why}"


def _learnable(label: Profile, rows: np.ndarray) -> bool:
    """Returns whether rows to train on have both labels."""
    return label.values.gather(rows).n_unique() > 1 if len(rows) else False
