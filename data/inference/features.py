"""What each column seems to be: the features of a spec, each with the reason."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import polars as pl

from data.errors import InputError
from data.feature import Kind
from data.inference.keys import epoch_unit, find_keys, lacking_times, why_unfit
from data.inference.label import label_options
from data.inference.multi_hot import free_separator, listed_values, value_separator
from data.inference.names import ITEMS, USERS, names_code, names_key, names_rows
from data.inference.profile import Profile
from data.sources.iso_times import iso_microseconds

_FEW_ROWS = 20  # too few to tell whether every value is different
_NEARLY_ALL = 0.9
_MANY, _RARE = 50, 4  # values, and times that make one worth an id of its own
_LARGE_TABLE = 10_000
_SKEWED = 2.0  # the skewness of an exponential distribution
_EXACT = 2.0**24  # integers above are not exact as float32


@dataclass(frozen=True)
class Choice:
    """A feature that is proposed, or a column that is left out.

    Attributes:
        column: The column.
        kind: What it seems to be; None where it is left out.
        why: The reason, and what was seen.
        options: Other keys of the feature.
    """

    column: str
    kind: Kind | None
    why: str
    options: dict[str, Any] = field(default_factory=dict)


def choose_features(
    profiles: Mapping[str, Profile], label: Profile, given: Mapping[Kind, str]
) -> list[Choice]:
    """Returns what the columns seem to be: the label first, then in the order of the file.

    Args:
        profiles: The columns.
        label: The one that is the label.
        given: The user, the item and the time, as far as people named them.
    """
    options, why = label_options(label)
    kinds = find_keys(profiles, label, given)
    others = [p for name, p in profiles.items() if name != label.name]
    return [
        Choice(label.name, Kind.LABEL, why + _refused(label.rows - label.present), options),
        *(_choose(profile, kinds.get(profile.name)) for profile in others),
    ]


def choose_interactions(profiles: Mapping[str, Profile], given: Mapping[Kind, str]) -> list[Choice]:
    """Returns which columns seem to be the user, the item and the time of interactions.

    Args:
        profiles: The columns.
        given: Those of them that people named.

    Raises:
        InputError: No column is called as a user or an item is, or a given one cannot be it.
    """
    kinds = find_keys(profiles, None, given)
    lacking = [kind.value for kind in (Kind.USER, Kind.ITEM) if kind not in kinds.values()]
    if lacking:
        raise InputError(
            "Interactions must have a column of users and one of items",
            received=f"none that is called as {' or '.join(f'{kind}s' for kind in lacking)} are: "
            + ", ".join(map(repr, profiles)),
            action=f"Pass {' and '.join(f'--{kind}_column=COLUMN' for kind in lacking)}, and "
            "--time_column=COLUMN if there are times",
        )
    other = "neither user, item nor time; what is known of them stands in tables of their own"
    return [
        _of_interactions(profile, kinds[name]) if name in kinds else Choice(name, None, other)
        for name, profile in profiles.items()
    ]


def _of_interactions(profile: Profile, kind: Kind) -> Choice:
    found = _choose(profile, kind)
    if kind is Kind.TIME:
        return found
    return replace(found, why=found.why + _refused(profile.rows - profile.present))


def _refused(rows: int) -> str:
    if not rows:
        return ""
    return f"; {rows:,} rows lack it and are refused: correct them, or --max_bad_lines"


def _choose(profile: Profile, kind: Kind | None) -> Choice:
    seen = _seen(profile)
    if profile.distinct == 0:
        return Choice(profile.name, None, "no value in any row")
    if profile.distinct == 1 and profile.present == profile.rows:
        return Choice(profile.name, None, f"constant: {profile.counts['text'][0][:40]!r}")
    if kind is Kind.TIME:
        return _time(profile)
    if kind is not None:
        return _key(profile, kind, seen)
    if profile.is_time or epoch_unit(profile):
        lacks = "" if profile.present == profile.rows else "; a time must be in every row"
        return Choice(profile.name, None, f"times, of which one column can be `time`{lacks}")
    if _numbers_rows(profile):
        return Choice(profile.name, None, "it numbers the rows")
    separator = value_separator(profile)
    if separator or profile.is_list:
        return _multi_hot(profile, separator)
    unfit = why_unfit(profile)
    if unfit:
        return Choice(profile.name, None, unfit)
    if profile.is_number and not _is_code(profile):
        return _numeric(profile, seen)
    return _categorical(profile, seen)


def _seen(profile: Profile) -> str:
    parts = [f"{profile.distinct:,} values", profile.missing_share]
    if profile.missing_texts:
        parts.append(f"as {', '.join(map(repr, profile.missing_texts))}")
    return ", ".join(part for part in parts if part)


def _span(profile: Profile) -> str:
    if profile.is_integer:
        return f"{int(profile.numbers.min())} to {int(profile.numbers.max())}"
    texts = profile.counts["text"]
    times = texts.filter(iso_microseconds(texts).is_not_null())
    return f"{times[0]} to {times[-1]}"


def _time(profile: Profile) -> Choice:
    if profile.is_integer:
        why = f"{epoch_unit(profile) or 'integers'}: {_span(profile)}"
        return Choice(profile.name, Kind.TIME, why, {"type": "int64"})
    why = f"ISO 8601: {_span(profile)}{_refused(lacking_times(profile))}"
    return Choice(profile.name, Kind.TIME, why)


def _key(profile: Profile, kind: Kind, seen: str) -> Choice:
    is_named = names_key(profile.name, USERS if kind is Kind.USER else ITEMS) is not None
    why = f"{'by its name' if is_named else 'as given'}; {seen}"
    if _nearly_all_differ(profile):
        why += "; each is there about once, so a model learns little of it"
    is_integer = profile.is_integer and "-1" not in set(profile.counts["text"])
    return Choice(profile.name, kind, why, {"type": "int64"} if is_integer else {})


def _numbers_rows(profile: Profile) -> bool:
    if not (profile.is_integer and profile.distinct == profile.rows):
        return False
    steps = np.diff(profile.values.cast(pl.Int64).to_numpy())
    return names_rows(profile.name) or (profile.rows >= _FEW_ROWS and bool((steps == 1).all()))


def _nearly_all_differ(profile: Profile) -> bool:
    present = profile.present
    return present >= _FEW_ROWS and profile.distinct >= _NEARLY_ALL * present


def _is_code(profile: Profile) -> bool:
    """Returns whether numbers seem to be names: flags, codes, ids."""
    if profile.has_codes or profile.distinct <= 2:
        return True
    if not profile.is_integer:
        return False
    large = float(np.abs(profile.numbers).max()) > _EXACT
    return names_code(profile.name) or (large and _nearly_all_differ(profile))


def _numeric(profile: Profile, seen: str) -> Choice:
    low, high = float(profile.numbers.min()), float(profile.numbers.max())
    why = f"numbers from {low:g} to {high:g}, mean {profile.numbers.mean():.4g}; {seen}"
    if profile.present < profile.rows:
        why += "; a missing one is stored as 0 unless `missing` says otherwise"
    if low >= 0 and high > 10 and profile.skewness > _SKEWED:
        why += f"; skewness {profile.skewness:.1f}, so log1p"
        return Choice(profile.name, Kind.NUMERIC, why, {"transforms": ["log1p", "normalise"]})
    return Choice(profile.name, Kind.NUMERIC, why)


def _categorical(profile: Profile, seen: str) -> Choice:
    why = f"{'integers that seem to be codes' if profile.is_integer else 'texts'}; {seen}"
    options: dict[str, Any] = {"type": "int64"} if profile.is_integer else {}
    more, reason = _room(profile, profile.present)
    return Choice(profile.name, Kind.CATEGORICAL, why + reason, options | more)


def _multi_hot(profile: Profile, separator: str) -> Choice:
    parts = Profile(profile.name, listed_values(profile, separator))
    if not separator:
        separator = free_separator(parts)
        if not separator or why_unfit(parts):
            return Choice(profile.name, None, "lists whose values hold every usual separator")
        if parts.is_number and not parts.is_integer:
            return Choice(profile.name, None, "lists of numbers that are no ids")
    elif why_unfit(parts):
        return Choice(profile.name, None, why_unfit(parts))
    share = profile.missing_share
    why = (
        f"{'lists' if profile.is_list else f'several values with {separator!r} between'}; "
        f"{parts.distinct:,} values, {len(parts.values) / profile.rows:.2g} a row"
        f"{f', {share}' if share else ''}"
    )
    options = {} if separator == "|" else {"separator": separator}
    more, reason = _room(parts, parts.present)
    return Choice(profile.name, Kind.MULTI_HOT, why + reason, options | more)


def _room(profile: Profile, present: int) -> tuple[dict[str, Any], str]:
    """Returns how the ids of a category are bounded, and why."""
    if _nearly_all_differ(profile):
        buckets = 10 ** min(6, max(2, len(str(profile.distinct))))
        return {"hash": buckets}, "; nearly every value is different, so hashed: or leave it out"
    if profile.distinct >= _MANY and 2 * profile.singles >= profile.distinct:
        least = _RARE if present >= _LARGE_TABLE else 2
        return {"min_count": least}, f"; {profile.singles:,} are there once, so min_count"
    return {}, ""
