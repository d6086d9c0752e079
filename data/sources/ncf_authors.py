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
from data.sources.delimited import decode_text, read_delimited
from data.sources.files import SourceFiles
from data.sources.layout import IGNORED, INTEGER_ID, NUMBER, Kind, Layout

TRAIN, TEST, NEGATIVE = ".train.rating", ".test.rating", ".test.negative"
_ID = "(?:0|[1-9][0-9]{0,17})"
PAIR = rf"^\((?<user>{_ID}),(?<item>{_ID})\)"
NEGATIVE_LINE = rf"{PAIR}(?:\t{_ID})+\s*$"


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
        InputError: Files missing, more than one prefix, malformed lines, or negatives that do not
            fit the ratings.
    """
    files = SourceFiles(options.source)
    prefix = _prefix(files)
    skipped: dict[str, int] = {}
    train = _ratings(files, prefix + TRAIN, options.max_bad_lines, skipped)
    test = _ratings(files, prefix + TEST, options.max_bad_lines, skipped)
    candidates = _negatives(files, prefix + NEGATIVE, train, test)
    in_validation = draw_one_of_each_user(train["user"].to_numpy(), options.seed)
    split = pl.when(pl.Series(in_validation)).then(pl.lit("validation")).otherwise(pl.lit("train"))
    events = pl.concat([train.with_columns(split=split), test.with_columns(split=pl.lit("test"))])
    return Interactions(
        name=prefix,
        events=events,
        candidates=candidates,
        files=files.sha256,
        skipped_lines=skipped,
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


def _ratings(
    files: SourceFiles, name: str, max_bad_lines: float, skipped: dict[str, int]
) -> pl.DataFrame:
    """Reads one file of ratings, and notes the lines skipped in `skipped`."""
    content = files.read(name)
    fields: dict[str, Kind] = {"user": INTEGER_ID, "item": INTEGER_ID, "rating": NUMBER}
    if content.partition(b"\n")[0].count(b"\t") == 3:
        fields["time"] = IGNORED
    frame, count = read_delimited(content, name, Layout(fields, "\t"), max_bad_lines)
    if count:
        skipped[name] = count
    return frame


def _negatives(
    files: SourceFiles, name: str, train: pl.DataFrame, test: pl.DataFrame
) -> pl.DataFrame:
    lines = pl.Series("line", decode_text(files.read(name), name).splitlines())
    wrong = (~lines.str.contains(NEGATIVE_LINE)).arg_true()
    if len(wrong):
        raise InputError(
            "Each line must read (user,item)<TAB>negative<TAB>negative ..., all integers of at "
            "most 18 digits without leading zeros",
            received=repr(lines[wrong[0]][:80]),
            where=f"{name}, line {wrong[0] + 1}",
        )
    pairs = lines.str.extract_groups(PAIR).struct.unnest()
    rest = lines.str.strip_chars().str.split("\t").list.slice(1).cast(pl.List(pl.Int64))
    table = pairs.cast(pl.Int64).with_columns(negatives=rest).with_row_index("line", 1)
    _check_pairs(table, test, name)
    _check_lists(table, train, name)
    return table.select(split=pl.lit("test"), user="user", negatives="negatives")


def _refuse_lines(rule: str, wrong: pl.DataFrame, name: str) -> None:
    """Raises InputError on the first of some lines, if there are any."""
    if len(wrong):
        line, user, item = wrong.sort("line").select("line", "user", "item").row(0)
        raise InputError(
            rule,
            received=f"user {user}, item {item}",
            where=f"{name}, line {line}",
            action="Correct the files, or take them as the authors give them",
        )


def _check_pairs(table: pl.DataFrame, test: pl.DataFrame, name: str) -> None:
    keys = ["user", "item"]
    _refuse_lines(
        "Each line of negatives must belong to a pair of the test file",
        table.join(test, on=keys, how="anti"),
        name,
    )
    _refuse_lines(
        "Each user must have one line of negatives",
        table.filter(~pl.col("user").is_first_distinct()),
        name,
    )
    without = test.join(table, on=keys, how="anti")
    if len(without):
        user, item = without.select(keys).row(0)
        raise InputError(
            "Each pair of the test file must have a line of negatives",
            received=f"none for user {user}, item {item} ({len(without):,} pairs have none)",
            where=name,
        )


def _check_lists(table: pl.DataFrame, train: pl.DataFrame, name: str) -> None:
    # The line's own held-out item may be among them: 156 of the authors' lines for MovieLens-1M
    # have it, and it is left out of the candidates later.
    flat = table.select("line", "user", item="negatives").explode("item")
    _refuse_lines(
        "No line may list a negative twice", flat.filter(~pl.struct(flat).is_first_distinct()), name
    )
    _refuse_lines(
        "No negative may be an item that the user has in the training file",
        flat.join(train, on=["user", "item"], how="semi"),
        name,
    )
