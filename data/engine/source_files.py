"""The files of a source: found by a pattern, told apart by their endings, watched for changes."""

from __future__ import annotations

import glob
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path
from typing import IO, Any

import pyarrow as pa

from data.errors import InputError
from data.file_hash import file_sha256
from data.spec.table_spec import SourceSpec

COMPRESSIONS = {".gz": "gzip", ".zst": "zstd"}
FORMATS = {
    ".csv": "csv",
    ".tsv": "tsv",
    ".txt": "tsv",
    ".parquet": "parquet",
    ".tfrecord": "tfrecord",
    ".tfrecords": "tfrecord",
}
SEPARATORS = {"csv": ",", "tsv": "\t"}


@dataclass(frozen=True)
class SourceFile:
    """One file of a source.

    Attributes:
        path: Where it is.
        name: What messages and provenance call it: its path below the source's folder.
        size: Its size in bytes when the preparation began.
        changed: When it was last changed, in nanoseconds.
    """

    path: Path
    name: str
    size: int
    changed: int

    def check_unchanged(self) -> None:
        """Raises InputError where the file has grown, changed or gone since it was found."""
        try:
            now = self.path.stat()
            found = f"{now.st_size:,} bytes, changed since"
            same = (now.st_size, now.st_mtime_ns) == (self.size, self.changed)
        except OSError as error:
            found, same = str(error), False
        if not same:
            raise InputError(
                "A file of the source must stay as it is while it is read",
                received=f"{found}; {self.size:,} bytes when the preparation began",
                where=self.path,
                action="Prepare again when nothing writes to it any more",
            )

    def sha256(self) -> str:
        """Returns the hash of its content."""
        with self.explained():
            return file_sha256(self.path)

    @contextmanager
    def explained(self) -> Iterator[None]:
        """Turns what the system says of an unreadable file into an error that names it."""
        try:
            yield
        except (OSError, pa.ArrowException, EOFError) as error:
            self.check_unchanged()
            raise InputError(
                "A file of the source must be readable and whole",
                received=error,
                where=self.path,
                action="Copy it again",
            ) from error

    @contextmanager
    def open(self) -> Iterator[IO[bytes] | Any]:
        """Opens the file for reading, unpacked where its ending names a compression."""
        compression = COMPRESSIONS.get(self.path.suffix.lower())
        with self.explained(), self.path.open("rb") as file:
            if compression is None:
                yield file
            else:
                yield pa.CompressedInputStream(file, compression)


def find_files(source: str, patterns: Sequence[str] = ()) -> list[SourceFile]:
    """Returns the files of a source, in the order of their names.

    Args:
        source: A file, a folder (all files in it that are not hidden), or a pattern such as
            `logs/2026-*.csv.gz`.
        patterns: Of the names of files to take of a folder; none for all.

    Raises:
        InputError: No such file.
    """
    path = Path(source)
    root = path if path.is_dir() else path.parent
    if path.is_dir():
        found = [p for p in path.rglob("*") if not p.name.startswith((".", "_"))]
        if patterns:
            found = [p for p in found if any(fnmatch(p.name, wanted) for wanted in patterns)]
    elif path.exists():
        found = [path]
    else:
        # Not Path.glob, which takes no absolute pattern.
        found = [Path(match) for match in glob.glob(source, recursive=True)]  # noqa: PTH207
        root = Path(source.partition("*")[0]).parent
    files = []
    for file in sorted(p for p in found if p.is_file()):
        name = str(file.relative_to(root)) if file.is_relative_to(root) else str(file)
        state = file.stat()
        files.append(SourceFile(file.resolve(), name, state.st_size, state.st_mtime_ns))
    if not files:
        raise InputError(
            "The source must be a file, a folder of files or a pattern that matches some",
            received=f"{source}{f', of which {list(patterns)} are wanted' if patterns else ''}",
            action="Check --source; a pattern stands in quotes, so that the shell leaves it alone",
        )
    return files


def format_of(spec: SourceSpec, file: SourceFile) -> str:
    """Returns the format of a file: the spec's, or by the ending.

    Raises:
        InputError: An ending that says nothing.
    """
    if spec.format != "auto":
        return spec.format
    suffixes = [s.lower() for s in file.path.suffixes if s.lower() not in COMPRESSIONS]
    ending = suffixes[-1] if suffixes else ""
    if ending not in FORMATS:
        raise InputError(
            "The ending of a file must tell its format, or the spec name it",
            received=file.name,
            where=file.path,
            action="Write `source: {format: csv}`; known endings: " + ", ".join(FORMATS),
        )
    return FORMATS[ending]
