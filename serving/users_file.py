"""Users to recommend to, from a file of any size, a piece at a time."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet

from data.errors import InputError


def read_users(path: Path, name: str, is_text: bool, rows: int) -> Iterator[np.ndarray]:
    """Yields raw user ids, `rows` at a time; fewer at the end.

    Args:
        path: Parquet, or CSV with a header.
        name: Its column of raw ids.
        is_text: Whether the model's user ids are text; else they must be whole numbers.
        rows: Ids of a piece.

    Yields:
        int64, or UTF-8 bytes in an object array.

    Raises:
        InputError: The file cannot be read, has no such column, or holds something else.
    """
    wanted = pa.string() if is_text else pa.int64()
    seen, waiting = 0, np.empty(0, object if is_text else np.int64)
    for batch in _batches(path, name, wanted):
        column = batch.column(name)
        if column.null_count:
            row = seen + int(np.argmax(column.is_null().to_numpy(zero_copy_only=False)))
            raise InputError(
                "Every row must name a user", received="no value", where=f"{path}, row {row + 1:,}"
            )
        seen += len(column)
        waiting = np.concatenate([waiting, _values(column, wanted, path)])
        while len(waiting) >= rows:
            yield waiting[:rows]
            waiting = waiting[rows:]
    if len(waiting):
        yield waiting


def _batches(path: Path, name: str, wanted: pa.DataType) -> Iterator[pa.RecordBatch]:
    try:
        if path.suffix == ".parquet":
            file = pa.parquet.ParquetFile(path)
            _check_column(name, file.schema_arrow.names, path)
            yield from file.iter_batches(columns=[name])
            return
        with pa.csv.open_csv(path) as reader:
            _check_column(name, reader.schema.names, path)
        # The types of other columns, guessed from their first rows, are no reason to stop.
        options = pa.csv.ConvertOptions(
            include_columns=[name],
            column_types={name: wanted},
            null_values=[""],
            strings_can_be_null=True,
        )
        with pa.csv.open_csv(path, convert_options=options) as reader:
            yield from reader
    except (OSError, pa.ArrowInvalid) as error:
        raise InputError(
            f"The users must be in a readable Parquet or CSV file, as {wanted}",
            received=error,
            where=path,
        ) from error


def _check_column(name: str, names: list[str], path: Path) -> None:
    if name not in names:
        raise InputError(
            f"The file must have a column '{name}'",
            received=", ".join(names),
            where=path,
            action="Give the column of raw user ids as --user_column",
        )


def _values(column: pa.Array, wanted: pa.DataType, path: Path) -> np.ndarray:
    try:
        cast = column.cast(wanted)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        raise InputError(
            f"Users of this model must be {wanted}", received=error, where=path
        ) from error
    if wanted == pa.string():
        return cast.cast(pa.binary()).to_numpy(zero_copy_only=False)
    return cast.to_numpy()
