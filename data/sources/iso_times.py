"""ISO 8601 dates and times, parsed by column and explained by line.

A column may mix dates, times with and without seconds or fractions, and offsets from UTC. What
names no offset is taken as UTC. What is finer than a microsecond is cut off.
"""

from __future__ import annotations

import re
from datetime import datetime

import polars as pl

_PATTERN = (
    r"^(?P<date>[0-9]{4}-[0-9]{2}-[0-9]{2})"
    r"(?:[T ](?P<minute>(?:[01][0-9]|2[0-3]):[0-5][0-9])"
    r"(?:(?P<second>:[0-5][0-9])(?:(?P<fraction>\.[0-9]{1,6})[0-9]*)?)?"
    r"(?:Z|(?P<sign>[+-])(?P<hours>[0-9]{2}):?(?P<minutes>[0-9]{2}))?)?$"
)
_MINUTE = 60_000_000  # microseconds


def parse_iso(text: str) -> datetime:
    """Returns the minute of a text that `iso_microseconds` understands, without its offset.

    Raises:
        ValueError: Any other text.
    """
    match = re.match(_PATTERN, text)
    if match is None:
        raise ValueError(text)
    return datetime.fromisoformat(f"{match['date']} {match['minute'] or '00:00'}")


def iso_microseconds(times: pl.Series) -> pl.Series:
    """Returns microseconds since 1970 in UTC, Int64; null where the text is something else."""
    parts = times.str.extract_groups(_PATTERN).struct.unnest()
    text = pl.concat_str(
        pl.col("date"),
        pl.lit(" "),
        pl.col("minute").fill_null("00:00"),
        pl.col("second").fill_null(":00"),
        pl.col("fraction").fill_null(""),
    )
    local = text.str.to_datetime("%Y-%m-%d %H:%M:%S%.f", time_unit="us", strict=False)
    minutes = pl.col("hours").cast(pl.Int64) * 60 + pl.col("minutes").cast(pl.Int64)
    ahead = pl.when(pl.col("sign") == "-").then(-minutes).otherwise(minutes).fill_null(0)
    return parts.select((local.dt.epoch("us") - ahead * _MINUTE).alias(times.name)).to_series()
