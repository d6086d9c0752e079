"""What each section of the page shows, as values for the template."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

UNKNOWN = "\N{EN DASH}"


@dataclass(frozen=True)
class Bar:
    """An interval as a bar: where it starts, has its middle and ends, in percent of the width."""

    low: float
    middle: float
    high: float
    zero: float | None = None


@dataclass(frozen=True)
class Cell:
    """A cell of a table.

    Attributes:
        text: What is written.
        note: A second, smaller line.
        bar: A picture of the interval.
        strong: Whether it is the best of its column.
        series: Colour and marker of a line's name.
    """

    text: str
    note: str = ""
    bar: Bar | None = None
    strong: bool = False
    series: int | None = None


@dataclass(frozen=True)
class Table:
    """A table: names at the left, numbers at the right.

    Attributes:
        head: Names of the columns.
        rows: Cells, as many in each row.
        caption: What it shows.
        prose: Whether its cells are words, which start at the left and may take several lines.
    """

    head: Sequence[str]
    rows: Sequence[Sequence[Cell]]
    caption: str = ""
    prose: bool = False


@dataclass(frozen=True)
class Chart:
    """A title, and a picture as an SVG element that is inserted as it is."""

    title: str
    svg: str


@dataclass(frozen=True)
class Section:
    """A part of the page.

    Attributes:
        anchor: Its address on the page.
        title: Its heading.
        text: How to read it.
        charts: Pictures.
        tables: Tables below.
        folded: Tables that are shown when asked for.
        notes: What is left out, and why.
    """

    anchor: str
    title: str
    text: str
    charts: Sequence[Chart] = ()
    tables: Sequence[Table] = ()
    folded: Sequence[Table] = ()
    notes: Sequence[str] = field(default_factory=tuple)


def number(value: float | None, form: str = ",.0f") -> str:
    """Returns a number for people, a dash where it is unknown."""
    return UNKNOWN if value is None or value != value else format(value, form)


def differing(columns: Sequence[Mapping[str, Any]]) -> list[str]:
    """Returns the keys whose values are not the same in all columns."""
    keys = dict.fromkeys(key for column in columns for key in column)
    missing = object()
    return [
        k for k in keys if any(c.get(k, missing) != columns[0].get(k, missing) for c in columns)
    ]
