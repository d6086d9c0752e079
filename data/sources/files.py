"""A source's files, in a folder or in a zip archive."""

from __future__ import annotations

import hashlib
import zipfile
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from data.errors import InputError


@dataclass
class SourceFiles:
    """Files of a folder or zip archive, found by name; archives may hold them in a folder.

    Attributes:
        path: The folder or zip archive.
        sha256: Hash of each file read so far, by name.
    """

    path: Path
    sha256: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not self.path.exists():
            raise InputError(
                "The source must exist", received=self.path, action="Check the path of --source"
            )
        if not self.path.is_dir() and not zipfile.is_zipfile(self.path):
            raise InputError(
                "The source must be a folder or a zip archive",
                received=self.path,
                action="Pass the folder that holds the dataset's files, not one of them",
            )

    def names(self) -> list[str]:
        """Returns the names of the files, without folders, sorted."""
        if self.path.is_dir():
            return sorted(p.name for p in self.path.iterdir() if p.is_file())
        return sorted(self._members())

    def read(self, name: str) -> bytes:
        """Returns the content of one file, with its hash noted in `sha256`.

        Raises:
            InputError: The file is missing or empty.
        """
        if name not in self.names():
            raise InputError(
                f"The source must hold the file '{name}'",
                received=", ".join(self.names()[:20]) or "no file at all",
                where=self.path,
                action="Check that --source and --dataset belong together",
            )
        if self.path.is_dir():
            content = (self.path / name).read_bytes()
        else:
            with zipfile.ZipFile(self.path) as archive:
                content = archive.read(self._members()[name])
        if not content.strip():
            raise InputError(
                "The file must hold at least one line", received="an empty file", where=name
            )
        self.sha256[name] = hashlib.sha256(content).hexdigest()
        return content

    def _members(self) -> dict[str, str]:
        """Returns archive members by file name; macOS's resource forks are no data."""
        with zipfile.ZipFile(self.path) as archive:
            members = [n for n in archive.namelist() if not n.startswith("__MACOSX/")]
        return {PurePosixPath(n).name: n for n in members if not n.endswith("/")}
