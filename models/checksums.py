"""Checksums of a checkpoint's files, so that damage is found before anything is read.

    CHECKPOINT/checksums-00000-of-00001.txt
    8d5af1c2 1048704 tables/item/values-00000-of-00001.npy

Each rank lists the files that it wrote, one a line: the CRC-32 of the content, its bytes, and the
path in the checkpoint; the last line is the checksum of the lines above. A table's checksum is that
of what was in memory, taken while it is written.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from data.atomic import write_text

_ITSELF = "the lines above"
_PIECE_BYTES = 1 << 22
_THREADS = 8


@dataclass
class Checksum:
    """What is known of a file's content; grows piece by piece.

    Attributes:
        crc32: CRC-32 of the content so far.
        size: Its bytes.
    """

    crc32: int = 0
    size: int = 0

    @classmethod
    def of(cls, content: bytes) -> Checksum:
        """Returns the checksum of bytes at hand."""
        checksum = cls()
        checksum.add(content)
        return checksum

    def add(self, piece: bytes | memoryview) -> None:
        """Takes the next bytes into account."""
        self.crc32 = zlib.crc32(piece, self.crc32)
        self.size += len(piece)


def checksum_of(path: Path) -> Checksum:
    """Returns the checksum of a file."""
    checksum = Checksum()
    buffer = memoryview(bytearray(_PIECE_BYTES))
    with path.open("rb", buffering=0) as file:
        while count := file.readinto(buffer):
            checksum.add(buffer[:count])
    return checksum


def write_checksums(folder: Path, files: Mapping[str, Checksum], rank: int, ranks: int) -> None:
    """Writes the list of the files that a rank has written, by their path in `folder`."""
    text = "".join(_line(path, file) for path, file in sorted(files.items()))
    path = folder / f"checksums-{rank:05d}-of-{ranks:05d}.txt"
    write_text(path, text + _line(_ITSELF, Checksum.of(text.encode())))


def _line(path: str, file: Checksum) -> str:
    return f"{file.crc32:08x} {file.size} {path}\n"


def damage(folder: Path, rank: int = 0, ranks: int = 1) -> str:
    """Returns what is wrong with a checkpoint's files, for people; empty where they are whole.

    Args:
        folder: The checkpoint.
        rank: This process, of those that share the work.
        ranks: Number of processes. A rank checks the lists `rank`, `rank + ranks`, ...: with as
            many ranks as wrote it, the files that it is going to read.
    """
    lists = sorted(folder.glob("checksums-?????-of-?????.txt"))
    if {path.name.rpartition("-")[2] for path in lists} != {f"{len(lists):05d}.txt"}:
        return f"{len(lists)} of its lists of checksums (checksums-*.txt) are there"
    try:
        entries = [entry for path in lists[rank::ranks] for entry in _entries(path)]
    except (OSError, ValueError) as error:
        return str(error)
    with ThreadPoolExecutor(_THREADS) as pool:
        faults = pool.map(lambda entry: _fault(folder / entry[0], entry[1]), entries)
        return next((fault for fault in faults if fault), "")


def _entries(path: Path) -> list[tuple[str, Checksum]]:
    """Returns the files of a list and their checksums.

    Raises:
        OSError, ValueError: The list cannot be read, or is damaged.
    """
    text = path.read_text(encoding="utf-8")
    *lines, last = text.splitlines(keepends=True) or [""]
    if last != _line(_ITSELF, Checksum.of("".join(lines).encode())):
        raise ValueError(f"{path.name}, the list of checksums, is damaged itself")
    fields = [line.rstrip("\n").split(" ", 2) for line in lines]
    return [(name, Checksum(int(crc32, 16), int(size))) for crc32, size, name in fields]


def _fault(path: Path, written: Checksum) -> str:
    try:
        size = path.stat().st_size
        if size != written.size:
            return f"{path.name} has {size:,} bytes, and {written.size:,} were written"
        found = checksum_of(path)
    except OSError as error:
        return str(error)
    if found != written:
        return (
            f"{path.name} has the checksum {found.crc32:08x}, and was written with "
            f"{written.crc32:08x}"
        )
    return ""
