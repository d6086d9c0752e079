"""Typed tables to frames: Parquet, row-wise `tf.Example` records, tensorflow-datasets' builders."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import tensorflow as tf

from data.engine.column_kinds import convert_values
from data.engine.source_files import COMPRESSIONS, SourceFile
from data.engine.text_parts import column_kinds
from data.errors import InputError
from data.feature import Kind
from data.spec.table_spec import TableSpec

_ROW_BYTES = 256  # about, to make parts of as many bytes as of text
_HEAD_RECORDS = 1_000  # that tell which features there are: a record lacks those without a value


@dataclass(frozen=True)
class RecordPart:
    """Rows of a file.

    Attributes:
        table: Their columns.
        first_row: Number of the first row in the file, from 1.
    """

    table: pl.DataFrame
    first_row: int


class RecordReader:
    """Reads typed tables: what differs is where rows come from.

    Args:
        name: Name of the source, for messages.
        spec: What its columns mean.
    """

    def __init__(self, name: str, spec: TableSpec) -> None:
        self._name, self._spec = name, spec
        self._kinds = column_kinds(spec)
        self._separators = {f.column: f.separator for f in spec.of_kind(Kind.MULTI_HOT)}

    def parts(self, part_bytes: int) -> Iterator[RecordPart]:
        """Yields the rows in parts of about `part_bytes`."""
        row = 1
        for table in self.tables(max(1, part_bytes // _ROW_BYTES)):
            yield RecordPart(table, row)
            row += len(table)

    def frame(self, part: RecordPart) -> tuple[pl.DataFrame, int]:
        """Returns a part's values by column, and 0: no row is skipped.

        Raises:
            InputError: A value that is not what the spec says, with its row.
        """
        columns = []
        for name, kind in self._kinds.items():
            values, where = part.table[name], f"{self._name}, column '{name}'"
            if isinstance(values.dtype, (pl.List, pl.Array)):
                values = _joined(values, self._separators.get(name, ""), where, part.first_row)
            columns.append(convert_values(values, kind, where, part.first_row).alias(name))
        return pl.DataFrame(columns), 0

    def tables(self, rows: int) -> Iterator[pl.DataFrame]:
        """Yields the columns of the spec in tables of `rows` rows, as the source types them."""
        raise NotImplementedError


class ParquetReader(RecordReader):
    """Reads one Parquet file.

    Args:
        file: The file.
        spec: What its columns mean.

    Raises:
        InputError: No Parquet, or a column of the spec that is missing or there twice.
    """

    def __init__(self, file: SourceFile, spec: TableSpec) -> None:
        super().__init__(file.name, spec)
        self._file = file
        with file.explained():
            names = pq.read_schema(file.path).names
        spec.check_columns(names, file.path)

    def tables(self, rows: int) -> Iterator[pl.DataFrame]:
        """Yields tables of the file's batches."""
        with self._file.explained(), pq.ParquetFile(self._file.path) as parquet:
            for batch in parquet.iter_batches(rows, columns=self._spec.columns()):
                yield _frame(pa.Table.from_batches([batch]))


class TFRecordReader(RecordReader):
    """Reads one file of row-wise `tf.Example` records.

    Args:
        file: The file; a name that ends in .gz is unpacked.
        spec: What its columns mean.

    Raises:
        InputError: No such records, or a column of the spec that the first 1,000 lack.
    """

    def __init__(self, file: SourceFile, spec: TableSpec) -> None:
        super().__init__(file.name, spec)
        self._file = file
        self._records = _records(file)
        known = record_features(file)
        spec.check_columns(list(known), file.path)
        self._features = {name: tf.io.RaggedFeature(known[name]) for name in spec.columns()}

    def tables(self, rows: int) -> Iterator[pl.DataFrame]:
        """Yields tables of the file's records."""
        with _ExplainedRecords(self._file):
            for records in self._records.batch(rows):
                parsed = tf.io.parse_example(records, self._features)
                yield pl.DataFrame({name: _lists(values) for name, values in parsed.items()})


def record_features(file: SourceFile) -> dict[str, tf.DType]:
    """Returns the features of the first records of a file, with the type of their values.

    Raises:
        InputError: No records of `tf.Example`.
    """
    dtypes = {"bytes_list": tf.string, "float_list": tf.float32, "int64_list": tf.int64}
    known: dict[str, tf.DType] = {}
    with _ExplainedRecords(file):
        for record in _records(file).take(_HEAD_RECORDS).as_numpy_iterator():
            for name, feature in tf.train.Example.FromString(record).features.feature.items():
                kind = feature.WhichOneof("kind")
                if kind or name not in known:
                    known[name] = dtypes[kind or "bytes_list"]
    return known


def _records(file: SourceFile) -> tf.data.Dataset:
    packed = COMPRESSIONS.get(file.path.suffix.lower()) == "gzip"
    return tf.data.TFRecordDataset(str(file.path), "GZIP" if packed else "")


class _ExplainedRecords:
    """Turns what TensorFlow says of unreadable records into an error that names the file."""

    def __init__(self, file: SourceFile) -> None:
        self._file = file

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: Any, error: BaseException | None, trace: Any) -> None:
        if error is None or isinstance(error, (InputError, GeneratorExit)):
            return
        self._file.check_unchanged()
        raise InputError(
            "The file must hold records of row-wise tf.Example, all with the same kinds of values",
            received=str(error).partition("\n")[0][:200],
            where=self._file.path,
        ) from error


class TfdsReader(RecordReader):
    """Reads one split of a tensorflow-datasets builder.

    Args:
        builder: Name of the builder.
        split: Name of its split.
        spec: What its columns mean.

    Raises:
        InputError: No such builder or split, or a column of the spec that it lacks.
    """

    def __init__(self, builder: str, split: str, spec: TableSpec) -> None:
        super().__init__(f"{builder}/{split}", spec)
        import tensorflow_datasets as tfds

        try:
            self._dataset = tfds.load(builder, split=split)
        except Exception as error:  # of many kinds: no such builder, no network, no such split
            raise InputError(
                "tensorflow-datasets must be able to load the source",
                received=str(error).strip().partition("\n")[0][:200],
                where=f"{builder}, split {split}",
            ) from error
        spec.check_columns(list(self._dataset.element_spec), builder)

    def tables(self, rows: int) -> Iterator[pl.DataFrame]:
        """Yields tables of the builder's rows."""
        columns = self._spec.columns()
        chosen = self._dataset.map(lambda row: {name: row[name] for name in columns})
        for batch in chosen.ragged_batch(rows).as_numpy_iterator():
            yield pl.DataFrame({name: _texts(values) for name, values in batch.items()})


def _frame(table: pa.Table) -> pl.DataFrame:
    frame = pl.from_arrow(table)
    assert isinstance(frame, pl.DataFrame)
    return frame


def _lists(values: tf.RaggedTensor) -> pl.Series:
    """Returns lists, or single values where no row has more than one; a row of none is null."""
    if int(tf.reduce_max(tf.concat([values.row_lengths(), [0]], 0))) > 1:
        return pl.Series(_texts(values), dtype=pl.List(pl.String))
    padded = [row[0] if row else None for row in values.to_list()]
    return pl.Series(padded, dtype=None if any(p is not None for p in padded) else pl.String)


def _texts(values: Any) -> Any:
    """Returns what Polars takes, with bytes decoded."""
    if isinstance(values, (tf.RaggedTensor, tf.compat.v1.ragged.RaggedTensorValue)):
        rows = values.to_list()
        return [[v.decode() if isinstance(v, bytes) else str(v) for v in row] for row in rows]
    if values.dtype == object:
        return [value.decode() for value in values]
    return list(values) if values.ndim > 1 else values


def _joined(values: pl.Series, separator: str, where: str, first_row: int) -> pl.Series:
    """Returns lists as texts with a separator between the values, as text files hold them."""
    texts = values.cast(pl.List(pl.String))
    if not separator:
        raise InputError(
            "Only a multi_hot feature may hold lists", received=values.dtype, where=where
        )
    holds = texts.list.eval(pl.element().str.contains(separator, literal=True)).list.any()
    if holds.any():
        row = int(holds.fill_null(False).arg_true()[0])
        raise InputError(
            "No value of a list may hold the separator that the spec names",
            received=repr(texts[row].to_list()),
            where=f"{where}, row {first_row + row}",
            action="Choose another `separator`, which no value holds",
        )
    return texts.list.join(separator, ignore_nulls=True)
