"""Stored times for people, and people's times as they are stored.

A prepared dataset may say the unit of its times since 1970, in UTC, by the fact `time_unit`; where
it does not, a time that looks like one of these units is shown with a guess.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timezone
from typing import Any

import polars as pl

from data.errors import InputError
from data.sources.iso_times import iso_microseconds

TIME_UNIT = "time_unit"  # the fact
SECONDS, MILLISECONDS, MICROSECONDS = "seconds", "milliseconds", "microseconds"
_SCALES = {SECONDS: 1, MILLISECONDS: 1_000, MICROSECONDS: 1_000_000}
_EARLIEST, _LATEST = 10**8, 10**10  # seconds since 1970 that are taken for a time: 1973 to 2286


def time_unit(facts: Mapping[str, Any]) -> str:
    """Returns the unit that the facts of a dataset name; empty where they name none of ours."""
    unit = facts.get(TIME_UNIT)
    return unit if unit in _SCALES else ""


def likely_unit(time: float) -> str:
    """Returns the unit since 1970 that a time seems to have; empty where it looks like none."""
    for unit, scale in _SCALES.items():
        if _EARLIEST <= time / scale < _LATEST:
            return unit
    return ""


def date_text(time: float, unit: str) -> str:
    """Returns the date (UTC) of a time; empty where a calendar has none."""
    return _formatted(time, unit, "%Y-%m-%d")


def time_text(time: float, unit: str = "") -> str:
    """Returns a time for people: in UTC where the unit is known, else as stored, with a guess."""
    if unit:
        return _formatted(time, unit, "%Y-%m-%d %H:%M:%S") or f"{time:.0f}"
    likely = likely_unit(time)
    return f"{time:.0f} ({date_text(time, likely)} if {likely})" if likely else f"{time:.0f}"


def _formatted(time: float, unit: str, form: str) -> str:
    try:
        return f"{datetime.fromtimestamp(time / _SCALES[unit], timezone.utc):{form}}"
    except (ValueError, OverflowError, OSError):
        return ""


def stored_time(text: str, unit: str, flag: str) -> int:
    """Returns a time of a flag as it is stored.

    Args:
        text: An integer in the unit that is stored, or an ISO 8601 date or time, UTC unless it
            names an offset.
        unit: The unit; empty where it is not known.
        flag: Name of the flag, for messages.

    Raises:
        InputError: Neither, or an ISO 8601 time where the unit is not known.
    """
    try:
        return int(text)
    except ValueError:
        found = iso_microseconds(pl.Series([text]))[0]
    if found is None or not unit:
        raise InputError(
            f"--{flag} must be an integer in the unit of the source's times"
            + ("" if found is not None else ", or an ISO 8601 date or time"),
            received=repr(text),
            action="Nothing says what unit the source's integers have: write one of them"
            if found is not None
            else "For example 2026-03-01, 2026-03-01T12:00 or 1772323200",
        )
    return int(found) * _SCALES[unit] // _SCALES[MICROSECONDS]
