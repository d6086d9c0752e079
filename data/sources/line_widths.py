"""Whether every line of delimited text has as many fields as it must have."""

from __future__ import annotations

import re

import numpy as np

from data.sources.layout import Layout


def check_widths(content: bytes, layout: Layout, rows: int, *, all_read: bool) -> None:
    """Raises ValueError where a line has too few fields, or too many.

    Polars fills up lines that are too short, which fields that may be empty would not show, and
    cuts off those that are too long where not all columns are read.

    Args:
        content: Whole lines.
        layout: The fields of a line.
        rows: Number of rows that Polars made of them.
        all_read: Whether it read all columns, and so refused lines that are too long.
    """
    if layout.quote and layout.quote.encode() in content:
        mark = re.escape(layout.quote.encode())
        content = re.sub(b"%b[^%b]*%b" % (mark, mark, mark), b"", content)
    wanted = len(layout.fields) - 1
    if content.count(layout.separator.encode()) != rows * wanted:
        raise ValueError("a line with too few fields, or too many")
    if all_read:
        return
    characters = np.frombuffer(content + b"\n", np.uint8)
    separators = np.flatnonzero(characters == ord(layout.separator))
    before = np.searchsorted(separators, np.flatnonzero(characters == ord("\n")))
    widths = np.diff(before, prepend=0)
    if not ((widths == wanted) | (widths == 0)).all():  # 0: a blank line
        raise ValueError("a line with too few fields, and one with too many")
