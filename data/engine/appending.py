"""New rows beside those of a prepared dataset: its ids keep their rows, new ones follow.

What was fitted before stays: the spread of numbers, their transforms and buckets, and the order of
each vocabulary, so that a model trained before gives the same scores to the same raw values.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Mapping
from pathlib import Path

import polars as pl

from data.dataset import PreparedDataset
from data.engine.plain_json import plain
from data.errors import InputError
from data.feature import Feature
from data.schema import Shard, Split
from data.spec.table_spec import TableSpec
from data.vocabulary import Vocabulary


def features_sha256(spec: TableSpec) -> str:
    """Returns a hash of what rows become: the features and crosses of a spec."""
    parts = [vars(part) for part in (*spec.features, *spec.crosses)]
    return hashlib.sha256(json.dumps(parts, sort_keys=True, default=plain).encode()).hexdigest()


class Previous:
    """A prepared dataset that rows are added to.

    Args:
        folder: Its folder.
        spec: What the columns of the new rows mean.

    Raises:
        InputError: No prepared dataset there, or one of another spec.
    """

    def __init__(self, folder: Path, spec: TableSpec) -> None:
        self._data = PreparedDataset(folder)
        self._spec = spec
        if spec.goes_by_user:
            raise InputError(
                "Rows can be added only where they have a label and are split one by one",
                received="interactions" if spec.holds_interactions else "split by leave_last_out",
                where="--append",
                action="Prepare old and new rows together, as new ones change which of a user's "
                "are the last, and train on by --warm_start: docs/retrain.md#prepare",
            )
        if spec.users or spec.items:
            raise InputError(
                "Rows can be added where no table of users or items stands beside them",
                received=", ".join(table.name for table in (spec.users, spec.items) if table),
                where="--append",
                action="Prepare all rows again: the tables may know earlier ids no more",
            )
        if self._data.schema.provenance.get("features_sha256") != features_sha256(spec):
            raise InputError(
                "Rows can be added to a dataset that was prepared by the same features and crosses",
                received="another spec",
                where=folder,
                action="Prepare everything again, or use the spec of that dataset",
            )

    def numbers(self) -> dict[str, Feature]:
        """Returns the numeric features, as they were fitted."""
        return {f.name: f for f in self._data.schema.features if f.statistics is not None}

    def vocabularies(self, counted: Mapping[str, Vocabulary]) -> dict[str, Vocabulary]:
        """Returns the vocabularies with the raw ids of new rows after those that were there."""
        return {name: self._extended(name, new) for name, new in counted.items()}

    def _extended(self, name: str, counted: Vocabulary) -> Vocabulary:
        first = self._spec.vocabularies()[name][0]
        before = pl.Series(self._data.raw_ids(first.name).tolist(), dtype=counted.raw_ids.dtype)
        new = counted.raw_ids.filter(~counted.raw_ids.is_in(before.implode()))
        if first.top:  # which bounds old and new together
            new = new.head(max(0, first.top - len(before)))
        both = pl.concat([before, new])
        return Vocabulary(both, counted.id_of_code)

    def splits(self, view: str) -> dict[str, Split]:
        """Returns the splits of a view, by name."""
        return self._data.schema.view(view).splits

    def copy(self, shard: Shard, target: Path) -> None:
        """Puts a shard into another dataset, by a link where the disk allows one."""
        source = self._data.folder / shard.file
        try:
            os.link(source, target)  # shards never change, so both may share the bytes
        except OSError:
            shutil.copyfile(source, target)
