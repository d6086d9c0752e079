"""Delimited text to columns: fast where the text is clean, exact about the line where it is not.

Polars parses the file in large parts. Only when it fails, or a value is not what it must be, the
file is read again line by line to find the malformed lines.
"""

from __future__ import annotations

import codecs
import csv
import io
from collections.abc import Iterator

import polars as pl

from data.errors import InputError
from data.sources.bad_lines import counts_by_reason, find_bad_lines, shown_line
from data.sources.layout import IGNORED, Layout
from data.sources.line_widths import check_widths

PART_BYTES = 1 << 25  # parsed at once
_HEAD = 200  # bytes that tell UTF-16
_SHOWN_BEFORE = 40  # characters before a byte that cannot be read


def read_delimited(
    content: bytes, name: str, layout: Layout, max_bad_lines: float = 0.0, first_line: int = 1
) -> tuple[pl.DataFrame, int]:
    """Parses delimited UTF-8 text; blank lines are passed over.

    Args:
        content: The file's bytes.
        name: The file's name, for messages.
        layout: The fields of a line.
        max_bad_lines: Largest share of malformed lines to skip, between 0 and 1.
        first_line: Number of the content's first line in the file, for messages.

    Returns:
        The fields that are not `IGNORED`, one row a line, and the number of lines skipped.

    Raises:
        InputError: Text that is not UTF-8, no line of data, or more malformed lines than allowed.
    """
    try:
        return _parse(content, layout), 0
    except (pl.exceptions.PolarsError, ValueError):
        pass  # and find the lines at fault
    lines = list(io.StringIO(decode_text(content, name, first_line=first_line), newline="\n"))
    blank = {number for number, line in enumerate(lines, 1) if not line.strip()}
    rows = len(lines) - len(blank) - layout.header
    if rows <= 0:
        raise InputError("The file must hold at least one line of data", where=name)
    bad = find_bad_lines(lines, layout)
    # An open quote runs over many lines: all of them are lost, so all of them count.
    skipped = {n for line in bad for n in range(line.first, line.last + 1)} - blank
    if len(skipped) > max_bad_lines * rows:
        reasons = f": {counts_by_reason(bad, first_line)}" if len(bad) > 1 else ""
        raise InputError(
            layout.rule(),
            received=shown_line(bad[0], lines, layout),
            where=f"{name}, line {bad[0].first + first_line - 1} "
            f"({len(skipped):,} of {rows:,} lines are malformed{reasons})",
            action="Correct the file, or skip a share of the lines: --max_bad_lines=0.01; "
            f"now {max_bad_lines:g}",
        )
    kept = "".join(line for n, line in enumerate(lines, 1) if n not in blank | skipped)
    try:
        return _parse(kept.encode(), layout), len(skipped)
    except (pl.exceptions.PolarsError, ValueError) as error:
        reason = str(error).partition("\n")[0]
        raise InputError(layout.rule(), received=reason, where=name) from error


def decode_text(content: bytes, name: str, encoding: str = "utf-8", first_line: int = 1) -> str:
    """Decodes a file's bytes, or a part of them that begins with line `first_line`.

    Raises:
        InputError: Bytes that the encoding does not know, with their line.
    """
    if content[:2] in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE) or b"\0" in content[:_HEAD]:
        raise InputError(
            f"The file must be {encoding} text",
            received="UTF-16, by its first bytes",
            where=name,
            action="Convert it: iconv -f utf-16 -t utf-8 FILE > NEW_FILE",
        )
    try:
        return content.decode(encoding)
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + first_line
        raise InputError(
            f"The file must be {encoding} text",
            received=f"byte 0x{content[error.start]:02x} after {_before(content, error)!r}",
            where=f"{name}, line {line}",
            action="Convert it, such as: iconv -f latin1 -t utf-8 FILE > NEW_FILE",
        ) from error


def _before(content: bytes, error: UnicodeDecodeError) -> str:
    """Returns what stands before a byte that cannot be read, in its line."""
    line = content[content.rfind(b"\n", 0, error.start) + 1 : error.start]
    return line.decode(error.encoding, "replace")[-_SHOWN_BEFORE:]


def read_header(content: bytes, separator: str, name: str) -> list[str]:
    """Returns the names in the first line, without blanks around them.

    Raises:
        InputError: Text that is not UTF-8, or no line.
    """
    head = content[: content.find(b"\n") + 1] or content
    # utf-8-sig: a byte-order mark, as spreadsheets write, is no part of the first name.
    text = decode_text(head, name, "utf-8-sig")
    try:
        return [column.strip() for column in next(csv.reader([text], delimiter=separator))]
    except csv.Error as error:
        raise InputError(
            "Lines must end in LF or CR LF, and the first one must hold the names of the columns",
            received=error,
            where=f"{name}, line 1",
            action="Where lines end in CR alone, convert them: tr '\\r' '\\n' < FILE > NEW_FILE",
        ) from error


def _parse(content: bytes, layout: Layout) -> pl.DataFrame:
    """Returns the fields that are used; raises ValueError or a PolarsError where one is wrong."""
    start = len(content.partition(b"\n")[0]) + 1 if layout.header else 0
    frames = [_parse_part(part, layout) for part in _parts(content, start, layout.quote)]
    if not frames:
        raise ValueError("no line of data")
    # Ids that are integers in one part and text in another are text; integers read as before.
    texts = {name for frame in frames for name in frame.columns if frame[name].dtype == pl.String}
    return pl.concat(frame.with_columns(pl.col(texts).cast(pl.String)) for frame in frames)


def _parts(content: bytes, start: int, quote: str | None) -> Iterator[bytes]:
    """Yields the content in parts of whole lines: texts take more memory than what they become."""
    whole = quote is not None and quote.encode() in content  # a line may end inside quotes
    while start < len(content):
        end = len(content) if whole else content.find(b"\n", start + PART_BYTES) + 1
        part = content[start : end or len(content)]
        if not part.isspace():
            yield part
        start += len(part)


def _parse_part(content: bytes, layout: Layout) -> pl.DataFrame:
    fields = {name: kind for name, kind in layout.fields.items() if kind is not IGNORED}
    used = [n for n, name in enumerate(layout.fields) if name in fields]
    frame = pl.read_csv(
        content,
        has_header=False,
        # Only where all columns are read does Polars refuse lines that are too long.
        columns=None if len(fields) == len(layout.fields) else used,
        separator=layout.separator,
        quote_char=layout.quote,
        schema={name: kind.dtype for name, kind in layout.fields.items()},
    )
    check_widths(content, layout, len(frame), all_read=len(fields) == len(layout.fields))
    for name, kind in fields.items():
        frame = frame.with_columns(kind.convert(frame[name]).alias(name))
        if kind.required and frame[name].null_count():
            raise ValueError(f"field '{name}': a value that is not {kind.expected}")
    return frame
