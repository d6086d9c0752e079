"""Embedding tables in files: a folder a table, a file for each rank's rows of each of its parts.

    TABLE/values-00000-of-00002.npy        rows 0, 2, 4, ...  (rows, D)
    TABLE/accumulator-00001-of-00002.npy   rows 1, 3, 5, ... of an optimizer's slot

Plain NumPy files, which ranks write side by side and which are read in pieces, by as many ranks as
there are then. Tables are never copied whole.
"""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from math import gcd
from pathlib import Path
from urllib.parse import quote

import numpy as np
import tensorflow as tf

from data.errors import InputError
from models.checksums import Checksum
from models.table_stack import TableStack
from models.tables import EmbeddingTables

VALUES = "values"
_CHUNK_ROWS = 65_536
_NAME = re.compile(r"(.+)-(\d{5})-of-(\d{5})\.npy")

# From row numbers in the files to those in the table; below 0 for rows that it lacks.
RowMap = Callable[[np.ndarray], np.ndarray]


def write_tables(tables: EmbeddingTables, folder: Path) -> dict[str, Checksum]:
    """Writes the rows that this rank holds; of replicated tables rank 0 writes all.

    Returns:
        The checksum of each file written, by its path in `folder`.
    """
    written = {}
    for stack in tables.stacks:
        if stack.shards == 1 and tables.communicator.rank > 0:
            continue
        for table in stack.offsets:
            of_table = folder / quote(table, safe="")
            of_table.mkdir(parents=True, exist_ok=True)
            start, count = stack.held(table)
            for part, variable in _parts(stack).items():
                name = f"{part}-{stack.shard:05d}-of-{stack.shards:05d}.npy"
                checksum = _write(of_table / name, variable, start, count)
                written[f"{of_table.name}/{name}"] = checksum
    return written


def _parts(stack: TableStack) -> dict[str, tf.Variable]:
    return {VALUES: stack.variable, **stack.slots}


def _write(path: Path, variable: tf.Variable, start: int, count: int) -> Checksum:
    checksum = Checksum()
    shape, dtype = (count, variable.shape[1]), variable.dtype.as_numpy_dtype
    with path.open("wb") as file:
        header = {
            "descr": np.lib.format.dtype_to_descr(np.dtype(dtype)),
            "fortran_order": False,
            "shape": shape,
        }
        head = io.BytesIO()
        np.lib.format.write_array_header_1_0(head, header)
        file.write(head.getbuffer())
        checksum.add(head.getbuffer())
        for begin in range(start, start + count, _CHUNK_ROWS):
            end = min(begin + _CHUNK_ROWS, start + count)
            # By gather: to slice a variable that rows are written to, TensorFlow copies it whole.
            piece = tf.gather(variable, tf.range(begin, end)).numpy().tobytes()
            file.write(piece)
            checksum.add(piece)
    return checksum


@dataclass(frozen=True)
class TableFiles:
    """The files of one table.

    Args:
        folder: Where `write_tables` wrote.
        table: Name of the table.

    Raises:
        InputError: There is no such table, or files are missing.
    """

    folder: Path
    table: str

    @property
    def path(self) -> Path:
        """Folder of the table."""
        return self.folder / quote(self.table, safe="")

    def parts(self) -> dict[str, list[Path]]:
        """Returns the files of each part, in the order of their ranks."""
        found: dict[str, list[Path]] = {}
        for path in sorted(self.path.glob("*.npy")):
            match = _NAME.fullmatch(path.name)
            if match:
                found.setdefault(match[1], []).append(path)
        for paths in found.values():
            if len(paths) != _shards(paths[0]):
                raise self._fault(f"{len(paths)} of {_shards(paths[0])} files")
        if VALUES not in found:
            raise self._fault(f"no files of the table '{self.table}'")
        return found

    def rows(self) -> int:
        """Returns how many rows the table has."""
        return sum(_header(path)[0][0] for path in self.parts()[VALUES])

    def read(self, part: str, shard: int, shards: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Yields numbers of rows and their values, (rows, width), piece by piece.

        Files are left out that hold no row whose number is `shard` modulo `shards`.
        """
        paths = self.parts()
        if part not in paths:
            raise self._fault(f"no '{part}' of the table '{self.table}'")
        for rank, path in enumerate(paths[part]):
            ranks = len(paths[part])
            if (rank - shard) % gcd(ranks, shards):
                continue
            for begin, piece in _pieces(path):
                yield rank + ranks * np.arange(begin, begin + len(piece)), piece

    def _fault(self, received: str) -> InputError:
        return InputError(
            "A checkpoint must hold this model's tables",
            received=received,
            where=self.path,
            action="Use the config and the dataset that the run was trained with",
        )


def _shards(path: Path) -> int:
    match = _NAME.fullmatch(path.name)
    assert match is not None
    return int(match[3])


def _header(path: Path) -> tuple[tuple[int, int], np.dtype, int]:
    """Returns the shape of a file's values, their type, and where they begin.

    Raises:
        InputError: The file is no such file, or not whole.
    """
    try:
        with path.open("rb") as file:
            np.lib.format.read_magic(file)
            shape, _, dtype = np.lib.format.read_array_header_1_0(file)
            start = file.tell()
        rows, width = shape
        expected, size = start + rows * width * dtype.itemsize, path.stat().st_size
        if size != expected:
            raise ValueError(f"{size:,} bytes of {expected:,}")
    except (OSError, ValueError) as error:
        raise InputError(
            "A checkpoint's files must be whole",
            received=error,
            where=path,
            action="Delete that checkpoint to go on from the one before it",
        ) from error
    # NumPy's files know no bfloat16: to them it is two bytes.
    stored = np.dtype(tf.bfloat16.as_numpy_dtype) if dtype.kind == "V" else dtype
    return (rows, width), stored, start


def _pieces(path: Path) -> Iterator[tuple[int, np.ndarray]]:
    """Yields the first row's place and the rows of each piece of a file."""
    (rows, width), dtype, start = _header(path)
    with path.open("rb") as file:
        file.seek(start)
        for begin in range(0, rows, _CHUNK_ROWS):
            count = min(_CHUNK_ROWS, rows - begin)
            # Not mapped into memory, which counts as much as the table where that is limited.
            yield begin, np.fromfile(file, dtype, count * width).reshape(count, width)


def read_tables(tables: EmbeddingTables, folder: Path) -> None:
    """Sets the rows that this rank holds, and their slots where the tables have any.

    Raises:
        InputError: Files are missing, damaged, or those of other tables.
    """
    for stack in tables.stacks:
        for table in stack.offsets:
            files = TableFiles(folder, table)
            if files.rows() != stack.rows_of(table):
                raise InputError(
                    f"The checkpoint's table '{table}' must have {stack.rows_of(table):,} rows",
                    received=f"{files.rows():,}",
                    where=files.path,
                    action="Use the config and the dataset that the run was trained with",
                )
            read_table(files, stack)


def read_table(files: TableFiles, stack: TableStack, to: RowMap | None = None) -> None:
    """Sets rows of one table of a stack.

    Args:
        files: Where they are.
        stack: The stack.
        to: The numbers that rows have in the stack's table; by default those in the files.

    Raises:
        InputError: Files are missing or damaged, or rows of another width.
    """
    for part, variable in _parts(stack).items():
        # Of rows with other numbers, any file may hold some of this shard.
        shard, shards = (stack.shard, stack.shards) if to is None else (0, 1)
        for rows, values in files.read(part, shard, shards):
            if values.shape[1] != variable.shape[1]:
                raise InputError(
                    f"The checkpoint's table '{files.table}' must be {variable.shape[1]} wide",
                    received=f"{part} of {values.shape[1]}",
                    where=files.path,
                    action="Use the config that the run was trained with",
                )
            _scatter(variable, stack, files.table, rows if to is None else to(rows), values)


def _scatter(
    variable: tf.Variable, stack: TableStack, table: str, rows: np.ndarray, values: np.ndarray
) -> None:
    mine = (rows >= 0) & (rows % stack.shards == stack.shard)
    places = (stack.offsets[table] + rows[mine]) // stack.shards
    taken = tf.cast(tf.constant(values[mine]), variable.dtype)
    variable.scatter_update(tf.IndexedSlices(taken, tf.constant(places)))
