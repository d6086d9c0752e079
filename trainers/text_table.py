"""Tables for people, on a terminal."""

from __future__ import annotations

from collections.abc import Sequence


def text_table(rows: Sequence[Sequence[str]], names: int = 1) -> str:
    """Returns rows in aligned columns, the first as `names` to the left, numbers to the right."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join(
        "  ".join(
            [
                *map(str.ljust, row[:names], widths[:names]),
                *map(str.rjust, row[names:], widths[names:]),
            ]
        )
        for row in rows
    )
