"""The views `users` and `items`: what is known of each id."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl

from data.blocks import ColumnData, Ragged, write_split
from data.errors import InputError
from data.feature import NumericStatistics
from data.schema import FIRST_ID, OOV_ID, Column, Feature, Kind, View
from data.vocabulary import Vocabulary

ATTRIBUTE_BLOCK = 4096
MAX_SHARDS = 16
RESERVED_NAMES = (
    "user",
    "item",
    "rating",
    "label",
    "time",
    "split",
    "seen_item",
    "negative_item",
    "popular_item",
)


@dataclass(frozen=True)
class Attribute:
    """One attribute in the form in which it is stored: row r belongs to id r."""

    feature: Feature
    column: Column
    data: ColumnData


def write_attributes(
    folder: Path, key: str, table: pl.DataFrame, ids: Vocabulary, text: frozenset[str]
) -> tuple[View, list[Feature]]:
    """Writes the view of one kind of id, and the vocabularies of its attributes.

    Args:
        folder: The prepared dataset being written.
        key: `user` or `item`.
        table: The attributes; rows of ids that training never saw are left out.
        ids: Vocabulary of the users or items.
        text: Attributes for people to read.

    Raises:
        InputError: An attribute with a reserved name, an id listed twice, or an unknown type.
    """
    _check(table, key)
    by_id = pl.DataFrame({key: ids.raw_ids}).with_row_index("_row")
    joined = by_id.join(table, on=key, how="left").sort("_row").drop("_row", key)
    rows = np.arange(ids.cardinality, dtype=np.int32)
    data: dict[str, ColumnData] = {key: rows}
    columns, features = [Column(key, key)], []
    for values in joined:
        attribute = _store(folder, values, Kind.TEXT if values.name in text else None)
        data[values.name] = attribute.data
        columns.append(attribute.column)
        features.append(attribute.feature)
    split = write_split(
        folder,
        f"{key}s",
        "all",
        columns,
        {key: "int32", **{f.name: f.dtype for f in features}},
        data,
        block_rows=ATTRIBUTE_BLOCK,
        max_shards=MAX_SHARDS,
    )
    return View(tuple(columns), {"all": split}), features


def _check(table: pl.DataFrame, key: str) -> None:
    clash = sorted(set(table.columns) - {key} & set(RESERVED_NAMES))
    if clash:
        raise InputError("An attribute must not have a reserved name", received=clash[0])
    twice = table[key].filter(table[key].is_duplicated())
    if len(twice):
        raise InputError(
            f"The attributes must list each {key} once",
            received=f"{key} {twice[0]!r} more than once",
            action="Remove the repeated lines",
        )


def _store(folder: Path, values: pl.Series, kind: Kind | None) -> Attribute:
    if values.dtype == pl.Float32:
        return _numeric(values)
    if isinstance(values.dtype, pl.List):
        return _multi_hot(folder, values)
    if values.dtype in (pl.String, pl.Int64):
        return _categorical(folder, values, kind or Kind.CATEGORICAL)
    raise InputError(
        "An attribute must be String, Int64, Float32 or a List of String",
        received=f"{values.name} of type {values.dtype}",
    )


def _numeric(values: pl.Series) -> Attribute:
    """Unknown values become the mean of the known ones."""
    mean = values.mean()
    default = float(mean) if isinstance(mean, float) else 0.0
    known = values.fill_null(default).to_numpy()
    spread = NumericStatistics.of(known)
    feature = Feature(values.name, Kind.NUMERIC, "float32", default=default, statistics=spread)
    data = np.concatenate([np.full(FIRST_ID, default, np.float32), known])
    return Attribute(feature, Column(values.name, values.name), data)


def _categorical(folder: Path, values: pl.Series, kind: Kind) -> Attribute:
    if kind is Kind.TEXT:
        values = values.str.replace_all(r"\s+", " ").str.strip_chars()
    vocabulary = _vocabulary(values)
    vocabulary.write(folder, values.name)
    data = np.concatenate([np.full(FIRST_ID, OOV_ID, np.int32), vocabulary.ids(values)])
    feature = vocabulary.feature(values.name, kind, default=OOV_ID)
    return Attribute(feature, Column(values.name, values.name), data)


def _multi_hot(folder: Path, values: pl.Series) -> Attribute:
    lists = values.fill_null([])
    flat = lists.filter(lists.list.len() > 0).explode()
    vocabulary = _vocabulary(flat)
    vocabulary.write(folder, values.name)
    lengths = np.concatenate([np.zeros(FIRST_ID), lists.list.len().to_numpy()]).astype(np.int32)
    column = Column(values.name, values.name, ragged=True, max_length=max(1, int(lengths.max())))
    data = Ragged(vocabulary.ids(flat), lengths)
    return Attribute(vocabulary.feature(values.name, Kind.MULTI_HOT), column, data)


def _vocabulary(values: pl.Series) -> Vocabulary:
    known = values.drop_nulls()
    unique = known.unique().sort()
    if known.is_empty():  # which would leave the type of the codes open
        return Vocabulary.from_counts(unique, np.zeros(0, np.int64))
    codes = known.replace_strict(unique, np.arange(len(unique)), return_dtype=pl.Int64)
    return Vocabulary.from_counts(unique, np.bincount(codes.to_numpy(), minlength=len(unique)))
