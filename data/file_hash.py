"""Hashes of files, however large."""

from __future__ import annotations

import hashlib
from pathlib import Path

_READ_AT_ONCE = 1 << 22


def file_sha256(path: Path) -> str:
    """Returns the SHA-256 of a file's content, in hexadecimal.

    Raises:
        OSError: It cannot be read.
    """
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while part := file.read(_READ_AT_ONCE):
            digest.update(part)
    return digest.hexdigest()
