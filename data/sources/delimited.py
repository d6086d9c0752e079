"""Delimited text to columns: fast where the text is clean, exact about the line where it is not.

Polars parses the whole file at once. Only when it fails, or leaves a required value empty, the
file is read again line by line to find the malformed lines.
"""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime

import polars as pl

from data.errors import InputError

MAX_INT64 = 2**63 - 1
SHOWN_CHARACTERS = 200  # of a malformed line


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


def _datetime(text: str) -> datetime:
    return datetime.fromisoformat(text.replace("Z", "+00:00"))


INTEGER = Kind("an integer", pl.Int64(), _integer)
NUMBER = Kind("a finite number", pl.Float32(), _finite)
TEXT = Kind("a text that is not empty", pl.String(), _present)
DATETIME = Kind("an ISO 8601 date or time", pl.String(), _datetime)
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


@dataclass(frozen=True)
class BadLine:
    """A malformed line.

    Attributes:
        first: Its number, from 1.
        last: The number of its last line, where quotes span several.
        fault: What is wrong with it, and in which field.
    """

    first: int
    last: int
    fault: str


def read_delimited(
    content: bytes, name: str, layout: Layout, max_bad_lines: float = 0.0
) -> tuple[pl.DataFrame, int]:
    """Parses delimited UTF-8 text; blank lines are passed over.

    Args:
        content: The file's bytes.
        name: The file's name, for messages.
        layout: The fields of a line.
        max_bad_lines: Largest share of malformed lines to skip, between 0 and 1.

    Returns:
        The fields that are not `IGNORED`, one row a line, and the number of lines skipped.

    Raises:
        InputError: Text that is not UTF-8, no line of data, or more malformed lines than allowed.
    """
    try:
        frame = _parse(content, layout)
        if not frame.is_empty() and _is_clean(frame, layout):
            return frame, 0
        reason = "a value that is missing or not finite"
    except (pl.exceptions.PolarsError, ValueError) as error:
        reason = str(error).partition("\n")[0]
    lines = list(io.StringIO(decode_text(content, name), newline="\n"))
    blank = {number for number, line in enumerate(lines, 1) if not line.strip()}
    rows = len(lines) - len(blank) - layout.header
    if rows <= 0:
        raise InputError("The file must hold at least one line of data", where=name)
    bad = _find_bad_lines(lines, layout)
    _check_share(bad, rows, lines, name, layout, max_bad_lines)
    if not bad and not blank:
        raise InputError(layout.rule(), received=reason, where=name)
    dropped = blank.union(*(range(line.first, line.last + 1) for line in bad))
    kept = "".join(line for number, line in enumerate(lines, 1) if number not in dropped)
    return _parse(kept.encode(), layout), len(bad)


def decode_text(content: bytes, name: str, encoding: str = "utf-8") -> str:
    """Decodes a file's bytes.

    Raises:
        InputError: Bytes that the encoding does not know, with their line.
    """
    try:
        return content.decode(encoding)
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise InputError(
            f"The file must be {encoding} text",
            received=f"byte 0x{content[error.start]:02x}",
            where=f"{name}, line {line}",
            action="Pass its true encoding, such as --encoding=latin-1, or convert it: "
            "iconv -f latin1 -t utf-8",
        ) from error


def _parse(content: bytes, layout: Layout) -> pl.DataFrame:
    used = [n for n, kind in enumerate(layout.fields.values()) if kind is not IGNORED]
    return pl.read_csv(
        content,
        has_header=layout.header,
        columns=used,
        separator=layout.separator,
        quote_char=layout.quote,
        schema={name: kind.dtype for name, kind in layout.fields.items()},
    )


def _is_clean(frame: pl.DataFrame, layout: Layout) -> bool:
    checks = []
    for name, kind in layout.fields.items():
        if kind.required:
            checks.append(pl.col(name).is_not_null().all())
        if kind is NUMBER:
            checks.append(pl.col(name).is_finite().all())
    return all(frame.select(check.alias(str(n)) for n, check in enumerate(checks)).row(0))


def _find_bad_lines(lines: list[str], layout: Layout) -> list[BadLine]:
    reader = csv.reader(
        iter(lines),
        delimiter=layout.separator,
        quotechar=layout.quote,
        quoting=csv.QUOTE_NONE if layout.quote is None else csv.QUOTE_MINIMAL,
    )
    bad: list[BadLine] = []
    last = 0
    for values in reader:
        first, last = last + 1, reader.line_num
        is_header = layout.header and first == 1
        fault = None if is_header or not "".join(values).strip() else _fault(values, layout)
        if fault is not None:
            bad.append(BadLine(first, last, fault))
    return bad


def _fault(values: list[str], layout: Layout) -> str | None:
    if len(values) != len(layout.fields):
        return f"{len(values)} of {len(layout.fields)} fields"
    for value, (name, kind) in zip(values, layout.fields.items(), strict=True):
        try:
            kind.parse(value)
        except ValueError:
            return f"field '{name}': {value!r} is not {kind.expected}"
    return None


def _check_share(
    bad: list[BadLine], rows: int, lines: list[str], name: str, layout: Layout, allowed: float
) -> None:
    if len(bad) <= allowed * rows:
        return
    text = "".join(lines[bad[0].first - 1 : bad[0].last]).rstrip("\r\n")
    if layout.shown_separator:
        text = text.replace(layout.separator, layout.shown_separator)
    raise InputError(
        layout.rule(),
        received=f"{text[:SHOWN_CHARACTERS]!r}; {bad[0].fault}",
        where=f"{name}, line {bad[0].first} ({len(bad):,} of {rows:,} lines are malformed)",
        action=f"Correct the file, or skip a share of the lines: --max_bad_lines=0.01; "
        f"now {allowed:g}",
    )
