"""Titles of items in a file of their own: two columns, `id` and `title`."""

from __future__ import annotations

import csv
import io
from pathlib import Path

from data.errors import InputError
from data.sources.delimited import decode_text

_COLUMNS = ["id", "title"]


def read_titles(path: Path) -> dict[str, str]:
    """Reads titles by raw id.

    Args:
        path: UTF-8 text with the header `id,title`; tabs in place of commas where the name ends in
            .tsv. Fields that hold the separator or a quote stand in double quotes.

    Raises:
        InputError: No such file, another header, a line of other than two fields, an empty or
            repeated id.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise InputError("The file of titles must be readable", received=error) from error
    text = decode_text(content, str(path), "utf-8-sig")
    separator = "\t" if path.suffix == ".tsv" else ","
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator)
    titles: dict[str, str] = {}
    fields: list[str] = []
    try:
        fields = next(reader, [])
        if fields != _COLUMNS:
            raise ValueError("another header")
        for fields in filter(None, reader):
            raw_id, title = fields
            if not raw_id or raw_id in titles:
                raise ValueError("an empty or repeated id")
            titles[raw_id] = title
    except (ValueError, csv.Error) as error:
        raise InputError(
            "Titles must be lines of an id and its title, under the header id,title",
            received=f"{error}: {separator.join(fields)!r}",
            where=f"{path}, line {reader.line_num}",
            action="Fields are parted by commas, in a .tsv file by tabs",
        ) from error
    return titles
