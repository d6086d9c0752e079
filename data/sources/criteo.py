"""Criteo's display advertising challenge (Kaggle): was an advertisement clicked?

The source is `train.txt` or the folder or zip archive that holds it: tab-separated lines without a
header, of a label, 13 integers and 26 categories; an empty field is a missing value. The lines are
in the order of time, so the last ones are test, and those before them validation.
"""

from __future__ import annotations

import hashlib
import zipfile
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from data.click_table import LABEL, SPLIT, ClickTable
from data.errors import InputError
from data.events import SPLITS
from data.shares import split_by_position
from data.sources.delimited import read_delimited
from data.sources.files import SourceFiles
from data.sources.layout import OPTIONAL_INTEGER, OPTIONAL_TEXT, Kind, Layout

FILE = "train.txt"
NUMERIC = [f"I{n}" for n in range(1, 14)]
CATEGORICAL = [f"C{n}" for n in range(1, 27)]
MIN_CATEGORY_COUNT = 4
_LABELS = {"0": 0.0, "1": 1.0}


@dataclass(frozen=True)
class CriteoOptions:
    """Options of the source.

    Attributes:
        source: The file, or the folder or zip archive that holds `train.txt`.
        validation_ratio: Share of the lines for validation, rounded down.
        test_ratio: Share of the lines for test, rounded down.
        max_bad_lines: Largest share of malformed lines to skip.
    """

    source: Path
    validation_ratio: float = 0.1
    test_ratio: float = 0.1
    max_bad_lines: float = 0.0


def load(options: CriteoOptions) -> ClickTable:
    """Reads the file.

    Raises:
        InputError: No such file, malformed lines, or shares that leave nothing.
    """
    content, name, sha256 = _content(options.source)
    # Not strip: tabs at a line's end stand for missing values.
    frame, count = read_delimited(
        content.rstrip(b"\r\n"), name, Layout(_FIELDS, "\t"), options.max_bad_lines
    )
    codes = split_by_position(len(frame), options.validation_ratio, options.test_ratio)
    split = pl.Series(SPLIT, codes).replace_strict(dict(enumerate(SPLITS)), return_dtype=pl.String)
    return ClickTable(
        name="criteo",
        frame=frame.with_columns(split, pl.col(NUMERIC).cast(pl.Float32)),
        min_category_count=MIN_CATEGORY_COUNT,
        files={name: sha256},
        skipped_lines={name: count} if count else {},
        options={"validation_ratio": options.validation_ratio, "test_ratio": options.test_ratio},
    )


def _content(source: Path) -> tuple[bytes, str, str]:
    """Returns the file's bytes, its name and its hash."""
    if not source.is_file() or zipfile.is_zipfile(source):
        files = SourceFiles(source)
        return files.read(FILE), FILE, files.sha256[FILE]
    content = source.read_bytes()
    if not content.strip():
        raise InputError(
            "The file must hold at least one line", received="an empty file", where=source
        )
    return content, source.name, hashlib.sha256(content).hexdigest()


def _labels(texts: pl.Series) -> pl.Series:
    return texts.replace_strict(_LABELS, default=None, return_dtype=pl.Float32)


def _label(text: str) -> float:
    if text not in _LABELS:
        raise ValueError(text)
    return _LABELS[text]


_FIELDS: dict[str, Kind] = {
    LABEL: Kind("0 or 1", pl.String(), _labels, _label),
    **dict.fromkeys(NUMERIC, OPTIONAL_INTEGER),
    **dict.fromkeys(CATEGORICAL, OPTIONAL_TEXT),
}
