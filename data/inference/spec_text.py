"""A spec as text: YAML with the reason of each choice above it."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import fields
from typing import Any

import yaml

from data.spec.table_spec import SourceSpec

_WIDTH = 100
_PLAIN = re.compile(r"[A-Za-z_][A-Za-z0-9_-]*")


def scalar(value: Any) -> str:
    """Returns a value as YAML on one line, texts in quotes where they need them."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, (int, float)):
        return repr(value)
    if _PLAIN.fullmatch(value) and yaml.safe_load(value) == value:
        return value
    dumped = yaml.safe_dump(value, default_style='"', allow_unicode=True, width=float("inf"))
    return dumped.rstrip("\n")


def flow(value: Any) -> str:
    """Returns texts, numbers, lists and blocks of them as YAML on one line."""
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{scalar(k)}: {flow(v)}" for k, v in value.items()) + "}"
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(map(flow, value)) + "]"
    return scalar(value)


def comment(text: str, indent: int = 0) -> list[str]:
    """Returns a text as lines of comment."""
    mark = " " * indent + "# "
    shown = "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)
    return textwrap.wrap(
        shown,
        _WIDTH,
        initial_indent=mark,
        subsequent_indent=mark,
        break_long_words=False,
        break_on_hyphens=False,
    )


def source_lines(source: SourceSpec, whys: Mapping[str, str]) -> list[str]:
    """Returns the block `source`: what differs from the defaults, and how files are read."""
    lines = ["source:", f"  format: {source.format}"]
    for entry in fields(SourceSpec):
        value = getattr(source, entry.name)
        if entry.name == "format" or value == getattr(SourceSpec(), entry.name):
            continue
        if entry.name in whys:
            lines += comment(whys[entry.name], 2)
        text = f"  {entry.name}: {flow(value)}"
        lines += _wrapped(text) if isinstance(value, tuple) else [text]
    return lines


def block_lines(name: str, block: Mapping[str, Any]) -> list[str]:
    """Returns a block on one line where it fits, else a key a line."""
    line = f"{name}: {flow(block)}"
    if len(line) <= _WIDTH:
        return [line]
    return [f"{name}:", *(f"  {scalar(key)}: {flow(value)}" for key, value in block.items())]


def _wrapped(text: str) -> list[str]:
    """Returns a list in brackets as lines, broken after the commas between its entries."""
    entries = re.findall(r'(?:"(?:[^"\\]|\\.)*"|[^",])+(?:, |$)', text)
    lines = [""]
    for entry in entries:
        if len(lines[-1]) + len(entry.rstrip()) > _WIDTH and lines[-1]:
            lines.append("    ")
        lines[-1] += entry
    return [line.rstrip() for line in lines]


def feature_lines(
    features: Iterable[tuple[str, Mapping[str, Any], str]], left_out: Sequence[tuple[str, str]]
) -> list[str]:
    """Returns the block `features`.

    Args:
        features: By feature its name, its keys, and why.
        left_out: Columns that are no features, and why.
    """
    lines = ["features:"]
    for name, keys, why in features:
        lines += [*comment(why, 2), f"  {scalar(name)}: {flow(keys)}"]
    if left_out:
        lines.append("  # Left out:")
        for column, why in left_out:
            lines += comment(f"  {column!r}: {why}", 2)
    return lines
