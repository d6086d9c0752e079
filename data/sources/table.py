"""Interactions from any CSV, TSV or Parquet file, with its columns named by the user."""

from __future__ import annotations

import hashlib
import io
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from data.errors import InputError, nearest_column
from data.events import check_reserved
from data.interactions import Interactions
from data.sources.bad_lines import records
from data.sources.delimited import decode_text, read_delimited, read_header
from data.sources.ids import LineFinder, check_ids
from data.sources.layout import CANONICAL, DATETIME, ID, IGNORED, INTEGER, NUMBER, Kind, Layout
from data.times import MICROSECONDS, TIME_UNIT

SEPARATORS = {".csv": ",", ".tsv": "\t", ".txt": "\t"}
PARQUET = ".parquet"
_SAMPLED_LINES = 1_000  # that decide whether times are integers


@dataclass(frozen=True)
class TableOptions:
    """Options of the source.

    Attributes:
        source: A .csv, .tsv, .txt or .parquet file; text files have a header.
        user_column: Column of user ids, integers or text; see `data.sources.ids`.
        item_column: Column of item ids, likewise.
        rating_column: Column of ratings; empty where there is none.
        time_column: Column of times, integers or ISO 8601; empty where there is none.
        max_bad_lines: Largest share of malformed lines to skip (text files).
        separator: One character between fields (text files); empty for that of the file's ending,
            a comma for .csv and a tab for the others.
    """

    source: Path
    user_column: str = "user"
    item_column: str = "item"
    rating_column: str = ""
    time_column: str = ""
    max_bad_lines: float = 0.0
    separator: str = ""

    def columns(self) -> dict[str, str]:
        """Returns the source's column by our name, for those that are mapped."""
        mapped = {
            "user": self.user_column,
            "item": self.item_column,
            "rating": self.rating_column,
            "time": self.time_column,
        }
        return {ours: theirs for ours, theirs in mapped.items() if theirs}


def load(options: TableOptions) -> Interactions:
    """Reads the table.

    Raises:
        InputError: No such file, an unknown kind of file, an unknown or repeated column, malformed
            lines, missing values, reserved ids, or an empty table.
    """
    path = options.source
    if not path.is_file():
        raise InputError(
            "The source must be a file", received=path, action="Check the path of --source"
        )
    kind = path.suffix.lower()
    if kind != PARQUET and kind not in SEPARATORS:
        raise InputError(
            "The source must be a .csv, .tsv, .txt or .parquet file", received=path.name
        )
    content = path.read_bytes()
    if not content.strip():
        raise InputError(
            "The file must hold at least one line", received="an empty file", where=path
        )
    skipped = 0
    if kind == PARQUET:
        events, facts = _read_parquet(content, options)
    else:
        events, skipped, facts = _read_text(content, _separator(options), options)
    return Interactions(
        name=path.stem,
        events=events,
        files={path.name: hashlib.sha256(content).hexdigest()},
        skipped_lines={path.name: skipped} if skipped else {},
        options={"columns": options.columns()},
        facts=facts,
    )


def _separator(options: TableOptions) -> str:
    given = options.separator
    if not given:
        return SEPARATORS[options.source.suffix.lower()]
    if len(given) > 1 or not given.isascii() or given.isalnum() or given in '"\r\n':
        raise InputError(
            "--separator must be one character of ASCII, and no letter, digit, quote or line break",
            received=repr(given),
            action="For example --separator=';'; a feature spec takes several characters: "
            "docs/feature-spec.md#source",
        )
    return given


def _check_columns(known: list[str], options: TableOptions) -> None:
    columns = options.columns()
    for ours in ("user", "item"):
        if ours not in columns:
            raise InputError(
                f"--{ours}_column must name a column of the file",
                received="an empty text",
                where=options.source,
                action=f"Known: {', '.join(sorted(set(known)))}",
            )
    for ours, theirs in columns.items():
        times = known.count(theirs)
        if times != 1:
            raise InputError(
                f"The column of --{ours}_column must be in the file once",
                received=f"{theirs!r}, {f'{times} times' if times else 'not at all'}",
                where=options.source,
                action="Rename one of them"
                if times
                else nearest_column(theirs, set(known), "Pass --separator={}"),
            )
        if list(columns.values()).count(theirs) > 1:
            raise InputError(
                "Each column of the file may be used once",
                received=f"{theirs!r} for " + ", ".join(o for o in columns if columns[o] == theirs),
                action=f"Correct --{ours}_column",
            )


def _read_text(
    content: bytes, separator: str, options: TableOptions
) -> tuple[pl.DataFrame, int, dict[str, Any]]:
    """Returns the events, the number of lines skipped, and facts of the dataset."""
    name = options.source.name
    header = read_header(content, separator, name)
    _check_columns(header, options)
    ours = {theirs: ours for ours, theirs in options.columns().items()}
    kinds = {"user": ID, "item": ID, "rating": NUMBER}
    fields: dict[str, Kind] = {}
    for position, column in enumerate(header, 1):
        if column == options.time_column:
            fields["time"] = _time_kind(_sample(content, separator, name, header)[column])
        elif column in ours:
            fields[ours[column]] = kinds[ours[column]]
        else:
            # Two columns may have one name, or an ignored one the name of ours.
            taken = column in fields or column in ours.values()
            fields[f"{column} #{position}" if taken else column] = IGNORED
    layout = Layout(fields, separator, quote='"', header=True, own_names=header)
    frame, skipped = read_delimited(content, name, layout, options.max_bad_lines)
    lines = LineFinder(content, name, separator, list(fields))
    notes = [note for key in ("user", "item") for note in check_ids(frame[key], lines)]
    facts: dict[str, Any] = {"notes": notes} if notes else {}
    if fields.get("time") is DATETIME:
        facts[TIME_UNIT] = MICROSECONDS
    return frame.select(list(options.columns())), skipped, facts


def _sample(content: bytes, separator: str, name: str, header: list[str]) -> dict[str, list[str]]:
    lines = content.split(b"\n", _SAMPLED_LINES + 1)[: _SAMPLED_LINES + 1]
    text = decode_text(b"\n".join(lines), name)
    rows = [values for _, _, values in records(io.StringIO(text), separator, '"')][1:]
    whole = [row for row in rows if not isinstance(row, str) and len(row) == len(header)]
    return {column: [row[i] for row in whole] for i, column in enumerate(header)}


def _time_kind(values: list[str]) -> Kind:
    # Most of the sample decides, so that one malformed line is reported and not taken for a date.
    whole = sum(re.match(CANONICAL, value) is not None for value in values)
    return INTEGER if values and whole > len(values) / 2 else DATETIME


def _read_parquet(content: bytes, options: TableOptions) -> tuple[pl.DataFrame, dict[str, Any]]:
    """Returns the events, and facts of the dataset."""
    try:
        frame = pl.read_parquet(io.BytesIO(content))
    except pl.exceptions.PolarsError as error:
        raise InputError(
            "The file must be readable as Parquet", received=error, where=options.source
        ) from error
    _check_columns(frame.columns, options)
    frame = frame.select(pl.col(theirs).alias(ours) for ours, theirs in options.columns().items())
    if frame.is_empty():
        raise InputError("The table must hold at least one row", where=options.source)
    has_dates = "time" in frame.columns and frame["time"].dtype in (pl.Date, pl.Datetime)
    checked = frame.select(
        _checked(frame[column], column, options.columns()[column], options.source)
        for column in frame.columns
    )
    return checked, {TIME_UNIT: MICROSECONDS} if has_dates else {}


def _checked(values: pl.Series, ours: str, theirs: str, source: Path) -> pl.Series:
    where = f"{source}, column '{theirs}'"
    if ours == "time" and values.dtype in (pl.Date, pl.Datetime):
        values = values.cast(pl.Datetime("us")).dt.epoch("us")
    if ours == "rating" and values.dtype.is_numeric():
        values = values.cast(pl.Float32)
    ids = ("integers or text", values.dtype.is_integer() or values.dtype == pl.String)
    expected, allowed = {
        "user": ids,
        "item": ids,
        "rating": ("numbers", values.dtype == pl.Float32),
        "time": ("integers, dates or times", values.dtype.is_integer()),
    }[ours]
    if not allowed:
        raise InputError(
            f"The {ours} column must hold {expected}",
            received=values.dtype,
            where=where,
        )
    bad = values.is_null() | (~values.is_finite() if ours == "rating" else values.is_null())
    if bad.any():
        row = int(bad.arg_true()[0])
        raise InputError(
            f"Every {ours} must be present and finite",
            received=values[row],
            where=f"{where}, row {row + 1}",
        )
    if ours in ("user", "item"):
        check_reserved(values.rename(ours), f"{where}, row")
    return _as_int64(values, ours, where) if values.dtype.is_integer() else values


def _as_int64(values: pl.Series, ours: str, where: str) -> pl.Series:
    fitting = values.cast(pl.Int64, strict=False)
    if fitting.null_count():
        row = int(fitting.is_null().arg_true()[0])
        raise InputError(
            f"Every {ours} must fit a signed integer of 64 bits",
            received=values[row],
            where=f"{where}, row {row + 1}",
            action="Store the column as text" if ours in ("user", "item") else None,
        )
    return fitting
