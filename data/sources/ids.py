"""Raw ids of text tables: integers where every one of them is one, else text.

No majority decides: among the texts, 007 and 7 stay two ids and SKU-12 stays one. One id that is
no integer makes a column text, which is noted, as it may be a slip.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass

import polars as pl

from data.events import RESERVED_INTEGER, reserved_id
from data.sources.bad_lines import records
from data.sources.layout import integers


@dataclass(frozen=True)
class LineFinder:
    """Finds the line of an id once it is known to be worth a message.

    Attributes:
        content: The file's bytes, with a header.
        name: The file's name.
        separator: One character between fields.
        fields: Our names of a line's fields, in the file's order.
    """

    content: bytes
    name: str
    separator: str
    fields: Sequence[str]

    def where(self, field: str, value: str) -> str:
        """Returns file and line of the first id of the field that reads `value`."""
        position = self.fields.index(field)
        lines = io.TextIOWrapper(io.BytesIO(self.content), "utf-8", "replace", newline="\n")
        for first, _, values in records(lines, self.separator, '"'):
            whole = not isinstance(values, str) and len(values) == len(self.fields)
            if first > 1 and whole and values[position].strip() == value:
                return f"{self.name}, line {first}"
        return self.name


def check_ids(ids: pl.Series, lines: LineFinder) -> list[str]:
    """Checks the ids of a column.

    Args:
        ids: Int64 or String; the column's name is `user` or `item`.
        lines: The file that they are from.

    Returns:
        A note where the ids are text although most are integers.

    Raises:
        InputError: An integer that serving keeps for itself.
    """
    if ids.dtype == pl.Int64:
        if (ids == RESERVED_INTEGER).any():
            where = lines.where(ids.name, str(RESERVED_INTEGER))
            raise reserved_id(ids.name, RESERVED_INTEGER, where)
        return []
    others = ids.filter(integers(ids).is_null())
    if 2 * len(others) >= len(ids):
        return []
    return [
        f"{ids.name} ids are text, as {len(others):,} of {len(ids):,} are no integers in plain "
        f"spelling; the first is {others[0]!r} ({lines.where(ids.name, others[0])})"
    ]
