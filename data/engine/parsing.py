"""Files to parts."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import polars as pl

from data.engine.parts import make_part, read_part, write_part
from data.engine.progress import Progress
from data.engine.record_parts import ParquetReader, TfdsReader, TFRecordReader
from data.engine.source_files import SourceFile, format_of
from data.engine.text_parts import TextReader
from data.spec.table_spec import TableSpec

_SKIPPED = b"skipped_lines"


class Reader(Protocol):
    """Reads one file in parts."""

    def parts(self, part_bytes: int) -> Iterator[Any]:
        """Yields what `frame` takes, one part after the other."""
        ...

    def frame(self, part: Any) -> tuple[pl.DataFrame, int]:
        """Returns a part's values by column, and the number of lines skipped."""
        ...


@dataclass(frozen=True)
class ParsedPart:
    """A part on disk.

    Attributes:
        path: Where it is.
        file: Name of the file that it is from.
        rows: Number of its rows.
        skipped: Malformed lines that were skipped.
    """

    path: Path
    file: str
    rows: int
    skipped: int


def make_reader(file: SourceFile | str, spec: TableSpec, max_bad_lines: float) -> Reader:
    """Returns what reads a file, or a builder of tensorflow-datasets by its name."""
    if isinstance(file, str):
        builder, _, split = file.partition("/")
        return TfdsReader(builder, split or "train", spec)
    kind = format_of(spec.source, file)
    if kind == "parquet":
        return ParquetReader(file, spec)
    if kind == "tfrecord":
        return TFRecordReader(file, spec)
    return TextReader(file, spec, max_bad_lines)


def parse_file(
    numbered: tuple[int, SourceFile | str],
    *,
    spec: TableSpec,
    work: Path,
    max_bad_lines: float,
    part_bytes: int,
    workers: int,
    progress: Progress | None,
) -> list[ParsedPart]:
    """Writes the parts of one file that are not there yet.

    Args:
        numbered: Number of the file among the source's, and the file.
        spec: What its columns mean.
        work: The folder of the parts.
        max_bad_lines: Largest share of malformed lines of a part to skip.
        part_bytes: Bytes of text in a part.
        workers: Threads that parse.
        progress: Counts the parts.

    Returns:
        All parts of the file, in order.

    Raises:
        InputError: Input that breaks a rule, or a file that changes while it is read.
    """
    number, file = numbered
    name = file if isinstance(file, str) else file.name
    reader = make_reader(file, spec, max_bad_lines)

    def parse(index: int, raw: Any) -> ParsedPart:
        path = work / f"part-{number:06d}-{index:06d}.arrow"
        if path.exists():
            part = read_part(path)
        else:
            frame, skipped = reader.frame(raw)
            part = make_part(spec, frame, name)
            part = part.replace_schema_metadata({_SKIPPED: str(skipped)})
            write_part(path, part)
        if progress:
            progress.add(_bytes(raw), part.num_rows)
        return ParsedPart(path, name, part.num_rows, int(part.schema.metadata[_SKIPPED]))

    parts = list(_in_threads(parse, enumerate(reader.parts(part_bytes)), workers))
    if isinstance(file, SourceFile):
        file.check_unchanged()
    return parts


def _in_threads(function: Any, items: Iterator[tuple[int, Any]], workers: int) -> Iterator[Any]:
    """Yields results in order, with no more items in memory than threads, and one."""
    waiting: deque[Future[Any]] = deque()
    with ThreadPoolExecutor(workers) as pool:
        try:
            for item in items:
                waiting.append(pool.submit(function, *item))
                if len(waiting) > workers:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        except BaseException:
            pool.shutdown(wait=True, cancel_futures=True)
            raise


def _bytes(raw: Any) -> int:
    return len(raw.content) if hasattr(raw, "content") else 0
