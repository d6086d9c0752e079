"""Stored times as dates, where they look like some: nothing says what unit they have."""

from __future__ import annotations

from datetime import datetime, timezone

_UNITS = {1: "seconds", 1_000: "milliseconds", 1_000_000: "microseconds"}
_EARLIEST, _LATEST = 10**8, 10**10  # seconds since 1970 that are taken for a time: 1973 to 2286


def as_date(time: float) -> tuple[str, str]:
    """Returns the date (UTC) and the unit since 1970 that makes it one; empty where none does."""
    for scale, unit in _UNITS.items():
        if _EARLIEST <= time / scale < _LATEST:
            return f"{datetime.fromtimestamp(time / scale, timezone.utc):%Y-%m-%d}", unit
    return "", ""


def time_text(time: float) -> str:
    """Returns a time for people: as stored, and with a date if it looks like one."""
    date, unit = as_date(time)
    return f"{time:.0f} ({date} if {unit})" if date else f"{time:.0f}"
