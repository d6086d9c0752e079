"""Titles of items, for people to read beside raw ids."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable
from pathlib import Path

from data.atomic import write_text
from data.errors import InputError

_COLUMNS = ("id", "title")
_SEPARATORS = frozenset("\t\r\n")


def read_titles(path: Path) -> dict[str, str]:
    """Reads a file with the columns `id` and `title`, named in its first line.

    Columns are separated by tabs, where quotes mean themselves, or by commas with CSV's quotes.

    Args:
        path: The file, UTF-8.

    Returns:
        The title of each raw id, as text.

    Raises:
        InputError: No such file, columns of other names, a line without an id and a title, or an id
            once more.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise _unreadable(path, error) from error
    lines = io.StringIO(text, newline="")
    is_tabs = "\t" in text.partition("\n")[0]
    reader = (
        csv.DictReader(lines, delimiter="\t", quoting=csv.QUOTE_NONE)
        if is_tabs
        else csv.DictReader(lines)
    )
    titles = {}
    try:
        names = reader.fieldnames or ()
        if not set(_COLUMNS) <= set(names):
            raise _unreadable(path, f"the columns {', '.join(names) or 'none'}")
        for row in reader:
            if not row["id"] or row["title"] is None:
                raise _unreadable(f"{path}:{reader.line_num}", "a line without an id and a title")
            if row["id"] in titles:
                raise _unreadable(f"{path}:{reader.line_num}", f"the id {row['id']!r} once more")
            titles[row["id"]] = row["title"]
    except csv.Error as error:
        raise _unreadable(f"{path}:{reader.line_num}", error) from error
    return titles


def write_titles(path: Path, titles: Iterable[tuple[object, str]]) -> None:
    """Writes what `read_titles` reads: raw ids and their titles, separated by tabs.

    Line breaks and tabs of a title become spaces. An empty title is left out, and so is an id that
    is empty or holds one of them, for it could not be read back as it is.
    """
    lines = ["\t".join(_COLUMNS)]
    for raw, title in titles:
        raw_id, words = str(raw), " ".join(title.split())
        if raw_id and words and not _SEPARATORS.intersection(raw_id):
            lines.append(f"{raw_id}\t{words}")
    write_text(path, "\n".join(lines) + "\n")


def _unreadable(where: object, received: object) -> InputError:
    return InputError(
        "Titles must be UTF-8 text, TSV or CSV, with the columns id and title",
        received=received,
        where=where,
        action="Write the line 'id<TAB>title' first, then a line for each item",
    )
