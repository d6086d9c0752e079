"""What the text of a column must be, by the feature that it holds."""

from __future__ import annotations

import re
from collections.abc import Callable

import numpy as np
import polars as pl

from data.errors import InputError
from data.events import SPLITS
from data.feature import Kind as FeatureKind
from data.sources.iso_times import iso_microseconds, parse_iso
from data.sources.layout import INTEGER, INTEGER_ID, Kind, integers
from data.spec.table_spec import FeatureSpec, SourceSpec

MAX_RAW_ID_BYTES = 4_096
_NUMBER = r"^[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?$"
_LINE_BREAK = r"[\r\n]"


def kind_of(feature: FeatureSpec, source: SourceSpec, *, required: bool = False) -> Kind:
    """Returns what a column of texts must hold for a feature.

    Its values are Float32 (label, weight, numeric), Int64 (time, ids of type int64) or String; null
    is missing. An empty text always is, as an empty field of a text file is nothing.

    Args:
        feature: The feature.
        source: Which texts stand for a missing value, and whether blanks count.
        required: Whether a raw id must be there, as labels, weights and times always must.
    """
    makers: dict[FeatureKind, Callable[[FeatureSpec], Kind]] = {
        FeatureKind.LABEL: _label,
        FeatureKind.WEIGHT: lambda _: _required(_number("a number of at least 0", 0.0)),
        FeatureKind.NUMERIC: lambda _: _number("a finite number", -np.inf),
        FeatureKind.TIME: _time,
    }
    kind = makers.get(feature.kind, _raw_id)(feature)
    return _with_missing(_required(kind) if required else kind, source)


def split_kind(source: SourceSpec) -> Kind:
    """Returns the kind of a column that names the split of a row."""
    known = set(SPLITS)

    def convert(texts: pl.Series) -> pl.Series:
        if not texts.is_in(SPLITS).all():
            raise ValueError("a text that names no split")
        return texts

    def parse(text: str) -> str:
        if text not in known:
            raise ValueError(text)
        return text

    return _with_missing(Kind(" or ".join(SPLITS), pl.String(), convert, parse), source)


def text_kind() -> Kind:
    """Returns the kind of a column whose hash decides the split."""
    return Kind("a text", pl.String(), lambda texts: texts, str, required=False)


def _with_missing(kind: Kind, source: SourceSpec) -> Kind:
    """Returns a kind for which some texts are null; a required value must be none of them."""
    missing = ["", *source.missing]
    known = set(missing)

    def convert(texts: pl.Series) -> pl.Series:
        if source.strip:
            texts = texts.str.strip_chars()
        is_missing = texts.is_in(missing)
        kept = texts.set(is_missing, None) if is_missing.any() else texts
        values = kind.convert(kept)
        if values.null_count() != kept.null_count():
            raise ValueError(f"a text that is not {kind.expected}")
        return values

    def parse(text: str) -> object:
        text = text.strip() if source.strip else text
        if text in known:
            if kind.required:
                raise ValueError(text)
            return None
        return kind.parse(text)

    words = kind.expected if kind.required else f"{kind.expected} or missing"
    return Kind(words, pl.String(), convert, parse, kind.required)


def _required(kind: Kind) -> Kind:
    return Kind(kind.expected, kind.dtype, kind.convert, kind.parse, required=True)


def _number(expected: str, least: float) -> Kind:
    def convert(texts: pl.Series) -> pl.Series:
        values = texts.cast(pl.Float32, strict=False)
        wrong = ~(values.is_finite() & (values >= least))
        return values.set(wrong, None) if wrong.any() else values

    def parse(text: str) -> float:
        with np.errstate(over="ignore"):
            value = float(np.float32(text)) if re.fullmatch(_NUMBER, text) else np.nan
        if not (np.isfinite(value) and value >= least):
            raise ValueError(text)
        return value

    return Kind(expected, pl.String(), convert, parse, required=False)


def _label(feature: FeatureSpec) -> Kind:
    if feature.above is not None:
        return _required(_number("a finite number", -np.inf))
    positive, negative = feature.positive or ("1",), feature.negative
    if not feature.positive:
        # 1.0 as some tools write 1; anything else than these is no label.
        positive, negative = ("1", "1.0"), ("0", "0.0")
    values = dict.fromkeys(negative, 0.0) | dict.fromkeys(positive, 1.0)
    default = None if negative else 0.0

    def convert(texts: pl.Series) -> pl.Series:
        return texts.replace_strict(values, default=default, return_dtype=pl.Float32)

    def parse(text: str) -> float:
        if text in values:
            return values[text]
        if default is None:
            raise ValueError(text)
        return default

    expected = " or ".join(map(repr, values)) if negative else "a text"
    return Kind(f"a label: {expected}", pl.String(), convert, parse, required=True)


def _time(feature: FeatureSpec) -> Kind:
    if feature.type == "int64":
        return Kind("an integer of 64 bits", pl.String(), integers, INTEGER.parse)
    return Kind("an ISO 8601 date or time", pl.String(), iso_microseconds, parse_iso)


def _raw_id(feature: FeatureSpec) -> Kind:
    if feature.type == "int64":
        if feature.kind in (FeatureKind.USER, FeatureKind.ITEM):
            words = "an integer of 64 bits other than -1, with which serving pads lists"
            return Kind(words, pl.String(), INTEGER_ID.convert, INTEGER_ID.parse, required=False)
        words = "an integer of 64 bits"
        return Kind(words, pl.String(), integers, INTEGER.parse, required=False)
    if feature.kind is FeatureKind.MULTI_HOT:
        return _raw_texts("texts", feature.separator)
    return _raw_texts("a text", None)


def _raw_texts(words: str, separator: str | None) -> Kind:
    """Returns the kind of raw ids that are texts, or several of them with a separator between."""

    def convert(texts: pl.Series) -> pl.Series:
        long = texts.str.len_bytes() > MAX_RAW_ID_BYTES
        if not long.any() and not _holds_line_break(texts):
            return texts
        if separator and long.any():
            of_each = texts.str.split(separator).list.eval(pl.element().str.len_bytes())
            long = of_each.list.max() > MAX_RAW_ID_BYTES
        wrong = long | texts.str.contains(_LINE_BREAK)
        return texts.set(wrong, None) if wrong.any() else texts

    def parse(text: str) -> str:
        longest = max(
            len(part.encode()) for part in (text.split(separator) if separator else [text])
        )
        if longest > MAX_RAW_ID_BYTES or re.search(_LINE_BREAK, text):
            raise ValueError(text[:40])
        return text

    expected = f"{words} of at most {MAX_RAW_ID_BYTES:,} bytes without line breaks"
    return Kind(expected, pl.String(), convert, parse, required=False)


def _holds_line_break(texts: pl.Series) -> bool:
    """Returns whether any text does: one search in all their bytes, not one for each."""
    *_, content = texts.to_arrow(compat_level=pl.CompatLevel.oldest()).buffers()
    joined = content.to_pybytes() if content else b""
    return b"\n" in joined or b"\r" in joined


def convert_values(values: pl.Series, kind: Kind, where: str, first_row: int) -> pl.Series:
    """Converts a column that is not of a text file, as its text would be.

    Args:
        values: Any type with a text form; null is missing.
        kind: What it must hold.
        where: File and column, for messages.
        first_row: Number of the first row, from 1.

    Raises:
        InputError: A value that is something else.
    """
    try:
        texts = values if values.dtype == pl.String else values.cast(pl.String)
    except pl.exceptions.PolarsError as error:
        raise _no_text(values, where, first_row) from error
    try:
        converted = kind.convert(texts)
        if not (kind.required and converted.null_count()):
            return converted
    except (ValueError, pl.exceptions.PolarsError):
        pass  # and find the row at fault
    for row, text in enumerate(texts):
        try:
            if text is None and kind.required:
                raise ValueError
            if text is not None:
                kind.parse(text)
        except ValueError:
            raise InputError(
                f"Every value must be {kind.expected}",
                received="nothing" if text is None else repr(text[:200]),
                where=f"{where}, row {first_row + row}",
                action="Correct it in the source, or list it under source.missing of the spec",
            ) from None
    raise InputError(f"Every value must be {kind.expected}", where=where)


def _no_text(values: pl.Series, where: str, first_row: int) -> InputError:
    received = f"a column of {values.dtype}"
    for row, value in enumerate(values if values.dtype == pl.Binary else [], first_row):
        if value is not None and value.decode(errors="ignore").encode() != value:
            where, received = f"{where}, row {row}", repr(value[:200])
            break
    return InputError(
        "Every value must be a number, a time or a text in UTF-8", received=received, where=where
    )
