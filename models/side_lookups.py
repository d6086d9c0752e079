"""Lookups of a feature layer's ids, side by side: of rows, of their items, of pairs of both.

All single ids of a side are looked up as one feature of several columns, lists of ids each on its
own, so that a step does not take an operation, and a pass over memory, for every input.

Legend: B rows, A rows of items, C items of a row, F inputs, D width of a vector.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import tensorflow as tf

from data.pipeline import Batch
from models.feature_inputs import Side
from models.features import FeatureLayer, Ids
from models.recommender import Vectors
from models.routes import Tables
from models.tables import Bag, Lookups

DEEP, WIDE = "deep/", "wide/"  # vectors, and single weights, of an input
_SIDES: tuple[Side, ...] = ("row", "item", "pair")


class SideLookups:
    """What to look up, by keys such as `deep/genres`, a list, and `row/deep/`, all single ids.

    Lists of ids are averaged in `DEEP` and summed in `WIDE`.

    Args:
        inputs: The feature layer.
        keys: Names of the tables: `DEEP` or `WIDE`, and then the name of an input.
    """

    def __init__(self, inputs: FeatureLayer, keys: Sequence[str]) -> None:
        self._inputs, self._keys = inputs, tuple(keys)

    def tables(self) -> dict[str, Tables]:
        """Returns the tables that each key looks into."""
        tables: dict[str, Tables] = {key: key for key in self._keys}
        for prefix in (DEEP, WIDE):
            for side in _SIDES:
                single = self._single(prefix, side)
                if single:
                    tables[side + "/" + prefix] = tuple(single)
        return tables

    def keys(self, prefix: str, side: Side) -> list[str]:
        """Returns the tables of one side of `DEEP` or `WIDE`."""
        mine = (key for key in self._keys if key.startswith(prefix))
        return [key for key in mine if self._inputs.ids[_name(key)].side == side]

    def of_batch(self, batch: Batch, items: tf.Tensor) -> Lookups:
        """Returns the lookups of rows and of items (A, C)."""
        row, item = self._inputs.row_ids(batch), self._inputs.item_ids(items)
        pair = self._inputs.pair_ids(row, item)
        return {
            **self.of_side("row", row),
            **self.of_side("item", item),
            **self.of_side("pair", pair),
        }

    def of_side(self, side: Side, ids: Ids) -> dict[str, tf.Tensor | Bag]:
        """Returns the lookups of one side: ids of the shapes they come in, (..., F), or bags."""
        lookups: dict[str, tf.Tensor | Bag] = {}
        for prefix in (DEEP, WIDE):
            single = self._single(prefix, side)
            if single:
                lookups[side + "/" + prefix] = _columns([ids[_name(key)] for key in single])
            for key in self.keys(prefix, side):
                if self._is_bag(key):
                    values = ids[_name(key)]
                    bag = Bag(tf.reshape(values, [-1, values.shape[-1]]))
                    lookups[key] = bag.mean() if prefix == DEEP else bag
        return lookups

    def shaped(self, vectors: Mapping[str, tf.Tensor], items: tf.Tensor) -> Vectors:
        """Returns the vectors with those of bags of items, (A C, D), as (A, C, D)."""
        shaped = dict(vectors)
        for key, values in vectors.items():
            if key in self._keys and self._inputs.ids[_name(key)].side != "row":
                shape = tf.concat([tf.shape(items), [values.shape[-1]]], axis=0)
                shaped[key] = tf.reshape(values, shape)
        return shaped

    def stacked(self, prefix: str, side: Side, vectors: Vectors) -> tf.Tensor | None:
        """Returns all vectors of a side, (..., F, D), in the order of its inputs; None of none.

        Args:
            prefix: `DEEP` or `WIDE`.
            side: The side.
            vectors: What `shaped` returned.
        """
        keys, single = self.keys(prefix, side), self._single(prefix, side)
        together = vectors[side + "/" + prefix] if single else None
        if len(single) == len(keys):
            return together
        columns = [] if together is None else tf.unstack(together, axis=-2)
        by_key = dict(zip(single, columns, strict=True))
        return tf.stack([by_key[k] if k in by_key else vectors[k] for k in keys], axis=-2)

    def _single(self, prefix: str, side: Side) -> list[str]:
        return [key for key in self.keys(prefix, side) if not self._is_bag(key)]

    def _is_bag(self, key: str) -> bool:
        return self._inputs.ids[_name(key)].is_bag


def _columns(ids: Sequence[tf.Tensor]) -> tf.Tensor:
    """Returns ids of one shape as columns (..., F), of the wider type where they differ."""
    widest = max((part.dtype for part in ids), key=lambda dtype: dtype.size)
    return tf.stack([tf.cast(part, widest) for part in ids], axis=-1)


def _name(key: str) -> str:
    return key.partition("/")[2]
