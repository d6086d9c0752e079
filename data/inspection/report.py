"""What was counted of a dataset, as text for people."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from data.feature import Kind
from data.inspection.measures import gini, head_share
from data.inspection.scan import (
    HISTORIES,
    ROWS,
    IdCounts,
    Inspection,
    NumberCounts,
    ViewCounts,
    was_appended,
)
from data.schema import FIRST_ID, Schema
from data.times import time_text, time_unit

_NOTES = {
    "<=": "missing numbers are stored as the feature's default; the dataset does not say how many "
    "were, so the share of values that are the default is an upper bound",
    "unknown": "share of values with id 1: a raw id that has no id in the vocabulary, or a missing "
    "one, which categories do not tell apart; in train, ids too rare for one of their own",
    "gini": "Gini coefficient of the ids' counts in the first split: 0 if all ids are equally "
    "frequent, near 1 if few have all",
    "top 1%": "share of the values that the most frequent 1% of the ids have",
    "shift": "mean less that of the first split, in standard deviations of the first split",
}


def report_text(found: Inspection, where: object) -> str:
    """Returns the report.

    Args:
        found: What was counted.
        where: The dataset's folder.
    """
    schema, rows = found.schema, found.views[ROWS]
    parts = [f"{schema.name} in {where}: {sum(rows.rows.values()):,} rows", _splits(rows, schema)]
    for name, view in found.views.items():
        if name == HISTORIES:
            parts.append(_lists(view, schema))
            continue
        parts.append(_numbers(name, view, schema))
        parts.append(_ids(name, view))
    if schema.crosses:
        parts.append(_crosses(schema))
    text = "\n\n".join(part for part in parts if part)
    notes = [f"  {mark}: {note}" for mark, note in _NOTES.items() if mark in text]
    return text + ("\n\n" + "\n".join(notes) if notes else "")


def table(rows: Sequence[Sequence[str]], left: int = 1) -> str:
    """Returns rows of cells as text, the head first.

    Args:
        rows: As many cells each.
        left: How many columns start at the left; the others, of numbers, end at the right.
    """
    widths = [max(map(len, cells)) for cells in zip(*rows, strict=True)]
    lines = []
    for row in rows:
        cells = [
            cell.ljust(width) if place < left else cell.rjust(width)
            for place, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        lines.append("  ".join(cells).rstrip())
    return "\n".join(lines)


def missing_share(number: NumberCounts, schema: Schema) -> tuple[str, float]:
    """Returns what share of a number's values is missing in the first split.

    Returns:
        `=` where the preparation counted them, `<=` where the values that are the default are all
        that is known; and the share.
    """
    split, rows = next(iter(number.rows.items()))
    counted = schema.facts.get("missing_share")
    if counted is not None and not was_appended(schema):
        return "=", float(counted.get(number.feature.name, 0.0))
    return "<=", number.defaults[split] / max(rows, 1)


def _splits(view: ViewCounts, schema: Schema) -> str:
    labels, times = view.numbers_of(Kind.LABEL), view.numbers_of(Kind.TIME)
    head = ["split", "rows", "share", *(f"{name} mean" for name in labels)]
    unit = time_unit(schema.facts)
    for name in times:
        head += [f"{end} {name}{', UTC' if unit else ''}" for end in ("first", "last")]
    total, lines = max(sum(view.rows.values()), 1), [head]
    for split, rows in view.rows.items():
        line = [split, f"{rows:,}", f"{rows / total:.1%}"]
        line += [f"{n.moments[split].mean:.4f}" if rows else "-" for n in labels.values()]
        for number in times.values():
            moments = number.moments[split] if rows else None
            ends = (moments.minimum, moments.maximum) if moments else ()
            line += [time_text(end, unit) for end in ends] or ["-", "-"]
        lines.append(line)
    return table(lines)


def _numbers(name: str, view: ViewCounts, schema: Schema) -> str:
    numbers = view.numbers_of(Kind.NUMERIC, Kind.WEIGHT)
    if not numbers:
        return ""
    first, *others = view.rows
    head = [f"numbers of {name}", "missing", "mean", "stddev", "minimum", "maximum"]
    lines = [[*head, *(f"shift of {split}" for split in others)]]
    for column, number in numbers.items():
        sign, share = missing_share(number, schema)
        moments = number.moments[first]
        line = [column, f"{'<= ' if sign == '<=' else ''}{share:.1%}"]
        spread = (moments.mean, moments.stddev, moments.minimum, moments.maximum)
        line += [f"{value:.4g}" if moments.count else "-" for value in spread]
        for split in others:
            apart = number.moments[split].mean - moments.mean
            line.append(f"{apart / moments.stddev:+.3f}" if moments.stddev else "-")
        lines.append(line)
    return table(lines)


def _ids(name: str, view: ViewCounts) -> str:
    if not view.ids:
        return ""
    head = [f"ids of {name}", "kind", "cardinality", *(f"unknown {split}" for split in view.rows)]
    has_lists = any(ids.lengths for ids in view.ids.values())
    lines = [[*head, "gini", "top 1%", *(("empty lists", "longest") if has_lists else ())]]
    for column, ids in view.ids.items():
        known = ids.counts[FIRST_ID:]
        hashed = f" (hash of {ids.feature.hash_buckets:,})" if ids.feature.hash_buckets else ""
        line = [column, ids.feature.kind.value + hashed, f"{len(ids.counts):,}"]
        line += [_share(ids.unknown[split], ids.values[split]) for split in view.rows]
        line += [f"{gini(known):.3f}", f"{head_share(known):.1%}"] if known.any() else ["-", "-"]
        lines.append(line + (_list_cells(ids) if has_lists else []))
    return table(lines)


def _list_cells(ids: IdCounts) -> list[str]:
    if not ids.lengths:
        return ["", ""]
    first = next(iter(ids.lengths.values()))
    longest = max(len(lengths) for lengths in ids.lengths.values()) - 1
    return [_share(int(first[0]), int(first.sum())), f"{longest:,}"]


def _share(part: int, whole: int) -> str:
    return f"{part / whole:.2%}" if whole else "-"


def _lists(view: ViewCounts, schema: Schema) -> str:
    """Returns the lengths of the lists of ids in histories, a line a list and split.

    Lists of ratings and times are as long as those of items.
    """
    columns = schema.view(HISTORIES).columns
    of_ids = {c.name for c in columns if schema.feature(c.feature).cardinality is not None}
    lines = [["lists of histories", "split", "users", "empty", "mean", "median", "99%", "longest"]]
    for name, by_split in view.lengths.items():
        if name not in of_ids:
            continue
        for split, lengths in by_split.items():
            users = int(lengths.sum())
            ends = np.cumsum(lengths)
            half, most = (int(np.searchsorted(ends, share * users)) for share in (0.5, 0.99))
            mean = float((np.arange(len(lengths)) * lengths).sum()) / users
            line = [name, split, f"{users:,}", _share(int(lengths[0]), users), f"{mean:.1f}"]
            lines.append([*line, f"{half:,}", f"{most:,}", f"{len(lengths) - 1:,}"])
    return table(lines) if len(lines) > 1 else ""


def _crosses(schema: Schema) -> str:
    lines = [["cross", "of", "buckets"]]
    lines += [[c.name, " x ".join(c.of), f"{c.buckets:,}"] for c in schema.crosses]
    return table(lines)
