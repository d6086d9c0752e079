"""Malformed lines of delimited text: which they are, and what is wrong with them."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from data.sources.layout import Layout

SHOWN_CHARACTERS = 200  # of a malformed line
_SHOWN_LINES = 5  # of those that have one thing wrong with them
_SHOWN_REASONS = 5


@dataclass(frozen=True)
class BadLine:
    """A malformed line.

    Attributes:
        first: Its number, from 1.
        last: The number of its last line, where quotes span several.
        reason: What is wrong with it, in words that others of its kind share.
        fault: The same with the value at fault.
    """

    first: int
    last: int
    reason: str
    fault: str


def records(
    lines: Iterator[str], separator: str, quote: str | None
) -> Iterator[tuple[int, int, list[str] | str]]:
    """Yields first line, last line, and fields of each record, or what keeps it from being read."""
    reader = csv.reader(
        lines,
        delimiter=separator,
        quotechar=quote,
        quoting=csv.QUOTE_NONE if quote is None else csv.QUOTE_MINIMAL,
    )
    last = 0
    while True:
        values: list[str] | str
        try:
            values = next(reader)
        except StopIteration:
            return
        except csv.Error as error:  # such as a quote that stays open for very long
            values = str(error)
        first, last = last + 1, reader.line_num
        yield first, last, values


def find_bad_lines(lines: list[str], layout: Layout) -> list[BadLine]:
    """Returns the malformed lines of a text, in order; blank ones are none."""
    bad: list[BadLine] = []
    for first, last, values in records(iter(lines), layout.separator, layout.quote):
        is_header = layout.header and first == 1
        if is_header or not "".join(values).strip():
            continue
        text = "".join(lines[first - 1 : last])
        fault = _quote_fault(text, layout) or _fault(values, layout)
        if fault is not None:
            bad.append(BadLine(first, last, *fault))
    return bad


def _quote_fault(text: str, layout: Layout) -> tuple[str, str] | None:
    if layout.quote is None or layout.quote not in text:
        return None
    quote, separator = re.escape(layout.quote), re.escape(layout.separator)
    inside = f"(?:[^{quote}]|{quote}{quote})*"
    whole = rf"(?:^|(?<={separator})){quote}{inside}{quote}(?={separator}|\r?\n?\Z)"
    if layout.quote not in re.sub(whole, "", text):
        return None
    fault = f"a {layout.quote} that is not closed, or inside a field without quotes"
    return fault, fault


def _fault(values: list[str] | str, layout: Layout) -> tuple[str, str] | None:
    """Returns what is wrong with the fields of a line, without and with the value at fault."""
    if isinstance(values, str):
        return values, values
    if len(values) != len(layout.fields):
        fault = f"{len(values)} of {len(layout.fields)} fields"
        return fault, fault
    for value, name, kind in zip(values, layout.names, layout.fields.values(), strict=True):
        try:
            kind.parse(value)
        except ValueError:
            if not value.strip():
                return f"{name} is empty", f"{name} is empty"
            reason = f"{name} is not {kind.expected}"
            return reason, f"field '{name}': {value[:SHOWN_CHARACTERS]!r} is not {kind.expected}"
    return None


def counts_by_reason(bad: Sequence[BadLine], first_line: int) -> str:
    """Returns how many lines have what wrong with them and some of their numbers, for people.

    Args:
        bad: The malformed lines.
        first_line: Number in the file of the line that they count as the first.
    """
    numbers: dict[str, list[int]] = {}
    for line in bad:
        numbers.setdefault(line.reason, []).append(line.first + first_line - 1)
    often = sorted(numbers, key=lambda reason: -len(numbers[reason]))
    shown = [_reason(reason, numbers[reason]) for reason in often[:_SHOWN_REASONS]]
    others = sum(len(numbers[reason]) for reason in often[_SHOWN_REASONS:])
    return "; ".join([*shown, *([f"something else in {others:,}"] if others else [])])


def _reason(reason: str, numbers: list[int]) -> str:
    some = ", ".join(map(str, numbers[:_SHOWN_LINES]))
    if len(numbers) == 1:
        return f"{reason} in line {some}"
    more = ", ..." if len(numbers) > _SHOWN_LINES else ""
    return f"{reason} in {len(numbers):,}: lines {some}{more}"


def shown_line(bad: BadLine, lines: list[str], layout: Layout) -> str:
    """Returns the beginning of a malformed line and what is wrong with it, for people."""
    text = "".join(lines[bad.first - 1 : bad.last]).rstrip("\r\n")
    if layout.shown_separator:
        text = text.replace(layout.separator, layout.shown_separator)
    return f"{text[:SHOWN_CHARACTERS]!r}; {bad.fault}"
