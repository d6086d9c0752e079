"""Which features of a prepared dataset are inputs of a model, as its schema tells.

A row's own columns come with the batch; what is known of users and items does not, and is joined to
their ids from the dataset's attributes. Numbers, categories, lists of categories, users and items
are inputs; times, texts and labels never are, as they are not known when a score is asked for.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from data.attribute_table import read_attributes
from data.dataset import PreparedDataset
from data.errors import InputError, nearest
from data.feature import Feature, Kind

# Whose a value is: the row's (its user's, its context's), the item's, or of both together.
Side = Literal["row", "item", "pair"]

_INPUTS = (Kind.NUMERIC, Kind.CATEGORICAL, Kind.MULTI_HOT, Kind.USER, Kind.ITEM)


@dataclass(frozen=True)
class Source:
    """Where an input's raw values are.

    Attributes:
        name: Name of the column or of the attribute.
        feature: The feature that it holds.
        side: `row` or `item`.
        owner: `user` or `item` whose attribute it is; empty for a column of the rows.
    """

    name: str
    feature: Feature
    side: Side
    owner: Literal["", "user", "item"]


@dataclass(frozen=True)
class IdInput:
    """A category to look up in tables.

    Attributes:
        name: Of a source, of its buckets (`age_bucket`) or of a cross (`education*occupation`).
        rows: Rows that a table of it needs.
        side: `row`, `item` or `pair`.
        is_bag: Whether there are several ids, padded with 0.
    """

    name: str
    rows: int
    side: Side
    is_bag: bool


def find_sources(
    data: PreparedDataset, exclude: Sequence[str]
) -> tuple[list[Source], dict[str, np.ndarray]]:
    """Returns the inputs in the dataset's order, and the attributes among them by name.

    Args:
        data: The prepared dataset.
        exclude: Names of inputs to leave out.

    Raises:
        InputError: `exclude` names no input or leaves none, or a column holds lists of numbers.
    """
    columns = data.schema.view("rows").columns
    sources, tables = [], {}
    for column in columns:
        feature = data.schema.feature(column.feature)
        if feature.kind in _INPUTS:
            if column.ragged and feature.kind is not Kind.MULTI_HOT:
                raise InputError(
                    "A list of values must be of kind multi_hot",
                    received=f"'{column.name}', which is {feature.kind.value}",
                    where=data.folder,
                )
            side: Side = "item" if feature.kind is Kind.ITEM else "row"
            sources.append(Source(column.name, feature, side, ""))
    own = {column.name for column in columns}
    owners: tuple[Literal["user", "item"], ...] = ("user", "item")
    for owner in owners:
        attributes = read_attributes(data, owner) if owner in own else {}
        for name, values in attributes.items():
            if name not in own:  # what a row says of itself is nearer to it
                tables[name] = values
                side = "item" if owner == "item" else "row"
                sources.append(Source(name, data.schema.feature(name), side, owner))
    return _without(sources, exclude), tables


def _without(sources: list[Source], exclude: Sequence[str]) -> list[Source]:
    names = [source.name for source in sources]
    for name in exclude:
        if name not in names:
            raise InputError(
                "model.exclude must name features that the model would take in",
                received=repr(name),
                action=nearest(name, names),
            )
    kept = [source for source in sources if source.name not in exclude]
    if not kept:
        raise InputError("model.exclude must leave a feature", received=", ".join(exclude))
    return kept
