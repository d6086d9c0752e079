"""The feature spec: what the columns of a table mean, and how its rows are split."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Literal

from data.errors import InputError, nearest_column
from data.feature import Kind, Transform
from data.filters import DuplicatePolicy
from data.schema import Cross

Format = Literal["auto", "csv", "tsv", "parquet", "tfrecord", "tfds"]
SplitMethod = Literal["files", "time", "hash", "column", "position", "leave_last_out"]
MAX_IDS = 2**31 - 3  # raw ids or buckets of a feature: ids are int32, and two are taken
_SEPARATED = "Write `separator: {}` into its `source`"
ID_KINDS = (Kind.USER, Kind.ITEM, Kind.CATEGORICAL, Kind.MULTI_HOT)


@dataclass(frozen=True)
class SourceSpec:
    """How files are read.

    Attributes:
        format: `csv`, `tsv`, `parquet`, `tfrecord` (of row-wise `tf.Example`), `tfds` (a builder's
            name in place of files), or `auto`: by the ending of the first file.
        separator: Between the fields of a line; empty for that of the format.
        quote: Character around fields that hold separators or line breaks; empty for none.
        header: Whether the first line of each file holds the names of the columns.
        columns: Those names, where no line holds them.
        encoding: Of text files.
        missing: Texts that stand for a missing value, as the empty one always does.
        strip: Whether blanks around a value are no part of it.
        comment: Beginning of lines above the data that are passed over; empty for none.
        files: Patterns of the names of files to read of a folder; empty for all.
    """

    format: Format = "auto"
    separator: str = ""
    quote: str = '"'
    header: bool = True
    columns: tuple[str, ...] = ()
    encoding: str = "utf-8"
    missing: tuple[str, ...] = ()
    strip: bool = False
    comment: str = ""
    files: tuple[str, ...] = ()


@dataclass(frozen=True)
class FeatureSpec:
    """One feature.

    Attributes:
        name: Name of the feature, in batches and in requests.
        kind: `label`, `weight`, `numeric`, `categorical`, `multi_hot`, `user`, `item` or `time`.
        column: Column of the source.
        type: Of raw ids: `string` or `int64`.
        missing: Number that stands for a missing one.
        transforms: Of numbers, in this order, on their way into a model.
        buckets: Of numbers: how many equally full buckets make it a category too.
        boundaries: Of numbers: ascending boundaries of such buckets instead.
        min_count: Times that a raw id must be in training rows to get an id of its own.
        top: Most raw ids that get one; 0 for all.
        hash_buckets: Ids are hashes of the raw ids; 0 for a vocabulary.
        vocabulary: Name of the vocabulary, which features may share.
        separator: Between the values of a multi-hot text.
        positive: Texts that make the label 1.
        negative: Texts that make it 0; empty for all others.
        above: The label is 1 for numbers above this; of numbers of just this the row is dropped.
    """

    name: str
    kind: Kind
    column: str
    type: Literal["string", "int64"] = "string"
    missing: float = 0.0
    transforms: tuple[Transform, ...] = ()
    buckets: int = 0
    boundaries: tuple[float, ...] = ()
    min_count: int = 1
    top: int = 0
    hash_buckets: int = 0
    vocabulary: str = ""
    separator: str = "|"
    positive: tuple[str, ...] = ()
    negative: tuple[str, ...] = ()
    above: float | None = None

    @property
    def holds_ids(self) -> bool:
        """Whether raw values become ids."""
        return self.kind in ID_KINDS

    @property
    def vocabulary_name(self) -> str:
        """Name of the vocabulary that its raw ids are in."""
        return self.vocabulary or self.name


@dataclass(frozen=True)
class SplitSpec:
    """Which rows are held out.

    Attributes:
        method: `files`: by the file; `time`: by a column of times; `hash`: by a hash of columns;
            `column`: as a column says; `position`: the last rows; `leave_last_out`: each user's
            last row is test, the one before it validation.
        column: Of `time` and `column`.
        of: Columns whose hash decides (`hash`): rows equal in them land in one split.
        validation: Share of rows (`hash`, `position`); of the rows of files that are neither
            validation's nor test's, by a hash of the whole row (`files`).
        test: Share of rows (`hash`, `position`).
        validation_from: First time of validation (`time`), as in the column.
        test_from: First time of test (`time`).
        validation_files: Patterns of file names (`files`).
        test_files: Patterns of file names (`files`); all others are train.
        seed: Of the hash.
    """

    method: SplitMethod = "hash"
    column: str = ""
    of: tuple[str, ...] = ()
    validation: float = 0.1
    test: float = 0.1
    validation_from: str = ""
    test_from: str = ""
    validation_files: tuple[str, ...] = ()
    test_files: tuple[str, ...] = ()
    seed: int = 0


@dataclass(frozen=True)
class InteractionsSpec:
    """What is done with rows that have no label: each is a user's interaction with an item.

    Attributes:
        duplicates: Where a user has the same item twice.
        negatives: Frozen evaluation candidates of each user beside the held-out items.
        popular_negatives: As many more, drawn in proportion to an item's rows in train.
    """

    duplicates: DuplicatePolicy = "error"
    negatives: int = 99
    popular_negatives: int = 0


@dataclass(frozen=True)
class TableSpec:
    """What a table means.

    Attributes:
        name: Name of the dataset, for people.
        features: One entry a feature, in the order of the spec; names are unique.
        source: How its files are read.
        crosses: Categories made of several.
        split: Which rows are held out.
        interactions: What is done with rows without a label.
        users: A table of what is known of users; its first feature is `user`.
        items: The same of items.
    """

    name: str
    features: tuple[FeatureSpec, ...]
    source: SourceSpec = field(default_factory=SourceSpec)
    crosses: tuple[Cross, ...] = ()
    split: SplitSpec = field(default_factory=SplitSpec)
    interactions: InteractionsSpec = field(default_factory=InteractionsSpec)
    users: TableSpec | None = None
    items: TableSpec | None = None

    @property
    def holds_interactions(self) -> bool:
        """Whether rows are interactions to rank items by, as they have no label to predict."""
        return not self.of_kind(Kind.LABEL)

    @property
    def goes_by_user(self) -> bool:
        """Whether all rows of a user must be seen together."""
        return self.holds_interactions or self.split.method == "leave_last_out"

    def needs(self, feature: FeatureSpec) -> bool:
        """Whether every row must have an id of a feature, as rows are told apart by it."""
        return (feature.kind is Kind.USER and self.goes_by_user) or (
            feature.kind is Kind.ITEM and self.holds_interactions
        )

    def of_kind(self, *kinds: Kind) -> list[FeatureSpec]:
        """Returns the features of these kinds, in order."""
        return [feature for feature in self.features if feature.kind in kinds]

    def feature(self, name: str) -> FeatureSpec:
        """Returns the feature of this name."""
        return next(feature for feature in self.features if feature.name == name)

    def columns(self) -> list[str]:
        """Returns the columns of the source that are read, each once, in order of first use."""
        return list(dict.fromkeys(self._used_columns()))

    def _used_columns(self) -> Iterator[str]:
        yield from (feature.column for feature in self.features)
        yield from self.split.of
        if self.split.column:
            yield self.split.column

    def vocabularies(self) -> dict[str, list[FeatureSpec]]:
        """Returns the features of each vocabulary, by its name."""
        found: dict[str, list[FeatureSpec]] = {}
        for feature in self.features:
            if feature.holds_ids and not feature.hash_buckets:
                found.setdefault(feature.vocabulary_name, []).append(feature)
        return found

    def check_columns(self, known: list[str], where: object) -> None:
        """Checks the columns of a source.

        Raises:
            InputError: A column that the spec names is missing, or there twice.
        """
        for column in self.columns():
            times = known.count(column)
            if times != 1:
                raise InputError(
                    "A column of the spec must be in the source once",
                    received=f"{column!r}, {f'{times} times' if times else 'not at all'}",
                    where=where,
                    action="Rename one of them"
                    if times
                    else nearest_column(column, set(known), _SEPARATED),
                )
