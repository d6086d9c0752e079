"""What can be seen of a column: whether it holds numbers or times, how many values, how skewed."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import polars as pl

from data.engine.column_kinds import kind_of
from data.feature import Kind
from data.sources.iso_times import iso_microseconds
from data.sources.layout import integers
from data.spec.table_spec import FeatureSpec, SourceSpec

# Texts that hardly ever mean anything else.
_SURE_MISSING = ("?", "\\N", "NULL", "null", "NaN", "nan", "#N/A", "N/A", "<NA>")
# Texts that may be values of a category: they count among numbers and times only.
_LIKELY_MISSING = ("NA", "n/a", "None", "none", "-", "--", ".", "inf", "-inf", "Infinity", "nil")
_NUMBER = kind_of(FeatureSpec("x", Kind.NUMERIC, "x"), SourceSpec())


@dataclass(frozen=True)
class Profile:
    """The values of one column.

    Attributes:
        name: Name of the column.
        values: Texts or lists of texts; null where missing.
        missing_texts: Texts that stood for a missing value.
    """

    name: str
    values: pl.Series
    missing_texts: tuple[str, ...] = ()

    @property
    def is_list(self) -> bool:
        """Whether the source holds lists."""
        return isinstance(self.values.dtype, pl.List)

    @property
    def rows(self) -> int:
        """Number of rows."""
        return len(self.values)

    @property
    def present(self) -> int:
        """Number of rows with a value."""
        return self.rows - self.values.null_count()

    @cached_property
    def counts(self) -> pl.DataFrame:
        """Different texts in order, `text`, and how often each is there, `rows`."""
        return counts_of(self.values.explode() if self.is_list else self.values)

    @cached_property
    def distinct(self) -> int:
        """Number of different values."""
        return len(self.counts)

    @cached_property
    def singles(self) -> int:
        """Number of values that are there once."""
        return int((self.counts["rows"] == 1).sum())

    @cached_property
    def is_number(self) -> bool:
        """Whether all values are finite numbers."""
        return self.distinct > 0 and _are_numbers(self.counts["text"])

    @cached_property
    def is_integer(self) -> bool:
        """Whether all are integers of 64 bits, each in its one spelling."""
        return self.distinct > 0 and not integers(self.counts["text"]).null_count()

    @cached_property
    def is_time(self) -> bool:
        """Whether all are ISO 8601 dates or times."""
        return self.distinct > 0 and not iso_microseconds(self.counts["text"]).null_count()

    @cached_property
    def has_codes(self) -> bool:
        """Whether some are digits after a leading zero, as of codes."""
        return bool(self.counts["text"].str.contains(r"^0[0-9]").any())

    @cached_property
    def longest(self) -> int:
        """Bytes of the longest value."""
        longest = self.counts["text"].str.len_bytes().max()
        return longest if isinstance(longest, int) else 0

    @cached_property
    def has_breaks(self) -> bool:
        """Whether some hold line breaks."""
        return bool(self.counts["text"].str.contains(r"[\r\n]").any())

    @cached_property
    def numbers(self) -> np.ndarray:
        """The values of a column of numbers, float64, of shape (present,)."""
        return self.values.drop_nulls().cast(pl.Float64).to_numpy()

    @cached_property
    def skewness(self) -> float:
        """Third moment of the standardised numbers; 0 where all are equal."""
        spread = self.numbers.std()
        return float((((self.numbers - self.numbers.mean()) / spread) ** 3).mean()) if spread else 0

    @property
    def missing_share(self) -> str:
        """The share of rows without a value, for people."""
        return f"{1 - self.present / self.rows:.2g} missing" if self.present < self.rows else ""


def counts_of(values: pl.Series) -> pl.DataFrame:
    """Returns different texts in order, `text`, and how often each is there, `rows`."""
    texts = pl.DataFrame({"text": values.cast(pl.String)}).drop_nulls()
    return texts.group_by("text").agg(pl.len().alias("rows")).sort("text")


def make_profiles(columns: dict[str, pl.Series]) -> tuple[dict[str, Profile], list[str]]:
    """Returns the columns, and the texts that seem to stand for a missing value in any of them."""
    found = {name: _missing_texts(values) for name, values in columns.items()}
    every = sorted({text for texts in found.values() for text in texts})
    profiles = {}
    for name, values in columns.items():
        if isinstance(values.dtype, pl.List):
            profiles[name] = Profile(name, values)
        else:
            here = sorted(set(every) & set(values.drop_nulls().unique()))
            kept = values.set(values.is_in(here), None) if here else values
            profiles[name] = Profile(name, kept, tuple(here))
    return profiles, every


def _missing_texts(values: pl.Series) -> list[str]:
    if isinstance(values.dtype, pl.List):
        return []
    texts = counts_of(values)["text"]
    known = set(texts) & {*_SURE_MISSING, *_LIKELY_MISSING}
    others = texts.filter(~texts.is_in(sorted(known)))
    is_typed = len(others) > 0 and (
        _are_numbers(others) or not iso_microseconds(others).null_count()
    )
    return sorted(known if is_typed else known & set(_SURE_MISSING))


def _are_numbers(texts: pl.Series) -> bool:
    try:
        _NUMBER.convert(texts)
    except ValueError:
        return False
    return True
