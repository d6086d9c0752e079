"""Which columns name the user, the item and the time of a row."""

from __future__ import annotations

from collections.abc import Mapping

from data.engine.column_kinds import MAX_RAW_ID_BYTES
from data.feature import Kind
from data.inference.names import ITEMS, USERS, has_no_name, names_key, names_time
from data.inference.profile import Profile

_EPOCHS = ((1e8, 4e9, "seconds"), (1e11, 4e12, "milliseconds"), (1e14, 4e15, "microseconds"))


def find_keys(profiles: Mapping[str, Profile], label: Profile | None) -> dict[str, Kind]:
    """Returns the columns that seem to be the user, the item and the time, as far as there are any.

    Args:
        profiles: The columns.
        label: The one that is the label, if there is one.
    """
    found = {
        Kind.USER: _best_key(profiles, USERS, label),
        Kind.ITEM: _best_key(profiles, ITEMS, label),
        Kind.TIME: _best_time(profiles, label),
    }
    return {column: kind for kind, column in found.items() if column}


def _best_key(
    profiles: Mapping[str, Profile], owners: tuple[str, ...], label: Profile | None
) -> str:
    found = []
    for name, profile in profiles.items():
        place = names_key(name, owners)
        is_key = place is not None and profile.distinct > 2 and not profile.is_list
        decimal = profile.is_number and not profile.is_integer and not profile.has_codes
        if is_key and not decimal and not _is(profile, label) and not why_unfit(profile):
            found.append((place, name))
    return min(found)[1] if found else ""


def _is(profile: Profile, label: Profile | None) -> bool:
    return label is not None and profile.name == label.name


def _best_time(profiles: Mapping[str, Profile], label: Profile | None) -> str:
    whole = [p for p in profiles.values() if p.present == p.rows and p.distinct > 1]
    found = [
        (not names_time(p.name), n, p.name)
        for n, p in enumerate(whole)
        if not _is(p, label) and not p.is_list and (p.is_time or epoch_unit(p))
    ]
    return min(found)[2] if found else ""


def epoch_unit(profile: Profile) -> str:
    """Returns the unit of integers that seem to be times, or nothing."""
    could = names_time(profile.name) or has_no_name(profile.name)
    if not (could and profile.is_integer):
        return ""
    low, high = float(profile.numbers.min()), float(profile.numbers.max())
    return next((unit for a, b, unit in _EPOCHS if a <= low and high <= b), "")


def why_unfit(profile: Profile) -> str:
    """Returns why a column of texts cannot be a feature, or nothing."""
    if profile.longest > MAX_RAW_ID_BYTES and not profile.is_list:
        return f"a value of {profile.longest:,} bytes; a raw id has at most {MAX_RAW_ID_BYTES:,}"
    return "values with line breaks, which no raw id may hold" if profile.has_breaks else ""
