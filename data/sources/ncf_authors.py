"""The split files of He et al. 2017 (Neural Collaborative Filtering), as their authors give them.

A folder holds `PREFIX.train.rating` and `PREFIX.test.rating` (user, item, rating and perhaps a
time, tab-separated) and `PREFIX.test.negative`: `(user,item)` and the negatives to rank that item
against. The order of a user's training items carries no time, so validation is one random training
item of each user who has at least two.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl

from data.errors import InputError
from data.interactions import Interactions
from data.sources.delimited import read_delimited
from data.sources.files import SourceFiles
from data.sources.layout import IGNORED, INTEGER, NUMBER, Kind, Layout

TRAIN, TEST, NEGATIVE = ".train.rating", ".test.rating", ".test.negative"
NEGATIVE_LINE = r"^\(\d+,\d+\)(\t\d+)+\s*$"


@dataclass(frozen=True)
class NcfOptions:
    """Options of the source.

    Attributes:
        source: Folder or zip archive of the three files.
        seed: Seed of the validation draw.
        max_bad_lines: Largest share of malformed lines to skip.
    """

    source: Path
    seed: int = 0
    max_bad_lines: float = 0.0


def load(options: NcfOptions) -> Interactions:
    """Reads the three files.

    Raises:
        InputError: Files missing, more than one prefix, malformed lines, or negatives that belong
            to other users than the test file.
    """
    files = SourceFiles(options.source)
    prefix = _prefix(files)
    train, train_skipped = _ratings(files, prefix + TRAIN, options.max_bad_lines)
    test, test_skipped = _ratings(files, prefix + TEST, options.max_bad_lines)
    candidates = _negatives(files, prefix + NEGATIVE, test)
    in_validation = draw_one_of_each_user(train["user"].to_numpy(), options.seed)
    split = pl.when(pl.Series(in_validation)).then(pl.lit("validation")).otherwise(pl.lit("train"))
    events = pl.concat([train.with_columns(split=split), test.with_columns(split=pl.lit("test"))])
    return Interactions(
        name=prefix,
        events=events,
        candidates=candidates,
        files=files.sha256,
        options={"skipped_lines": train_skipped + test_skipped},
    )


def draw_one_of_each_user(users: np.ndarray, seed: int) -> np.ndarray:
    """Marks one random event of each user who has at least two.

    Args:
        users: User of each event, of shape (events,).
        seed: Seed of the draw.

    Returns:
        Booleans of shape (events,).
    """
    shuffled = np.random.default_rng(seed).permutation(len(users))
    order = shuffled[np.argsort(users[shuffled], kind="stable")]
    _, first, counts = np.unique(users[order], return_index=True, return_counts=True)
    chosen = np.zeros(len(users), bool)
    chosen[order[first[counts >= 2]]] = True
    return chosen


def _prefix(files: SourceFiles) -> str:
    found = [n.removesuffix(TRAIN) for n in files.names() if n.endswith(TRAIN)]
    if len(found) != 1:
        raise InputError(
            f"The source must hold exactly one file that ends in '{TRAIN}'",
            received=", ".join(found) or "none",
            where=files.path,
            action="Put each dataset in a folder of its own",
        )
    return found[0]


def _ratings(files: SourceFiles, name: str, max_bad_lines: float) -> tuple[pl.DataFrame, int]:
    content = files.read(name)
    fields: dict[str, Kind] = {"user": INTEGER, "item": INTEGER, "rating": NUMBER}
    if content.partition(b"\n")[0].count(b"\t") == 3:
        fields["time"] = IGNORED
    return read_delimited(content, name, Layout(fields, "\t"), max_bad_lines)


def _negatives(files: SourceFiles, name: str, test: pl.DataFrame) -> pl.DataFrame:
    lines = pl.Series("line", files.read(name).decode("utf-8", "replace").splitlines())
    wrong = (~lines.str.contains(NEGATIVE_LINE)).arg_true()
    if len(wrong):
        raise InputError(
            "Each line must read (user,item)<TAB>negative<TAB>negative ..., all integers",
            received=repr(lines[wrong[0]][:80]),
            where=f"{name}, line {wrong[0] + 1}",
        )
    pairs = lines.str.extract_groups(r"^\((?<user>\d+),(?<item>\d+)\)").struct.unnest()
    rest = lines.str.strip_chars().str.split("\t").list.slice(1).cast(pl.List(pl.Int64))
    table = pairs.cast(pl.Int64).with_columns(negatives=rest)
    _check_pairs(table, test, name)
    return table.select(split=pl.lit("test"), user="user", negatives="negatives")


def _check_pairs(table: pl.DataFrame, test: pl.DataFrame, name: str) -> None:
    keys = ["user", "item"]
    lines = table.with_row_index("line", 1)
    unknown = lines.join(test, on=keys, how="anti")
    twice = lines.filter(pl.struct(keys).is_duplicated())
    for wrong in (unknown, twice):
        if len(wrong):
            line, user, item = wrong.select("line", *keys).row(-1)
            raise InputError(
                "Each line of negatives must belong to a pair of the test file, each to another",
                received=f"user {user}, item {item}",
                where=f"{name}, line {line}",
            )
    without = test.join(table, on=keys, how="anti")
    if len(without):
        user, item = without.select(keys).row(0)
        raise InputError(
            "Each pair of the test file must have a line of negatives",
            received=f"none for user {user}, item {item} ({len(without):,} pairs have none)",
            where=name,
        )
