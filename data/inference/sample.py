"""The first rows of a file, every column as texts, read as `data.prepare` reads them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import polars as pl
import pyarrow.parquet as pq

from data.engine.record_parts import ParquetReader, RecordReader, TFRecordReader, record_features
from data.engine.source_files import FORMATS, SourceFile
from data.engine.text_parts import TextReader
from data.errors import InputError
from data.inference.text_layout import guess_layouts
from data.spec.table_spec import SourceSpec, SplitSpec, TableSpec

_PART_BYTES = 1 << 22
_PARQUET = b"PAR1"


@dataclass(frozen=True)
class Sample:
    """Rows of a file.

    Attributes:
        source: How the file is read.
        columns: By name: texts, or lists of texts; null where there is nothing.
        unusable: Columns that no feature can hold, and why.
        rows: Number of rows.
        complete: Whether the file has no more.
    """

    source: SourceSpec
    columns: dict[str, pl.Series]
    unusable: dict[str, str]
    rows: int
    complete: bool


def read_sample(file: SourceFile, rows: int) -> Sample:
    """Reads the first rows of a file.

    Raises:
        InputError: A file that `data.prepare` could not read either, with the line at fault.
    """
    ending = next((FORMATS[s.lower()] for s in reversed(file.path.suffixes) if s in FORMATS), "")
    with file.explained(), file.path.open("rb") as stream:
        is_parquet = ending == "parquet" or stream.read(len(_PARQUET)) == _PARQUET
    if is_parquet:
        with file.explained():
            names = pq.read_schema(file.path).names
        once = [name for name in names if names.count(name) == 1]
        reader: RecordReader = ParquetReader(file, _spec(SourceSpec(format="parquet"), once))
        return _of_records(reader, SourceSpec(format="parquet"), names, rows, file)
    if ending == "tfrecord":
        names = sorted(record_features(file))
        reader = TFRecordReader(file, _spec(SourceSpec(format="tfrecord"), names))
        return _of_records(reader, SourceSpec(format="tfrecord"), names, rows, file)
    return _of_text(file, rows)


def _spec(source: SourceSpec, columns: list[str]) -> TableSpec:
    """Returns a spec that reads columns as they are."""
    return TableSpec("sample", (), source, split=SplitSpec("hash", of=tuple(columns)))


def _of_text(file: SourceFile, rows: int) -> Sample:
    layouts = guess_layouts(file)
    first_error: InputError | None = None
    for source in layouts:
        try:
            return _of_layout(file, source, rows)
        except InputError as error:
            first_error = first_error or error
    assert first_error is not None
    raise first_error


def _of_layout(file: SourceFile, source: SourceSpec, rows: int) -> Sample:
    names = TextReader(file, _spec(source, []), 0.0).columns
    once = [name for name in names if names.count(name) == 1 and name]
    reader = TextReader(file, _spec(source, once), 0.0)
    frames = (reader.frame(part)[0] for part in reader.parts(_PART_BYTES))
    table, complete = _first_rows((frame for frame in frames if frame.width), rows, file)
    padded = [series for series in table if (series != series.str.strip_chars()).any()]
    columns = {
        name: (table[name].str.strip_chars() if padded else table[name]).replace("", None)
        for name in table.columns
    }
    unusable = {name or "(no name)": _why_not_once(name) for name in names if name not in once}
    return Sample(replace(source, strip=bool(padded)), columns, unusable, len(table), complete)


def _why_not_once(name: str) -> str:
    return "several columns have this name" if name else "it has no name in the header"


def _of_records(
    reader: RecordReader, source: SourceSpec, names: list[str], rows: int, file: SourceFile
) -> Sample:
    table, complete = _first_rows(reader.tables(rows + 1), rows, file)
    columns, unusable = {}, {}
    for name in names:
        if name not in table.columns:
            unusable[name] = _why_not_once(name)
            continue
        try:
            columns[name] = _texts(table[name])
        except (ValueError, pl.exceptions.PolarsError):
            unusable[name] = f"no feature holds values of {table[name].dtype}"
    return Sample(source, columns, unusable, len(table), complete)


def _texts(values: pl.Series) -> pl.Series:
    if not isinstance(values.dtype, (pl.List, pl.Array)):
        if values.dtype.is_nested():
            raise ValueError
        return values.cast(pl.String).replace("", None)
    if (
        values.dtype.inner not in (pl.String, pl.Categorical)
        and not values.dtype.inner.is_integer()
    ):
        raise ValueError
    return values.cast(pl.List(pl.String))


def _first_rows(
    frames: Iterator[pl.DataFrame], rows: int, file: SourceFile
) -> tuple[pl.DataFrame, bool]:
    """Returns the first rows of some tables, and whether those were all."""
    found, count = [], 0
    for frame in frames:
        found.append(frame)
        count += len(frame)
        if count > rows:
            break
    if not count:
        raise InputError("The file must hold at least one row", received="none", where=file.path)
    return pl.concat(found, how="vertical_relaxed").head(rows), count <= rows
