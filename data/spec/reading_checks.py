"""Settings of a feature spec that say how files are read and how rows are split."""

from __future__ import annotations

import codecs
from collections import Counter

from data.errors import InputError
from data.feature import Kind
from data.spec.table_spec import SourceSpec, SplitSpec, TableSpec

_MARKS = '\n\r\t,;|"'
# By method: what it cannot do without.
_NEEDED = {"time": ("column", "test_from"), "column": ("column",), "files": ("test_files",)}


def check_source(source: SourceSpec, where: str) -> None:
    """Checks how files are read.

    Raises:
        InputError: What cannot be so.
    """
    twice = [name for name, times in Counter(source.columns).items() if times > 1]
    if twice:
        raise InputError("source.columns must name a column once", received=twice[0], where=where)
    if source.header and source.columns:
        raise InputError(
            "source.columns names columns that no line of the files names",
            received="header: true",
            where=where,
            action="Write header: false, or leave columns out",
        )
    for option in ("separator", "quote"):
        value = getattr(source, option)
        if not value.isascii() or set(value) & set("\r\n") or (option == "quote" and value[1:]):
            raise InputError(
                f"{option} must be of ASCII without line breaks, and quote one character",
                received=repr(value),
                where=f"{where}.{option}",
            )
    if source.quote and source.quote in source.separator:
        raise InputError("quote must differ from separator", received=source.quote, where=where)
    if not _keeps_ascii(source.encoding):
        raise InputError(
            "encoding must be known, and hold line breaks and separators as ASCII does",
            received=repr(source.encoding),
            where=f"{where}.encoding",
            action="For example utf-8, latin-1 or cp1252; convert files of UTF-16 by iconv",
        )


def _keeps_ascii(encoding: str) -> bool:
    try:
        return codecs.encode(_MARKS, encoding) == _MARKS.encode()
    except (LookupError, ValueError, TypeError, AttributeError):  # such as of the codec `zip`
        return False


def check_split(spec: TableSpec, where: str) -> None:
    """Checks how rows are split.

    Raises:
        InputError: What is missing, or does not go with the features.
    """
    split = spec.split
    if split.method in ("hash", "position"):
        shares = (split.validation, split.test)
        if min(shares) < 0 or not 0 < sum(shares) < 1:
            raise InputError(
                "validation and test must be shares of at least 0, and their sum between 0 and 1",
                received=f"{shares[0]:g} and {shares[1]:g}",
                where=where,
            )
    if split.method == "files" and not 0 <= split.validation < 1:
        raise InputError(
            "validation must be a share of at least 0 and below 1",
            received=f"{split.validation:g}",
            where=where,
        )
    for option in _NEEDED.get(split.method, ()):
        if not getattr(split, option):
            raise InputError(
                f"A split by {split.method} must have `{option}`", received="none", where=where
            )
    _check_column(spec, split, where)
    if split.method == "leave_last_out":
        _check_last_out(spec, where)


def _check_column(spec: TableSpec, split: SplitSpec, where: str) -> None:
    times = [feature.column for feature in spec.of_kind(Kind.TIME)]
    if split.method == "time" and times != [split.column]:
        raise InputError(
            "A split by time must name the column of the feature of kind time",
            received=repr(split.column),
            where=f"{where}.column",
            action=f"Write `column: {times[0]}`"
            if times
            else f"Write a feature `time: {{kind: time, column: {split.column}}}`",
        )
    if split.method == "column" and any(f.column == split.column for f in spec.features):
        raise InputError(
            "The column that names the splits must be no feature",
            received=repr(split.column),
            where=f"{where}.column",
            action="Drop the feature: a model would learn the split",
        )


def _check_last_out(spec: TableSpec, where: str) -> None:
    for kind in (Kind.USER, Kind.TIME):
        if not spec.of_kind(kind):
            raise InputError(
                f"A split by leave_last_out must have a feature of kind {kind.value}",
                received="none",
                where=where,
                action=f"Write `{kind.value}: {{kind: {kind.value}, column: NAME}}`",
            )
