"""Implicit feedback in the files of He et al. 2020 (LightGCN): each line is a user and its items.

A folder holds `train.txt` and `test.txt`. The order of a user's items carries no time, so
validation is a random share of each user's training items.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl

from data.errors import InputError
from data.interactions import Interactions
from data.shares import check_validation_share, rounded_share
from data.sources.bad_lines import SHOWN_CHARACTERS
from data.sources.delimited import decode_text
from data.sources.files import SourceFiles

TRAIN, TEST = "train.txt", "test.txt"
_ID = "(?:0|[1-9][0-9]{0,17})"
LINE = rf"^\s*{_ID}(?:\s+{_ID})*\s*$"


@dataclass(frozen=True)
class LightGcnOptions:
    """Options of the source.

    Attributes:
        source: Folder or zip archive of the two files.
        validation_ratio: Share of each user's training items for validation, rounded down but at
            least one of two; 0 leaves validation out.
        seed: Seed of the validation draw.
        max_bad_lines: Largest share of malformed lines to skip.
    """

    source: Path
    validation_ratio: float = 0.1
    seed: int = 0
    max_bad_lines: float = 0.0


def load(options: LightGcnOptions) -> Interactions:
    """Reads the two files.

    Raises:
        InputError: A file missing, malformed lines, or a share that is none.
    """
    check_validation_share(options.validation_ratio)
    files = SourceFiles(options.source)
    skipped: dict[str, int] = {}
    train = _read(files, TRAIN, options.max_bad_lines, skipped)
    test = _read(files, TEST, options.max_bad_lines, skipped)
    drawn = draw_share(train["user"].to_numpy(), options.validation_ratio, options.seed)
    split = pl.when(pl.Series(drawn)).then(pl.lit("validation")).otherwise(pl.lit("train"))
    events = pl.concat([train.with_columns(split=split), test.with_columns(split=pl.lit("test"))])
    return Interactions(
        name=options.source.stem,
        events=events,
        files=files.sha256,
        skipped_lines=skipped,
    )


def draw_share(users: np.ndarray, ratio: float, seed: int) -> np.ndarray:
    """Marks a random share of each user's events: rounded down, but at least one of two.

    Args:
        users: User of each event, of shape (events,).
        ratio: The share; 0 marks nothing.
        seed: Seed of the draw.

    Returns:
        Booleans of shape (events,).
    """
    if not ratio:
        return np.zeros(len(users), bool)
    _, row, counts = np.unique(users, return_inverse=True, return_counts=True)
    wanted = np.maximum(rounded_share(counts, ratio), counts >= 2)
    order = np.lexsort((np.random.default_rng(seed).random(len(users)), row))
    rank = np.empty(len(users), np.int64)  # of an event among its user's, in random order
    rank[order] = np.arange(len(users)) - np.repeat(np.cumsum(counts) - counts, counts)
    return rank < wanted[row]


def _read(
    files: SourceFiles, name: str, max_bad_lines: float, skipped: dict[str, int]
) -> pl.DataFrame:
    """Returns one file's pairs of user and item, and notes the lines skipped in `skipped`."""
    text = pl.Series("line", decode_text(files.read(name), name).split("\n"))
    lines = text.to_frame().with_row_index("number", 1).filter(text.str.strip_chars() != "")
    fits = lines["line"].str.contains(LINE)
    wrong = lines.filter(~fits)
    if len(wrong) > max_bad_lines * len(lines):
        number, line = wrong.row(0)
        raise InputError(
            "Each line must read user item item ..., with blanks between, all integers of at most "
            "18 digits without leading zeros",
            received=repr(line[:SHOWN_CHARACTERS]),
            where=f"{name}, line {number} ({len(wrong):,} of {len(lines):,} lines are malformed)",
            action="Correct the file, or skip a share of the lines: --max_bad_lines=0.01; "
            f"now {max_bad_lines:g}",
        )
    if len(wrong):
        skipped[name] = len(wrong)
    ids = lines.filter(fits)["line"].str.strip_chars().str.replace_all(r"\s+", " ").str.split(" ")
    table = pl.DataFrame({"user": ids.list.first(), "item": ids.list.slice(1)})
    # A user without items explodes into a null, which is no pair.
    return table.explode("item").drop_nulls().cast(pl.Int64)
