"""Tables of users and items that a spec names beside the table of rows; held in memory."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import polars as pl

from data.attributes import write_attributes
from data.engine.parsing import make_reader
from data.engine.parts import feature_values
from data.engine.source_files import SourceFile, find_files
from data.errors import InputError
from data.feature import Feature, Kind
from data.schema import View
from data.spec.table_spec import TableSpec
from data.vocabulary import Vocabulary

_PART_BYTES = 1 << 25


@dataclass(frozen=True)
class AttributeTable:
    """A table of users or items.

    Attributes:
        spec: What its columns mean; the first feature is the id.
        files: Its files.
    """

    spec: TableSpec
    files: tuple[SourceFile, ...]

    @property
    def key(self) -> str:
        """`user` or `item`."""
        return self.spec.features[0].name

    def write(
        self, folder: Path, ids: Vocabulary, max_bad_lines: float
    ) -> tuple[View, list[Feature]]:
        """Writes the view of the attributes of the ids of a vocabulary.

        Args:
            folder: The prepared dataset being written.
            ids: Vocabulary of the users or items.
            max_bad_lines: Largest share of malformed lines of a part to skip.

        Raises:
            InputError: Input that breaks a rule, or an id that is there twice.
        """
        text = frozenset(f.name for f in self.spec.of_kind(Kind.TEXT))
        return write_attributes(folder, self.key, self._read(max_bad_lines), ids, text)

    def _read(self, max_bad_lines: float) -> pl.DataFrame:
        frames = []
        for file in self.files:
            reader = make_reader(file, self.spec, max_bad_lines)
            for part in reader.parts(_PART_BYTES):
                frame, _ = reader.frame(part)
                if not frame.is_empty():
                    values = (feature_values(f, frame[f.column]) for f in self.spec.features)
                    names = (f.name for f in self.spec.features)
                    frames.append(pl.DataFrame(dict(zip(names, values, strict=True))))
            file.check_unchanged()
        return pl.concat(frames)


def find_attribute_tables(spec: TableSpec, source: str) -> list[AttributeTable]:
    """Returns the tables of users and items of a spec.

    Raises:
        InputError: Their files are not there, or are those of the rows.
    """
    tables = [table for table in (spec.users, spec.items) if table]
    if not tables:
        return []
    named = all(table.source.files for table in (spec, *tables))
    if not named or not Path(source).is_dir():
        raise InputError(
            "With tables of users or items, --source must be a folder, and each table name its "
            "files in it",
            received=f"--source={source}, "
            + ", ".join(f"{t.name} {list(t.source.files)}" for t in (spec, *tables)),
            action="Write `source: {files: [users.csv]}` into each table, the rows' too",
        )
    return [AttributeTable(t, tuple(find_files(source, t.source.files))) for t in tables]
