"""A source's files, in a folder or in a zip archive."""

from __future__ import annotations

import hashlib
import zipfile
import zlib
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
            InputError: The file is missing or empty, is in the archive twice, or is damaged there.
        """
        if name not in self.names():
            raise InputError(
                f"The source must hold the file '{name}'",
                received=", ".join(self.names()[:20]) or "no file at all",
                where=self.path,
                action="Check that --source and --dataset belong together",
            )
        content = (self.path / name).read_bytes() if self.path.is_dir() else self._unpacked(name)
        if not content.strip():
            raise InputError(
                "The file must hold at least one line", received="an empty file", where=name
            )
        self.sha256[name] = hashlib.sha256(content).hexdigest()
        return content

    def _unpacked(self, name: str) -> bytes:
        members = self._members()[name]
        if len(members) > 1:
            raise InputError(
                f"The archive must hold one file '{name}'",
                received=", ".join(members),
                where=self.path,
                action="Unpack it and pass the folder that is meant",
            )
        try:
            with zipfile.ZipFile(self.path) as archive:
                return archive.read(members[0])
        # RuntimeError: a password, or a compression that zipfile does not know.
        except (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError) as error:
            raise InputError(
                "Every file of the archive must unpack",
                received=error,
                where=f"{self.path}, {members[0]}",
                action="Download the archive again, or unpack it yourself and pass the folder",
            ) from error

    def _members(self) -> dict[str, list[str]]:
        """Returns archive members by file name; macOS's resource forks are no data."""
        found: dict[str, list[str]] = {}
        with zipfile.ZipFile(self.path) as archive:
            for member in archive.namelist():
                if not member.startswith("__MACOSX/") and not member.endswith("/"):
                    found.setdefault(PurePosixPath(member).name, []).append(member)
        return found
