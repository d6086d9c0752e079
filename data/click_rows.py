"""A click table to a prepared dataset with the view `rows` alone."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl

from data.atomic import atomic_folder, write_json
from data.blocks import write_split
from data.click_table import LABEL, SPLIT, ClickTable
from data.errors import InputError
from data.events import SPLITS, TRAIN, split_codes
from data.feature import NumericStatistics
from data.histories import MAX_SHARDS, ROWS_BLOCK, positions_in
from data.output import check_output
from data.schema import OOV_ID, SCHEMA_FILE, TOOL, Column, Feature, Kind, Schema, Split, View
from data.vocabulary import Vocabulary


@dataclass(frozen=True)
class ClickOptions:
    """How to prepare a click table.

    Attributes:
        min_category_count: Training rows that a category needs to get an id of its own; None takes
            the table's own number.
        seed: Seed of the order of training rows.
    """

    min_category_count: int | None = None
    seed: int = 0


def prepare_clicks(
    table: ClickTable,
    options: ClickOptions,
    out: Path,
    *,
    overwrite: bool = False,
    report: Callable[[str], None] = lambda _: None,
) -> Schema:
    """Writes the prepared dataset of `table` to the folder `out`.

    Takes the rows out of `table`, column by column, so that they are not held twice.

    Args:
        table: What a source delivered.
        options: How to prepare it.
        out: Folder to write; complete or absent afterwards.
        overwrite: Whether an existing folder is replaced.
        report: Called with what is being done.

    Raises:
        InputError: No row to train on or to hold out, labels other than 0 and 1, or `out` may not
            be written or replaced.
    """
    check_output(out, overwrite=overwrite)
    split = split_codes(table.frame[SPLIT])
    _check(table, split)
    count = options.min_category_count or table.min_category_count
    with atomic_folder(out, overwrite=overwrite) as folder:
        report(f"encoding {len(split):,} rows")
        features, data = _encode(folder, table, split == TRAIN, count)
        report("writing rows")
        view = _write_rows(folder, features, data, split, options.seed)
        stated = {"min_category_count": count, "seed": options.seed}
        skipped = sum(table.skipped_lines.values())
        schema = Schema(
            name=table.name,
            features=tuple(features),
            views={"rows": view},
            provenance={
                "files": table.files,
                "options": table.options | {"skipped_lines": table.skipped_lines} | stated,
                "tool": TOOL,
            },
            facts=table.facts | {"preparation": {"skipped_lines": skipped} if skipped else {}},
        )
        write_json(folder / SCHEMA_FILE, schema.to_json())
    return schema


def _check(table: ClickTable, split: np.ndarray) -> None:
    rows = np.bincount(split, minlength=len(SPLITS))
    if not rows[TRAIN] or rows.sum() == rows[TRAIN]:
        raise InputError(
            "There must be rows to train on and rows to hold out",
            received=", ".join(f"{s} {n:,}" for s, n in zip(SPLITS, rows, strict=True)),
            action="Change --validation_ratio or --test_ratio",
        )
    wrong = ~table.frame[LABEL].is_in([0.0, 1.0]).fill_null(False)
    if wrong.any():
        row = int(wrong.arg_true()[0])
        raise InputError(
            "Every label must be 0 or 1", received=table.frame[LABEL][row], where=f"row {row + 1}"
        )


def _encode(
    folder: Path, table: ClickTable, train: np.ndarray, min_count: int
) -> tuple[list[Feature], dict[str, np.ndarray]]:
    """Returns the label, the numeric and the categorical features, each in the table's order."""
    features = [Feature(LABEL, Kind.LABEL, "float32")]
    data = {LABEL: table.frame[LABEL].to_numpy()}
    names = [name for name in table.frame.columns if name not in (LABEL, SPLIT)]
    # Stable: numeric features come before the others, as they are stored side by side.
    for name in sorted(names, key=lambda name: table.frame[name].dtype != pl.Float32):
        values = table.frame[name]
        table.frame = table.frame.drop(name)
        if values.dtype == pl.Float32:
            default = table.defaults.get(name, 0.0)
            data[name] = values.fill_null(default).to_numpy()
            spread = NumericStatistics.of(data[name][train])
            features.append(
                Feature(name, Kind.NUMERIC, "float32", default=default, statistics=spread)
            )
        else:
            vocabulary = _train_vocabulary(values.filter(pl.Series(train)), min_count)
            vocabulary.write(folder, name)
            data[name] = vocabulary.ids(values)
            features.append(vocabulary.feature(name, Kind.CATEGORICAL, default=OOV_ID))
    return features, data


def _train_vocabulary(values: pl.Series, min_count: int) -> Vocabulary:
    found = values.drop_nulls().rename("category").value_counts(name="rows").sort("category")
    counts = found["rows"].to_numpy().astype(np.int64)
    return Vocabulary.from_counts(found["category"], np.where(counts >= min_count, counts, 0))


def _write_rows(
    folder: Path,
    features: list[Feature],
    data: dict[str, np.ndarray],
    split: np.ndarray,
    seed: int,
) -> View:
    columns = tuple(Column(feature.name, feature.name) for feature in features)
    splits: dict[str, Split] = {}
    for code in np.unique(split):
        chosen = positions_in(split, code, seed)
        splits[SPLITS[code]] = write_split(
            folder,
            "rows",
            SPLITS[code],
            columns,
            {feature.name: feature.dtype for feature in features},
            {name: values[chosen] for name, values in data.items()},
            block_rows=ROWS_BLOCK,
            max_shards=MAX_SHARDS,
        )
    return View(columns, splits)
