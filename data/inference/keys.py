"""Which columns are the user, the item and the time of a row: as given, else by their names."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from data.engine.column_kinds import MAX_RAW_ID_BYTES
from data.errors import InputError, nearest
from data.feature import Kind
from data.inference.names import ITEMS, USERS, has_no_name, names_key, names_time
from data.inference.profile import Profile
from data.sources.iso_times import iso_microseconds

_EPOCHS = ((1e8, 4e9, "seconds"), (1e11, 4e12, "milliseconds"), (1e14, 4e15, "microseconds"))


def find_keys(
    profiles: Mapping[str, Profile], label: Profile | None, given: Mapping[Kind, str]
) -> dict[str, Kind]:
    """Returns the columns that seem to be the user, the item and the time, as far as there are any.

    Args:
        profiles: The columns.
        label: The one that is the label, if there is one.
        given: Those that people named.

    Raises:
        InputError: No such column, or one that is named twice or cannot be what it is said to be.
    """
    for kind, name in given.items():
        _check_given(kind, name, profiles, [*given.values(), *([label.name] if label else [])])
    free = {name: profile for name, profile in profiles.items() if name not in given.values()}
    found = {
        Kind.USER: _best_key(free, USERS, label),
        Kind.ITEM: _best_key(free, ITEMS, label),
        Kind.TIME: _best_time(free, label),
        **given,
    }
    return {column: kind for kind, column in found.items() if column}


def _check_given(
    kind: Kind, name: str, profiles: Mapping[str, Profile], taken: Sequence[str]
) -> None:
    if name not in profiles:
        raise InputError(
            f"--{kind.value}_column must name a column of the file",
            received=repr(name),
            action=nearest(name, profiles),
        )
    profile = profiles[name]
    unfit = "another flag's, too" if taken.count(name) > 1 else why_unfit(profile)
    if profile.is_list or profile.distinct < 2:
        unfit = "lists" if profile.is_list else "no two values that differ"
    if kind is Kind.TIME and not profile.is_integer and 2 * lacking_times(profile) > profile.rows:
        unfit = "mostly neither integers nor ISO 8601 dates and times"
    if unfit:
        raise InputError(
            f"The column of --{kind.value}_column must be able to be the {kind.value}",
            received=f"{name!r}: {unfit}",
            action="Name another column",
        )


def lacking_times(profile: Profile) -> int:
    """Returns how many rows hold no ISO 8601 date or time, a missing one among them."""
    return iso_microseconds(profile.values).null_count()


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
