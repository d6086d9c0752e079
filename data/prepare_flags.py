"""Flags of `data.prepare` that say what to keep, how to split, and what a source needs to know."""

from __future__ import annotations

from pathlib import Path

from absl import flags

from data import spec_flags
from data.assemble import PrepareOptions
from data.errors import InputError
from data.filters import DUPLICATE_POLICIES, FilterOptions
from data.interactions import Interactions
from data.sources import (
    lightgcn,
    movielens,
    ncf_authors,
    synthetic,
    table,
    tfds_movielens,
)
from data.splits import SPLIT_METHODS, SplitOptions
from data.times import stored_time, time_unit
from data.titles import read_titles

INTERACTIONS = (*tfds_movielens.BUILDERS, "ncf_authors", "lightgcn", "table", "synthetic")
_AUTO = "auto"

_SOURCE = flags.DEFINE_string(
    "source",
    None,
    "Folder, zip archive or file. MovieLens without it goes through tensorflow-datasets.",
)
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
_VALIDATION_RATIO = flags.DEFINE_float(
    "validation_ratio",
    0.1,
    "Share for validation: of each user's interactions (ratio, random_ratio), of all of them "
    "(random), of each user's training items (lightgcn).",
)
_TEST_RATIO = flags.DEFINE_float(
    "test_ratio", 0.1, "Share for test, likewise (ratio, random_ratio, random)."
)
_VALIDATION_FROM = flags.DEFINE_string(
    "validation_from",
    None,
    "First time of validation (--split=time): a date or time such as 2026-03-01 or "
    "2026-03-01T12:00, UTC unless it names an offset; where the source's times are integers, one "
    "of these.",
)
_TEST_FROM = flags.DEFINE_string("test_from", None, "First time of test (--split=time), likewise.")
_VALIDATION_USERS = flags.DEFINE_integer(
    "validation_users", 500, "Users to hold out for validation (--split=held_out_users).", 0
)
_TEST_USERS = flags.DEFINE_integer(
    "test_users", 500, "Users to hold out for test (--split=held_out_users).", 0
)
_FOLD_IN = flags.DEFINE_float(
    "fold_in", 0.8, "Share of a held-out user's interactions that is known (held_out_users)."
)
_NEGATIVES = flags.DEFINE_integer(
    "negatives", 99, "Frozen evaluation candidates of each user beside the held-out items.", 1
)
_POPULAR_NEGATIVES = flags.DEFINE_integer(
    "popular_negatives", 0, "As many more, drawn in proportion to an item's events in training.", 0
)

_DUPLICATES = flags.DEFINE_enum(
    "duplicates", "error", DUPLICATE_POLICIES, "Where a user has the same item twice."
)
_MIN_RATING = flags.DEFINE_float("min_rating", None, "Keep only ratings of at least this.")
_LABEL_THRESHOLD = flags.DEFINE_float(
    "label_threshold",
    None,
    "Make a label of each rating: 1 above this, 0 below; interactions rated just this are dropped.",
)
_MIN_USER = flags.DEFINE_integer(
    "min_user_interactions", 1, "Drop users with fewer (repeated with the items': k-core).", 1
)
_MIN_ITEM = flags.DEFINE_integer("min_item_interactions", 1, "Drop items with fewer.", 1)

_USER_COLUMN = flags.DEFINE_string("user_column", "user", "Column of user ids (table).")
_ITEM_COLUMN = flags.DEFINE_string("item_column", "item", "Column of item ids (table).")
_RATING_COLUMN = flags.DEFINE_string("rating_column", "", "Column of ratings, if any (table).")
_TIME_COLUMN = flags.DEFINE_string("time_column", "", "Column of times, if any (table).")

_SEPARATOR = flags.DEFINE_string(
    "separator",
    "",
    "One character between the fields of a text file, \\t for a tab; empty: a comma in .csv, a tab "
    "in .tsv and .txt (table).",
)
_ITEM_TITLES = flags.DEFINE_string(
    "item_titles", None, "CSV or .tsv file with columns id and title, of a source without titles."
)

_DEFAULTS = synthetic.SyntheticOptions()
_USERS = flags.DEFINE_integer("synthetic_users", _DEFAULTS.users, "Users (synthetic).")
_ITEMS = flags.DEFINE_integer("synthetic_items", _DEFAULTS.items, "Items (synthetic).")
_RATINGS = flags.DEFINE_integer("synthetic_ratings", _DEFAULTS.ratings, "Events (synthetic).")

_WITH_SPEC_TOO = (_SOURCE, _SEED, _MAX_BAD_LINES)


def source_path() -> Path | None:
    """Returns the source that is given, if one is."""
    return Path(_SOURCE.value) if _SOURCE.value else None


def check_flags(spec: str | None) -> None:
    """Refuses flags that would do nothing.

    Args:
        spec: The feature spec that is given, if one is.

    Raises:
        InputError: A flag of datasets with a spec, or the other way round.
    """
    here = flags.FLAGS.flags_by_module_dict()[__name__]
    with_spec = flags.FLAGS.flags_by_module_dict()[spec_flags.__name__]
    both = [holder.name for holder in _WITH_SPEC_TOO]
    for flag in here if spec else with_spec:
        if flag.present and flag.name not in both:
            raise InputError(
                f"--{flag.name} goes with {'--dataset' if spec else '--spec'} only",
                received=f"--spec={spec}" if spec else "--dataset",
                action="Write it into the spec" if spec else "Drop it",
            )


def table_flags() -> tuple[str | None, int, float]:
    """Returns what tables with a spec heed too: the source, the seed and the share of bad lines."""
    return _SOURCE.value, _SEED.value, _MAX_BAD_LINES.value


def load_interactions(dataset: str) -> Interactions:
    """Reads the interactions that the flags name."""
    interactions = _load_source(dataset)
    if _ITEM_TITLES.value:
        interactions.add_item_titles(read_titles(Path(_ITEM_TITLES.value)))
    return interactions


def _load_source(dataset: str) -> Interactions:
    seed, bad = _SEED.value, _MAX_BAD_LINES.value
    if dataset == "synthetic":
        return synthetic.load(
            synthetic.SyntheticOptions(
                users=_USERS.value, items=_ITEMS.value, ratings=_RATINGS.value, seed=seed
            )
        )
    if dataset in tfds_movielens.BUILDERS and source_path() is None:
        return tfds_movielens.load(dataset)
    source = _needed_source(dataset)
    if dataset == "ncf_authors":
        return ncf_authors.load(ncf_authors.NcfOptions(source, seed, bad))
    if dataset == "lightgcn":
        ratio = _VALIDATION_RATIO.value
        return lightgcn.load(lightgcn.LightGcnOptions(source, ratio, seed, bad))
    if dataset == "table":
        return table.load(
            table.TableOptions(
                source,
                user_column=_USER_COLUMN.value,
                item_column=_ITEM_COLUMN.value,
                rating_column=_RATING_COLUMN.value,
                time_column=_TIME_COLUMN.value,
                max_bad_lines=bad,
                separator=_SEPARATOR.value.replace("\\t", "\t"),
            )
        )
    return movielens.load(movielens.MovieLensOptions(dataset, source, bad))


def _needed_source(dataset: str) -> Path:
    source = source_path()
    if source is None:
        raise InputError(f"--source must be given with --dataset={dataset}", action="See --help")
    return source


def _time_point(flag: flags.FlagHolder[str | None], interactions: Interactions) -> int | None:
    if flag.value is None:
        return None
    return stored_time(flag.value, time_unit(interactions.facts), flag.name)


def options_for(interactions: Interactions) -> PrepareOptions:
    """Returns what the flags ask for."""
    method = _SPLIT.value
    if method == _AUTO:
        method = "given" if "split" in interactions.events.columns else "leave_last_out"
    return PrepareOptions(
        filters=FilterOptions(
            _DUPLICATES.value,
            _MIN_RATING.value,
            _MIN_USER.value,
            _MIN_ITEM.value,
            _LABEL_THRESHOLD.value,
        ),
        split=SplitOptions(
            method,
            _VALIDATION_RATIO.value,
            _TEST_RATIO.value,
            _time_point(_VALIDATION_FROM, interactions),
            _time_point(_TEST_FROM, interactions),
            _SEED.value,
            _VALIDATION_USERS.value,
            _TEST_USERS.value,
            _FOLD_IN.value,
        ),
        negatives=_NEGATIVES.value,
        popular_negatives=_POPULAR_NEGATIVES.value,
        seed=_SEED.value,
    )
