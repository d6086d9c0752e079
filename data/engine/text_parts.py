"""Delimited text of any size to frames: cut between records, parsed part by part."""

from __future__ import annotations

import codecs
from collections.abc import Iterator
from dataclasses import dataclass
from typing import IO

import polars as pl

from data.engine.column_kinds import kind_of, split_kind, text_kind
from data.engine.source_files import SEPARATORS, SourceFile, format_of
from data.errors import InputError
from data.sources.delimited import decode_text, read_delimited, read_header
from data.sources.layout import IGNORED, Kind, Layout
from data.spec.table_spec import TableSpec

_ONE_CHARACTER = "\x1f"  # in place of a separator of several, which parsers do not take
_HEAD_BYTES = 1 << 20  # that hold the names of the columns
_OPEN_PARTS = 4  # parts that a record may run over before its quote counts as never closed


@dataclass(frozen=True)
class TextPart:
    """Whole records of a file.

    Attributes:
        content: Their bytes.
        first_line: Number of the first line in the file, from 1.
    """

    content: bytes
    first_line: int


class TextReader:
    """Reads one delimited file.

    Args:
        file: The file.
        spec: What its columns mean.
        max_bad_lines: Largest share of malformed lines of a part to skip.

    Attributes:
        columns: Names of all columns of the file, in its order.

    Raises:
        InputError: An empty file, or a column of the spec that is missing or there twice.
    """

    def __init__(self, file: SourceFile, spec: TableSpec, max_bad_lines: float) -> None:
        self._file, self._spec, self._max_bad_lines = file, spec, max_bad_lines
        self._shown = spec.source.separator or SEPARATORS[format_of(spec.source, file)]
        self._separator = self._shown if len(self._shown) == 1 else _ONE_CHARACTER
        self._quote = spec.source.quote or None
        self.columns = self._header()
        self._layout = self._make_layout(self.columns)

    def parts(self, part_bytes: int) -> Iterator[TextPart]:
        """Yields the file's records in parts of about `part_bytes`; blank parts are left out."""
        with self._file.open() as stream:
            for part in cut_records(stream, part_bytes, self._quote):
                if not part.content.isspace():  # which, unlike strip, copies nothing
                    yield part

    def _header(self) -> list[str]:
        source = self._spec.source
        with self._file.open() as stream:
            head = first_line(self._without_comments(stream.read(_HEAD_BYTES))[0])
        if not head.strip():
            raise InputError(
                "The file must hold at least one line",
                received="an empty file" if not head else "a blank first line",
                where=self._file.path,
            )
        head = self._with_one_character(head)
        names = list(source.columns)
        if source.header:
            text = decode_text(head, self._file.name, source.encoding)
            names = read_header(text.encode(), self._separator, self._file.name)
        elif not names:
            fields = len(read_header(head, self._separator, self._file.name))
            names = [f"column_{n}" for n in range(1, fields + 1)]
        self._spec.check_columns(names, self._file.path)
        return names

    def _with_one_character(self, content: bytes) -> bytes:
        if self._shown == self._separator:
            return content
        return content.replace(self._shown.encode(), self._separator.encode())

    def _without_comments(self, content: bytes) -> tuple[bytes, int]:
        """Returns a file's beginning without the comments above its data, and its first line."""
        content = content.removeprefix(codecs.BOM_UTF8)
        line, mark = 1, self._spec.source.comment.encode()
        while mark and content.startswith(mark):
            content, line = content.partition(b"\n")[2], line + 1
        return content, line

    def _make_layout(self, header: list[str]) -> Layout:
        fields: dict[str, Kind] = {}
        kinds = column_kinds(self._spec)
        for position, column in enumerate(header, 1):
            name = f"{column} #{position}" if column in fields else column
            fields[name] = kinds.get(column, IGNORED) if name == column else IGNORED
        shown = self._shown if self._shown != self._separator else None
        return Layout(fields, self._separator, shown, quote=self._quote)

    def frame(self, part: TextPart) -> tuple[pl.DataFrame, int]:
        """Returns a part's values by column, and the number of lines skipped.

        Raises:
            InputError: Malformed lines, with the first one's number and what is wrong with it.
        """
        content, line = part.content, part.first_line
        if line == 1:
            content, line = self._without_comments(content)
            if self._spec.source.header:
                content, line = content.partition(b"\n")[2], line + 1
        encoding = self._spec.source.encoding
        if encoding.lower() not in ("utf-8", "utf8"):
            content = decode_text(content, self._file.name, encoding, line).encode()
        content = self._with_one_character(content)
        # Not all blanks: tabs at a line's end stand for missing values.
        content = content.rstrip(b"\r\n")
        if not content or content.isspace():
            return pl.DataFrame(), 0
        return read_delimited(content, self._file.name, self._layout, self._max_bad_lines, line)


def column_kinds(spec: TableSpec) -> dict[str, Kind]:
    """Returns what the columns must hold that a spec reads."""
    kinds = dict.fromkeys(spec.columns(), text_kind())
    if spec.split.method == "column":
        kinds[spec.split.column] = split_kind(spec.source)
    return kinds | {
        f.column: kind_of(f, spec.source, required=spec.needs(f)) for f in spec.features
    }


def first_line(text: bytes) -> bytes:
    """Returns the first line of a text, with its end."""
    return text[: text.find(b"\n") + 1] or text


def cut_records(stream: IO[bytes], part_bytes: int, quote: str | None) -> Iterator[TextPart]:
    """Cuts text between records: at a line break that is not inside quotes.

    Args:
        stream: The text.
        part_bytes: Bytes to read at once.
        quote: Quoting character.
    """
    held, line = b"", 1
    while more := stream.read(part_bytes):
        held += more
        end = _end_of_records(held, quote)
        if not end and len(held) >= _OPEN_PARTS * part_bytes:
            end = held.rfind(b"\n") + 1  # the parser will name the open quote
        if end:
            yield TextPart(held[:end], line)
            line += held.count(b"\n", 0, end)
            held = held[end:]
    if held:
        yield TextPart(held, line)


def _end_of_records(text: bytes, quote: str | None) -> int:
    """Returns where the last whole record ends, 0 if none does."""
    mark = quote.encode() if quote else b""
    end = text.rfind(b"\n") + 1
    if not mark or mark not in text:
        return end
    before = text.count(mark, 0, end)
    while end and before % 2:
        earlier = text.rfind(b"\n", 0, end - 1) + 1
        before -= text.count(mark, earlier, end)
        end = earlier
    return end
