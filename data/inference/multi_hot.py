"""Columns that hold several values in a row: lists, or texts with a separator between."""

from __future__ import annotations

import polars as pl

from data.inference.profile import Profile

_SEPARATORS = ("|", ";", ",", "\t", "^", "~", "\x1f")
_IN_TEXTS = ("|", ";", ",")
_LEAST_SHARE = 0.05  # of rows with more than one value
_RECURS = 2  # times that a value must be there on average


def value_separator(profile: Profile) -> str:
    """Returns what stands between the values of a column's texts; nothing if each is one value."""
    if profile.is_list or profile.is_number:
        return ""
    return next((s for s in _IN_TEXTS if _separates(profile, s)), "")


def _separates(profile: Profile, separator: str) -> bool:
    counts = profile.counts
    has = counts["text"].str.contains(separator, literal=True)
    if counts["rows"].filter(has).sum() < _LEAST_SHARE * profile.present:
        return False
    parts = counts.select(pl.col("text").str.split(separator), "rows").explode("text")
    parts = parts.filter(pl.col("text") != "")
    if parts["text"].str.contains(r"^\s").any():  # a sentence, or `Doe, Jane`
        return False
    different = parts["text"].n_unique()
    return different <= profile.distinct and parts["rows"].sum() >= _RECURS * different


def listed_values(profile: Profile, separator: str) -> pl.Series:
    """Returns the values of all rows, one after the other, empty ones left out."""
    lists = profile.values if profile.is_list else profile.values.str.split(separator)
    return lists.drop_nulls().explode().drop_nulls().replace("", None).drop_nulls()


def free_separator(parts: Profile) -> str:
    """Returns a separator that none of some values holds, or nothing."""
    texts = parts.counts["text"]
    return next((s for s in _SEPARATORS if not texts.str.contains(s, literal=True).any()), "")
