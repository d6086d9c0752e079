"""What the fields of a line of delimited text must hold.

Each kind says it twice: for a whole column, which is fast, and for one text, which lets a message
name the line. Both must accept the same texts.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby

import numpy as np
import polars as pl

from data.events import RESERVED_INTEGER
from data.sources.iso_times import iso_microseconds, parse_iso

MAX_INT64 = 2**63 - 1
_SHOWN_FIELDS = 3  # of one kind in a row; of more the first and the last are named
# One spelling a number: 007, +7 and 7 would become one id, though they may be three.
CANONICAL = r"^(?:0|-?[1-9][0-9]*)$"


@dataclass(frozen=True)
class Kind:
    """What a field must hold.

    Attributes:
        expected: It, in words.
        dtype: Type as which Polars reads the column.
        convert: Turns such a column into values, null where the text is something else.
        parse: Raises ValueError for a text that is something else.
        required: Whether a null is a fault.
    """

    expected: str
    dtype: pl.DataType
    convert: Callable[[pl.Series], pl.Series]
    parse: Callable[[str], object]
    required: bool = True


def integers(texts: pl.Series) -> pl.Series:
    """Returns Int64: null where the text is no integer of 64 bits in its one spelling."""
    values = texts.cast(pl.Int64, strict=False)
    canonical = texts.str.contains(CANONICAL)
    return values if canonical.all() else values.set(~canonical, None)


def _integer(text: str) -> int:
    if re.fullmatch(CANONICAL, text) is None:
        raise ValueError(text)
    value = int(text)
    if not -MAX_INT64 - 1 <= value <= MAX_INT64:
        raise ValueError(text)
    return value


def _integer_ids(texts: pl.Series) -> pl.Series:
    values = integers(texts)
    reserved = values == RESERVED_INTEGER
    return values.set(reserved, None) if reserved.any() else values


def _integer_id(text: str) -> int:
    value = _integer(text)
    if value == RESERVED_INTEGER:
        raise ValueError(text)
    return value


def _finite_values(values: pl.Series) -> pl.Series:
    finite = values.is_finite()
    return values if finite.all() else values.set(~finite, None)


def _finite(text: str) -> float:
    with np.errstate(over="ignore"):
        value = np.float32(text)  # what is finite as float64 may not be so as float32
    # Python reads more than Polars: digits of other scripts, 1_000, and blanks at the end.
    if not math.isfinite(value) or "_" in text or not text.isascii() or text != text.rstrip():
        raise ValueError(text)
    return float(value)


def _empty_to_null(texts: pl.Series) -> pl.Series:
    empty = texts == ""
    return texts.set(empty, None) if empty.any() else texts


def _ids(texts: pl.Series) -> pl.Series:
    """Returns Int64 where every text is an integer, else the texts without blanks around them."""
    texts = texts.str.strip_chars()
    values = integers(texts)
    return _empty_to_null(texts) if values.null_count() else values


def _present(text: str) -> str:
    if not text:
        raise ValueError(text)
    return text


def _unchanged(texts: pl.Series) -> pl.Series:
    return texts


INTEGER = Kind("an integer", pl.String(), integers, _integer)
INTEGER_ID = Kind("an integer other than -1", pl.String(), _integer_ids, _integer_id)
NUMBER = Kind("a finite number", pl.Float32(), _finite_values, _finite)
TEXT = Kind("a text that is not empty", pl.String(), _empty_to_null, _present)
ID = Kind("an id that is not empty", pl.String(), _ids, lambda text: _present(text.strip()))
DATETIME = Kind("an ISO 8601 date or time", pl.String(), iso_microseconds, parse_iso)
OPTIONAL_TEXT = Kind("a text", pl.String(), _unchanged, str, required=False)
IGNORED = Kind("anything", pl.String(), _unchanged, str, required=False)


@dataclass(frozen=True)
class Layout:
    """How a file's lines are laid out.

    Attributes:
        fields: What each field of a line holds, by name, in the file's order.
        separator: One character between fields.
        shown_separator: The separator as the file's makers wrote it, for messages.
        quote: Quoting character, or None.
        header: Whether the first line holds names.
        own_names: What the file calls the fields, in its order, where that differs from our names.
    """

    fields: Mapping[str, Kind]
    separator: str
    shown_separator: str | None = None
    quote: str | None = None
    header: bool = False
    own_names: Sequence[str] = ()

    @property
    def names(self) -> Sequence[str]:
        """What people know the fields as, in the file's order."""
        return self.own_names or tuple(self.fields)

    def rule(self) -> str:
        """Returns what a line must hold, in words."""
        shown = (self.shown_separator or self.separator).replace("\t", "<TAB>")
        names, used = [], list[str]()
        named = zip(self.names, self.fields.values(), strict=True)
        for expected, run in groupby(named, lambda field: field[1].expected):
            fields = [name for name, _ in run]
            if len(fields) > _SHOWN_FIELDS:
                fields = [f"{fields[0]}{shown}...{shown}{fields[-1]}"]
            names += fields
            used += [f"{field} {expected}" for field in fields if expected != IGNORED.expected]
        return f"Each line must read {shown.join(names)} with {', '.join(used)}"
