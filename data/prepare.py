r"""Turns raw interactions into a prepared dataset that every model trains on.

  python -m data.prepare --dataset=movielens_1m --source=ml-1m.zip --out=DATA
  python -m data.prepare --dataset=ncf_authors --source=ncf/Data --out=DATA
  python -m data.prepare --dataset=table --source=sales.csv --user_column=customer \
      --item_column=sku --time_column=bought_at --duplicates=keep_last --out=DATA
  python -m data.prepare --dataset=synthetic --out=DATA

The output folder is complete or absent. docs/data-format.md describes it.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")  # before TensorFlow is loaded

from absl import app, flags

from data.assemble import PrepareOptions, prepare
from data.errors import InputError
from data.filters import DUPLICATE_POLICIES, FilterOptions
from data.interactions import Interactions
from data.output import check_output
from data.sources import movielens, ncf_authors, synthetic, table, tfds_movielens
from data.splits import SPLIT_METHODS, SplitOptions
from data.summary import summary

EXIT_BAD_INPUT = 2
_AUTO = "auto"

_DATASET = flags.DEFINE_enum(
    "dataset",
    None,
    [*tfds_movielens.BUILDERS, "ncf_authors", "table", "synthetic"],
    "What the source is.",
)
_SOURCE = flags.DEFINE_string(
    "source",
    None,
    "Folder, zip archive or table. MovieLens without it goes through tensorflow-datasets.",
)
_OUT = flags.DEFINE_string("out", None, "Folder to write.")
_OVERWRITE = flags.DEFINE_bool("overwrite", False, "Replace --out if it is a prepared dataset.")
_SEED = flags.DEFINE_integer("seed", 0, "Seed of every draw.", 0)
_MAX_BAD_LINES = flags.DEFINE_float(
    "max_bad_lines", 0.0, "Largest share of malformed lines to skip.", 0.0, 1.0
)

_SPLIT = flags.DEFINE_enum(
    "split",
    _AUTO,
    [_AUTO, *SPLIT_METHODS],
    "How to hold out. auto: the source's own split if it has one, else leave_last_out.",
)
_VALIDATION_RATIO = flags.DEFINE_float("validation_ratio", 0.1, "Share for validation (ratios).")
_TEST_RATIO = flags.DEFINE_float("test_ratio", 0.1, "Share for test (ratios).")
_VALIDATION_FROM = flags.DEFINE_integer(
    "validation_from",
    None,
    "First time of validation (--split=time), in the source's unit; of ISO times and Parquet's "
    "dates and times: microseconds since 1970 in UTC.",
)
_TEST_FROM = flags.DEFINE_integer(
    "test_from",
    None,
    "First time of test (--split=time), in the source's unit; of ISO times and Parquet's dates "
    "and times: microseconds since 1970 in UTC.",
)
_NEGATIVES = flags.DEFINE_integer(
    "negatives", 99, "Frozen evaluation candidates of each user beside the held-out items.", 1
)

_DUPLICATES = flags.DEFINE_enum(
    "duplicates", "error", DUPLICATE_POLICIES, "Where a user has the same item twice."
)
_MIN_RATING = flags.DEFINE_float("min_rating", None, "Keep only ratings of at least this.")
_MIN_USER = flags.DEFINE_integer(
    "min_user_interactions", 1, "Drop users with fewer (repeated with the items': k-core).", 1
)
_MIN_ITEM = flags.DEFINE_integer("min_item_interactions", 1, "Drop items with fewer.", 1)

_USER_COLUMN = flags.DEFINE_string("user_column", "user", "Column of user ids (table).")
_ITEM_COLUMN = flags.DEFINE_string("item_column", "item", "Column of item ids (table).")
_RATING_COLUMN = flags.DEFINE_string("rating_column", "", "Column of ratings, if any (table).")
_TIME_COLUMN = flags.DEFINE_string("time_column", "", "Column of times, if any (table).")

_DEFAULTS = synthetic.SyntheticOptions()
_USERS = flags.DEFINE_integer("synthetic_users", _DEFAULTS.users, "Users (synthetic).")
_ITEMS = flags.DEFINE_integer("synthetic_items", _DEFAULTS.items, "Items (synthetic).")
_RATINGS = flags.DEFINE_integer("synthetic_ratings", _DEFAULTS.ratings, "Events (synthetic).")


def load_interactions(dataset: str) -> Interactions:
    """Reads the source that the flags name."""
    if dataset == "synthetic":
        return synthetic.load(
            synthetic.SyntheticOptions(
                users=_USERS.value, items=_ITEMS.value, ratings=_RATINGS.value, seed=_SEED.value
            )
        )
    if not _SOURCE.value:
        if dataset in tfds_movielens.BUILDERS:
            return tfds_movielens.load(dataset)
        raise InputError(f"--source must be given with --dataset={dataset}", action="See --help")
    source, bad = Path(_SOURCE.value), _MAX_BAD_LINES.value
    if dataset == "ncf_authors":
        return ncf_authors.load(ncf_authors.NcfOptions(source, _SEED.value, bad))
    if dataset == "table":
        return table.load(
            table.TableOptions(
                source,
                user_column=_USER_COLUMN.value,
                item_column=_ITEM_COLUMN.value,
                rating_column=_RATING_COLUMN.value,
                time_column=_TIME_COLUMN.value,
                max_bad_lines=bad,
            )
        )
    return movielens.load(movielens.MovieLensOptions(dataset, source, bad))


def options_for(interactions: Interactions) -> PrepareOptions:
    """Returns what the flags ask for."""
    method = _SPLIT.value
    if method == _AUTO:
        method = "given" if "split" in interactions.events.columns else "leave_last_out"
    return PrepareOptions(
        filters=FilterOptions(
            _DUPLICATES.value, _MIN_RATING.value, _MIN_USER.value, _MIN_ITEM.value
        ),
        split=SplitOptions(
            method,
            _VALIDATION_RATIO.value,
            _TEST_RATIO.value,
            _VALIDATION_FROM.value,
            _TEST_FROM.value,
            _SEED.value,
        ),
        negatives=_NEGATIVES.value,
        seed=_SEED.value,
    )


def run(report: Callable[[str], None]) -> None:
    """Loads, prepares, and prints the summary."""
    started = time.perf_counter()
    if not _DATASET.value or not _OUT.value:
        raise InputError("--dataset and --out must be given", action="See --help")
    out, source = Path(_OUT.value), Path(_SOURCE.value) if _SOURCE.value else None
    check_output(out, overwrite=_OVERWRITE.value, source=source)
    report(f"reading {_SOURCE.value or _DATASET.value}")
    interactions = load_interactions(_DATASET.value)
    options = options_for(interactions)
    schema = prepare(interactions, options, out, overwrite=_OVERWRITE.value, report=report)
    print(summary(schema, out, time.perf_counter() - started))


def main(argv: list[str]) -> None:
    """Parses, builds and calls."""
    if len(argv) > 1:
        raise app.UsageError(f"unexpected argument: {argv[1]}")
    started = time.perf_counter()

    def report(text: str) -> None:
        print(f"[{time.perf_counter() - started:6.1f} s] {text}", file=sys.stderr, flush=True)

    try:
        run(report)
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(EXIT_BAD_INPUT)
    except OSError as error:
        rule = "The source must be readable, and the output writable with room on its disk"
        print(f"error: {InputError(rule, received=error)}", file=sys.stderr)
        sys.exit(EXIT_BAD_INPUT)


if __name__ == "__main__":
    app.run(main)
