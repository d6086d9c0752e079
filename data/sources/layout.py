"""What the fields of a line of delimited text must hold."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import polars as pl

from data.sources.iso_times import parse_iso

MAX_INT64 = 2**63 - 1


@dataclass(frozen=True)
class Kind:
    """What a field must hold: `parse` raises ValueError for a text that is something else."""

    expected: str
    dtype: pl.DataType
    parse: Callable[[str], object]
    required: bool = True


def _integer(text: str) -> int:
    value = int(text)
    if abs(value) > MAX_INT64 or "_" in text:
        raise ValueError(text)
    return value


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value) or "_" in text:
        raise ValueError(text)
    return value


def _present(text: str) -> str:
    if not text:
        raise ValueError(text)
    return text


INTEGER = Kind("an integer", pl.Int64(), _integer)
NUMBER = Kind("a finite number", pl.Float32(), _finite)
TEXT = Kind("a text that is not empty", pl.String(), _present)
DATETIME = Kind("an ISO 8601 date or time", pl.String(), parse_iso)
OPTIONAL_TEXT = Kind("a text", pl.String(), str, required=False)
IGNORED = Kind("anything", pl.String(), str, required=False)


@dataclass(frozen=True)
class Layout:
    """How a file's lines are laid out.

    Attributes:
        fields: What each field of a line holds, by name, in the file's order.
        separator: One character between fields.
        shown_separator: The separator as the file's makers wrote it, for messages.
        quote: Quoting character, or None.
        header: Whether the first line holds names.
    """

    fields: Mapping[str, Kind]
    separator: str
    shown_separator: str | None = None
    quote: str | None = None
    header: bool = False

    def rule(self) -> str:
        """Returns what a line must hold, in words."""
        shown = (self.shown_separator or self.separator).replace("\t", "<TAB>")
        used = [f"{n} {k.expected}" for n, k in self.fields.items() if k is not IGNORED]
        return f"Each line must read {shown.join(self.fields)} with {', '.join(used)}"
