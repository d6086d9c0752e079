"""How a text file seems to be laid out, from its first lines."""

from __future__ import annotations

import csv
import re
from dataclasses import replace

from data.engine.source_files import FORMATS, SEPARATORS, SourceFile
from data.errors import InputError
from data.sources.delimited import decode_text
from data.spec.table_spec import SourceSpec

_HEAD_BYTES = 1 << 18
_HEAD_LINES = 200
_SEPARATORS = (",", "\t", ";", "|", "::")
_VALUE = re.compile(r"[+-]?[0-9.,]+(?:[eE][+-]?[0-9]+)?|[0-9]{4}-[0-9]{2}-[0-9]{2}.*")


def guess_layouts(file: SourceFile) -> list[SourceSpec]:
    """Returns how a text file may be read, the likeliest first.

    They differ in the encoding and in whether quotes mean anything, which the first lines may not
    show.

    Raises:
        InputError: A file without a line, or of UTF-16.
    """
    with file.open() as stream:
        head = stream.read(_HEAD_BYTES)
    if len(head) == _HEAD_BYTES:
        head = head[: head.rfind(b"\n") + 1]
    encoding = "utf-8" if _is_utf8(head) else "latin-1"
    lines = decode_text(head, file.name, "utf-8-sig" if encoding == "utf-8" else encoding)
    shown = [line for line in lines.splitlines() if line.strip()][:_HEAD_LINES]
    if not shown:
        raise InputError(
            "The file must hold at least one line", received="a blank one", where=file.path
        )
    likely = _layout(file, shown)
    encodings = [encoding, *({"latin-1"} - {encoding})]
    return [replace(likely, encoding=e, quote=q) for e in encodings for q in ('"', "")]


def _is_utf8(head: bytes) -> bool:
    try:
        head.decode()
    except UnicodeDecodeError:
        return False
    return True


def _layout(file: SourceFile, lines: list[str]) -> SourceSpec:
    suffixes = [s.lower() for s in file.path.suffixes if s.lower() in FORMATS]
    kind = FORMATS[suffixes[-1]] if suffixes else "csv"
    own = SEPARATORS[kind]
    comment = _comment(lines)
    body = [line for line in lines if not (comment and line.startswith(comment))]
    candidates = [own, *(s for s in _SEPARATORS if s != own)]
    separator = next((s for s in candidates if _cuts_evenly(body, s)), own)
    rows = [fields_of(line, separator) for line in body]
    header = has_header(rows)
    return SourceSpec(
        format="tsv" if kind == "tsv" else "csv",
        separator="" if separator == own else separator,
        header=header,
        columns=() if header else tuple(f"column_{n}" for n in range(1, len(rows[0]) + 1)),
        comment=comment,
    )


def _comment(lines: list[str]) -> str:
    first = lines[0][0]
    return first if first in "#%|" and len(lines) > 1 and lines[1][0] != first else ""


def _cuts_evenly(lines: list[str], separator: str) -> bool:
    """Returns whether nearly all lines have as many fields as the first, and more than one."""
    widths = [len(fields_of(line, separator)) for line in lines]
    return widths[0] > 1 and widths.count(widths[0]) >= 0.9 * len(widths)


def fields_of(line: str, separator: str) -> list[str]:
    """Returns the fields of a line, without blanks around them."""
    if len(separator) > 1:
        fields = line.split(separator)
    else:
        try:
            fields = next(csv.reader([line], delimiter=separator), [""])
        except csv.Error:
            fields = line.split(separator)
    return [field.strip() for field in fields]


def has_header(rows: list[list[str]]) -> bool:
    """Returns whether the first row seems to hold names.

    It does where none of its fields is a number or a time, and either a column holds numbers below,
    or no field stands again in its column.
    """
    names, body = rows[0], rows[1:]
    if any(_VALUE.fullmatch(name) for name in names) or names.count("") > 1:
        return False
    columns = [[row[n] for row in body if len(row) == len(names)] for n in range(len(names))]
    for column in columns:
        present = [text for text in column if text]
        if present and sum(bool(_VALUE.fullmatch(t)) for t in present) >= 0.8 * len(present):
            return True
    return not any(name in column for name, column in zip(names, columns, strict=True))
