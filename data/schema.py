"""What a prepared dataset holds: the typed form of `schema.json`."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from typing import Any

from data.errors import InputError, nearest
from data.feature import Feature, Kind, NumericStatistics, Transform

FORMAT = "recommender-zoo/prepared-dataset"
FORMAT_VERSION = 1
SCHEMA_FILE = "schema.json"
TOOL = "recommender-zoo 0.1.0"

PAD_ID = 0
OOV_ID = 1
FIRST_ID = 2  # the most frequent raw id of a vocabulary


@dataclass(frozen=True)
class Column:
    """One column of a view.

    Attributes:
        name: Key of the column in a batch.
        feature: Name of the `Feature` it holds.
        ragged: Whether a row holds a list of values instead of one.
        max_length: Longest list of any row in any split, for ragged columns.
    """

    name: str
    feature: str
    ragged: bool = False
    max_length: int | None = None


@dataclass(frozen=True)
class Shard:
    """One TFRecord file of block records; `file` is relative to the dataset's folder."""

    file: str
    blocks: int
    rows: int
    bytes: int


@dataclass(frozen=True)
class Split:
    """One split of a view.

    Attributes:
        rows: Number of rows.
        block_rows: Rows of every block of a shard but its last.
        longest: Longest list of each ragged column.
        shards: The files.
    """

    rows: int
    block_rows: int
    longest: dict[str, int]
    shards: tuple[Shard, ...]


@dataclass(frozen=True)
class View:
    """Rows of one kind; every split has the same columns."""

    columns: tuple[Column, ...]
    splits: dict[str, Split]

    def column(self, name: str) -> Column:
        """Returns the column called `name`."""
        return _by_name(self.columns, name, "column")


@dataclass(frozen=True)
class Candidates:
    """Frozen evaluation candidates of one split.

    Attributes:
        negatives: Negatives of each user.
        sampling: How they were drawn: `uniform` or `given`.
        seed: Seed of the draw; None where the source gave the candidates.
        sha256: Hash of the raw ids; see docs/data-format.md.
    """

    negatives: int
    sampling: str
    seed: int | None
    sha256: str


@dataclass(frozen=True)
class Cross:
    """A category made of several others by a hash of their ids.

    Attributes:
        name: Its name.
        of: Features, or the buckets of numeric ones (`NAME_bucket`).
        buckets: Number of its ids.
    """

    name: str
    of: tuple[str, ...]
    buckets: int


@dataclass(frozen=True)
class Schema:
    """All that a reader needs to know of a prepared dataset.

    Attributes:
        name: Name of the dataset, for people.
        features: Every feature that a column refers to.
        views: Views by name: `rows`, `histories`, `users`, `items`.
        candidates: Frozen evaluation candidates by split.
        provenance: Source files with sha-256, options and tool version.
        facts: Other facts by name, such as the best reachable scores of synthetic data.
        crosses: Categories that models make of several, in training and in serving.
    """

    name: str
    features: tuple[Feature, ...]
    views: dict[str, View]
    candidates: dict[str, Candidates] = field(default_factory=dict)
    provenance: dict[str, Any] = field(default_factory=dict)
    facts: dict[str, Any] = field(default_factory=dict)
    crosses: tuple[Cross, ...] = ()

    def feature(self, name: str) -> Feature:
        """Returns the feature called `name`."""
        return _by_name(self.features, name, "feature")

    def cardinality(self, name: str) -> int:
        """Returns the number of ids of a feature, padding and out-of-vocabulary included."""
        feature = self.feature(name)
        if feature.cardinality is None:
            raise InputError(f"Feature '{name}' must hold ids", received=feature.kind.value)
        return feature.cardinality

    def view(self, name: str) -> View:
        """Returns the view called `name`."""
        if name not in self.views:
            raise InputError(
                "The view must exist in the prepared dataset",
                received=repr(name),
                where=self.name,
                action=nearest(name, self.views),
            )
        return self.views[name]

    def to_json(self) -> dict[str, Any]:
        """Returns the content of `schema.json`."""
        head = {"format": FORMAT, "format_version": FORMAT_VERSION}
        return head | dataclasses.asdict(self, dict_factory=_plain)

    @staticmethod
    def from_json(value: dict[str, Any], where: object = SCHEMA_FILE) -> Schema:
        """Builds a schema from the content of `schema.json`.

        Raises:
            InputError: Another format or version, or a field missing or unknown.
        """
        body = dict(value)
        if (body.pop("format", None), body.pop("format_version", None)) != (FORMAT, FORMAT_VERSION):
            raise InputError(
                f"The schema must have format '{FORMAT}' and format_version {FORMAT_VERSION}",
                received=f"{value.get('format')!r}, {value.get('format_version')!r}",
                where=where,
                action="Prepare the data again with this version of data.prepare",
            )
        try:
            return _parse_schema(body)
        except (KeyError, TypeError, ValueError) as error:
            raise InputError(
                "The schema must have the fields that docs/data-format.md lists",
                received=f"{type(error).__name__}: {error}",
                where=where,
                action="Prepare the data again with data.prepare",
            ) from error

    @staticmethod
    def load(folder: Path) -> Schema:
        """Reads `schema.json` of the prepared dataset in `folder`.

        Raises:
            InputError: No schema there, or one that cannot be read.
        """
        path = folder / SCHEMA_FILE
        if not path.is_file():
            # What is there may be the source, which must not be written over.
            make = f"--source={folder} --out=DATA" if folder.exists() else f"--out={folder}"
            raise InputError(
                "A prepared dataset must hold a schema.json",
                received=folder if folder.exists() else f"{folder}, which does not exist",
                action=f"Make one: python -m data.prepare --dataset=... {make}",
            )
        try:
            value = json.loads(path.read_text(encoding="utf-8"))
        except ValueError as error:
            raise InputError("The schema must be JSON", received=error, where=path) from error
        return Schema.from_json(value, path)


def _plain(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    return {k: v.value if isinstance(v, Enum) else v for k, v in pairs}


def _by_name(entries: tuple[Any, ...], name: str, noun: str) -> Any:
    by_name = {entry.name: entry for entry in entries}
    if name in by_name:
        return by_name[name]
    raise InputError(f"The {noun} must exist", received=repr(name), action=nearest(name, by_name))


def _parse_feature(feature: dict[str, Any]) -> Feature:
    statistics = feature.get("statistics")
    if statistics is not None:
        quantiles = tuple(statistics["quantiles"])
        statistics = NumericStatistics(**{**statistics, "quantiles": quantiles})
    transforms = [Transform(t["name"], tuple(t["values"])) for t in feature.get("transforms", ())]
    parsed = {
        "kind": Kind(feature["kind"]),
        "statistics": statistics,
        "transforms": tuple(transforms),
        "boundaries": tuple(feature.get("boundaries", ())),
    }
    return Feature(**{**feature, **parsed})


def _parse_view(view: dict[str, Any]) -> View:
    splits = {
        name: Split(**{**split, "shards": tuple(Shard(**shard) for shard in split["shards"])})
        for name, split in view["splits"].items()
    }
    return View(tuple(Column(**column) for column in view["columns"]), splits)


def _parse_schema(body: dict[str, Any]) -> Schema:
    features = tuple(_parse_feature(feature) for feature in body.pop("features"))
    views = {name: _parse_view(view) for name, view in body.pop("views").items()}
    candidates = {k: Candidates(**v) for k, v in body.pop("candidates", {}).items()}
    crosses = tuple(Cross(**{**c, "of": tuple(c["of"])}) for c in body.pop("crosses", ()))
    return Schema(features=features, views=views, candidates=candidates, crosses=crosses, **body)
