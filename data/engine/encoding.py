"""Parts to shards: raw ids become ids, missing numbers their default, and nothing else changes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl
import pyarrow as pa
import tensorflow as tf

from data.blocks import ColumnData, Ragged, write_blocks
from data.engine.parts import codes_of, read_part
from data.engine.raw_id_index import RawIdIndex
from data.events import SPLITS, TRAIN
from data.feature import Feature, Kind
from data.hashing import hashed_ids
from data.histories import ROWS_BLOCK, SHUFFLE_STREAM
from data.schema import FIRST_ID, OOV_ID, Column, Shard
from data.spec.table_spec import FeatureSpec, TableSpec
from data.vocabulary import Vocabulary

# Columns of one type are stored side by side: numbers first, as `docs/data-format.md` has it.
_ORDER = (Kind.LABEL, Kind.WEIGHT, Kind.NUMERIC, Kind.USER, Kind.ITEM, Kind.CATEGORICAL)


@dataclass(frozen=True)
class EncodedShard:
    """A shard, and the longest list of each ragged column in it."""

    shard: Shard
    longest: dict[str, int]


def write_shard(
    file: Path,
    columns: Sequence[Column],
    dtypes: Mapping[str, str],
    rows: Mapping[str, ColumnData],
    block_rows: int,
) -> EncodedShard:
    """Writes rows as one shard.

    Args:
        file: The shard.
        columns: The view's columns.
        dtypes: Stored type of each feature.
        rows: The rows by column.
        block_rows: Rows of a block.
    """
    count = len(rows[columns[0].name])
    starts = range(0, count, block_rows)
    write_blocks(file, columns, dtypes, rows, starts, block_rows)
    lengths = {k: v.lengths for k, v in rows.items() if isinstance(v, Ragged)}
    longest = {name: int(values.max(initial=1)) for name, values in lengths.items()}
    return EncodedShard(Shard(file.name, len(starts), count, file.stat().st_size), longest)


class Encoder:
    """Encodes the parts of one table.

    Args:
        spec: What its columns mean.
        vocabularies: By name.
        numbers: Numeric features as they were fitted, by name.
        seed: Seed of the order of train rows.
    """

    def __init__(
        self,
        spec: TableSpec,
        vocabularies: Mapping[str, Vocabulary],
        numbers: Mapping[str, Feature],
        seed: int,
    ) -> None:
        self._spec, self._seed = spec, seed
        self._features = sorted(spec.features, key=lambda f: _place(f.kind))
        self.features = [_feature(f, vocabularies, numbers) for f in self._features]
        self.columns = tuple(
            Column(f.name, f.name, ragged=f.kind is Kind.MULTI_HOT) for f in self._features
        )
        self._dtypes = {feature.name: feature.dtype for feature in self.features}
        self._index = {name: RawIdIndex(known) for name, known in vocabularies.items()}

    def encode(
        self, path: Path, split: np.ndarray, index: int, folder: Path
    ) -> dict[str, EncodedShard]:
        """Writes one shard for each split that a part has rows of.

        Args:
            path: The part.
            split: Split of each of its rows.
            index: Number of the part; keys the order of its train rows.
            folder: Where to write `SPLIT-INDEX.tfrecord`.

        Returns:
            What was written, by split.
        """
        part = read_part(path)
        data = {f.name: self._column(f, part.column(f.name)) for f in self._features}
        written = {}
        for code in np.unique(split):
            chosen = np.flatnonzero(split == code)
            if code == TRAIN:
                np.random.default_rng([self._seed, SHUFFLE_STREAM, index]).shuffle(chosen)
            rows = {name: _take(values, chosen) for name, values in data.items()}
            file = folder / f"{SPLITS[code]}-{index:06d}.tfrecord"
            written[SPLITS[code]] = write_shard(file, self.columns, self._dtypes, rows, ROWS_BLOCK)
        return written

    def _column(self, feature: FeatureSpec, column: pa.Array) -> ColumnData:
        if not feature.holds_ids:
            if feature.kind is Kind.NUMERIC:
                column = column.fill_null(feature.missing)
            return column.to_numpy(zero_copy_only=False)
        codes, raw = codes_of(column)
        # One entry more, for the code -1 of what is missing.
        of_code = np.append(self._encode(feature, raw), np.int32(OOV_ID))
        ids = of_code[codes]
        if feature.kind is not Kind.MULTI_HOT:
            return ids
        return Ragged(ids, np.diff(column.offsets.to_numpy()).astype(np.int32))

    def _encode(self, feature: FeatureSpec, raw: pl.Series) -> np.ndarray:
        """Returns the ids of raw ids: (raw ids,), int32."""
        if feature.hash_buckets:
            texts = tf.constant(raw.cast(pl.String).to_numpy(), tf.string)
            return hashed_ids(texts, feature.hash_buckets).numpy()
        return self._index[feature.vocabulary_name].ids(raw)


def _place(kind: Kind) -> int:
    return _ORDER.index(kind) if kind in _ORDER else len(_ORDER)


def _feature(
    feature: FeatureSpec, vocabularies: Mapping[str, Vocabulary], numbers: Mapping[str, Feature]
) -> Feature:
    """Returns the schema's entry."""
    if feature.holds_ids and feature.hash_buckets:
        return Feature(
            feature.name,
            feature.kind,
            "int32",
            cardinality=feature.hash_buckets + FIRST_ID,
            raw_dtype=feature.type,
            default=OOV_ID,
            hash_buckets=feature.hash_buckets,
        )
    if feature.holds_ids:
        name = feature.vocabulary_name
        found = vocabularies[name].feature(name, feature.kind, default=OOV_ID)
        return Feature(**{**vars(found), "name": feature.name, "raw_dtype": feature.type})
    if feature.kind is Kind.NUMERIC:
        return numbers[feature.name]
    return Feature(feature.name, feature.kind, "int64" if feature.kind is Kind.TIME else "float32")


def _take(values: ColumnData, chosen: np.ndarray) -> ColumnData:
    return values.take(chosen) if isinstance(values, Ragged) else values[chosen]
