"""The feature layer: batches and item ids to numbers and to ids to look up.

Values come in halves, as the candidates of a row share its user: the row's, computed once, and the
items'. Only crosses of both are of every pair. Training, evaluation and serving call the same
functions, inside the model's graph.

Legend: B rows, A rows of items (B, or 1 where all rows share them), C items of a row, L longest
list, n numbers.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import tensorflow as tf

from data.dataset import PreparedDataset
from data.errors import InputError
from data.feature import Kind
from data.pipeline import Batch
from data.renumbering import Renumbering
from data.schema import OOV_ID
from models.click_config import ClickConfig
from models.crosses import cross_ids, parse_cross
from models.feature_inputs import IdInput, Side, Source, find_sources
from models.numeric import bucket_boundaries, bucket_ids, normalise

BUCKET_SUFFIX = "_bucket"

Ids = dict[str, tf.Tensor]


class FeatureLayer(tf.Module):
    """What a model sees of a dataset.

    Args:
        data: The prepared dataset.
        config: How numbers enter, and what is left out.
        crosses: Crosses such as `education*occupation`, beside those of the dataset's spec.
        cross_rows: Rows of the table of each such cross.

    Attributes:
        ids: All that can be looked up, by name: categories, then buckets, then crosses.
        plain, buckets, crosses: Their names.
        numbers: Names of the numbers.
        context: Inputs that a row has of its own, beyond its user and its item.

    Raises:
        InputError: A setting that does not fit the dataset; says which.
    """

    def __init__(
        self,
        data: PreparedDataset,
        config: ClickConfig,
        crosses: Sequence[str] = (),
        cross_rows: int = 0,
    ) -> None:
        super().__init__(name="features")
        self._how = config.numeric
        self._columns = [column.name for column in data.schema.view("rows").columns]
        sources, tables = find_sources(data, config.exclude)
        numbers = [s for s in sources if s.feature.kind is Kind.NUMERIC]
        categories = [s for s in sources if s.feature.kind is not Kind.NUMERIC]
        self._numbers, self._categories = tuple(numbers), tuple(categories)
        self.numbers = tuple(source.name for source in numbers)
        keys = (Kind.USER, Kind.ITEM)
        own = [s.name for s in sources if not s.owner and s.feature.kind not in keys]
        self.context = tuple(own)
        # Variables, as constants would be written into every graph, which 2 GB bound.
        self._attributes = {
            source.name: tf.Variable(tables[source.name], trainable=False, name=source.name)
            for source in sources
            if source.owner
        }
        self.ids = {s.name: _of_category(s) for s in categories}
        self.plain = tuple(self.ids)
        self._boundaries: dict[str, tuple[float, ...]] = {}
        for source in numbers:
            if config.buckets or source.feature.boundaries:
                self._add_bucket(source, config.buckets)
        self.buckets = tuple(self._boundaries)
        self._parts: dict[str, tuple[str, ...]] = {}
        known = list(self.ids)
        for cross in data.schema.crosses:
            if set(cross.of) <= self.ids.keys():  # none of them is excluded
                self._add_cross(cross.name, cross.of, cross.buckets + 1)
        for text in crosses:
            parts = parse_cross(text, known)
            self._add_cross("*".join(parts), parts, cross_rows)
        self.crosses = tuple(self._parts)
        self._hashed = self._ids_to_hash()

    def _ids_to_hash(self) -> dict[str, tf.Variable]:
        """Returns what crosses hash in place of ids that come from a vocabulary.

        The ids themselves, unless a model goes on from one whose vocabulary had another order.
        """
        crossed = {part for parts in self._parts.values() for part in parts}
        return {
            source.name: tf.Variable(
                tf.range(source.feature.cardinality), trainable=False, name=f"hashed/{source.name}"
            )
            for source in self._categories
            if source.name in crossed and source.feature.vocabulary is not None
        }

    def keep_hashes(self, trained: FeatureLayer, ids: Mapping[str, Renumbering]) -> None:
        """Hashes known ids as a trained layer does, and new ones as none of its ids.

        Args:
            trained: A layer of the same settings.
            ids: By feature, what became of the ids that it has.
        """
        for source in self._categories:
            if source.name in self._hashed:
                before, moved = trained._hashed[source.name].numpy(), ids[source.feature.name]
                old = moved.old_of_new()
                is_new = (old == OOV_ID) & (np.arange(len(old)) != OOV_ID)
                unused = before.max() + np.cumsum(is_new)
                self._hashed[source.name].assign(np.where(is_new, unused, before[old]))

    def _add_bucket(self, source: Source, buckets: int) -> None:
        boundaries = bucket_boundaries(source.feature, buckets)
        name = source.name + BUCKET_SUFFIX
        self._boundaries[name] = boundaries
        self.ids[name] = IdInput(name, len(boundaries) + 1, source.side, is_bag=False)

    def _add_cross(self, name: str, parts: tuple[str, ...], rows: int) -> None:
        inputs = [self.ids[part] for part in parts]
        bags = [part.name for part in inputs if part.is_bag]
        if len(bags) > 1:
            raise InputError(
                "A cross must hold at most one feature of several ids",
                received=f"'{name}' with {' and '.join(bags)}",
                where="model.crosses",
            )
        sides = {part.side for part in inputs}
        side: Side = sides.pop() if len(sides) == 1 else "pair"
        self._parts[name] = parts
        self.ids[name] = IdInput(name, rows, side, bool(bags))

    def numbers_of(self, side: Side) -> int:
        """Returns how many numbers a side has."""
        return sum(source.side == side for source in self._numbers)

    def row_numbers(self, batch: Batch) -> tf.Tensor:
        """Returns the rows' normalised numbers: (B, n), float32."""
        column = batch[self._any_column(batch)]
        return self._side_numbers("row", column if column.shape.rank == 1 else column[:, 0], batch)

    def item_numbers(self, items: tf.Tensor) -> tf.Tensor:
        """Returns the normalised numbers of items (A, C): (A, C, n), float32."""
        return self._side_numbers("item", items, {"item": items})

    def row_ids(self, batch: Batch) -> Ids:
        """Returns the rows' ids by name: (B,), or (B, L) of a bag."""
        return self._side_ids("row", batch)

    def item_ids(self, items: tf.Tensor) -> Ids:
        """Returns the ids of items (A, C) by name: (A, C), or (A, C, L) of a bag."""
        return self._side_ids("item", {"item": items})

    def pair_ids(self, row: Ids, item: Ids) -> Ids:
        """Returns the ids of crosses of both: (B, C), or (B, C, L) of a bag.

        Args:
            row: What `row_ids` returned.
            item: What `item_ids` returned, where A is 1 or B.
        """
        values = {name: values[:, None] for name, values in row.items()} | item
        return self._cross("pair", values)

    def _any_column(self, batch: Batch) -> str:
        return next(name for name in self._columns if name in batch)

    def _raw(self, source: Source, given: Mapping[str, tf.Tensor]) -> tf.Tensor:
        if source.owner:
            return tf.gather(self._attributes[source.name], given[source.owner])
        return given[source.name]

    def _side_numbers(
        self, side: Side, like: tf.Tensor, given: Mapping[str, tf.Tensor]
    ) -> tf.Tensor:
        sources = [source for source in self._numbers if source.side == side]
        if not sources:
            return tf.zeros_like(like, tf.float32)[..., None][..., :0]
        raw = tf.stack([self._raw(source, given) for source in sources], axis=-1)
        return normalise(raw, [source.feature for source in sources], self._how)

    def _side_ids(self, side: Side, given: Mapping[str, tf.Tensor]) -> Ids:
        ids = {s.name: self._raw(s, given) for s in self._categories if s.side == side}
        for source in self._numbers:
            name = source.name + BUCKET_SUFFIX
            if source.side == side and name in self._boundaries:
                ids[name] = bucket_ids(self._raw(source, given), self._boundaries[name])
        return ids | self._cross(side, ids)

    def _cross(self, side: Side, values: Ids) -> Ids:
        crossed = {}
        for name, parts in self._parts.items():
            if self.ids[name].side == side:
                bag = next((n for n, part in enumerate(parts) if self.ids[part].is_bag), None)
                rows = self.ids[name].rows
                crossed[name] = cross_ids([self._to_hash(p, values[p]) for p in parts], bag, rows)
        return crossed

    def _to_hash(self, part: str, ids: tf.Tensor) -> tf.Tensor:
        return tf.gather(self._hashed[part], ids) if part in self._hashed else ids


def _of_category(source: Source) -> IdInput:
    assert source.feature.cardinality is not None
    is_bag = source.feature.kind is Kind.MULTI_HOT
    return IdInput(source.name, source.feature.cardinality, source.side, is_bag)
