"""Lookups of a feature layer's ids, side by side: of rows, of their items, of pairs of both.

Legend: B rows, A rows of items, C items of a row, D width of a vector.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import tensorflow as tf

from data.pipeline import Batch
from models.feature_inputs import Side
from models.features import FeatureLayer, Ids
from models.recommender import Vectors
from models.tables import Bag, Lookups

DEEP, WIDE = "deep/", "wide/"  # vectors, and single weights, of an input


class SideLookups:
    """What to look up, by keys such as `deep/occupation`.

    Lists of ids are averaged in `DEEP` and summed in `WIDE`.

    Args:
        inputs: The feature layer.
        keys: `DEEP` or `WIDE` and then the name of an input.
    """

    def __init__(self, inputs: FeatureLayer, keys: Sequence[str]) -> None:
        self._inputs, self._keys = inputs, tuple(keys)

    def keys(self, prefix: str, side: Side) -> list[str]:
        """Returns the keys of one side of `DEEP` or `WIDE`."""
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
        """Returns the lookups of one side: ids of the shapes they come in, or bags."""
        keys = [*self.keys(DEEP, side), *self.keys(WIDE, side)]
        return {key: self._lookup(key, ids[_name(key)]) for key in keys}

    def shaped(self, vectors: Mapping[str, tf.Tensor], items: tf.Tensor) -> Vectors:
        """Returns the vectors with those of bags of items, (A C, D), as (A, C, D)."""
        shaped = dict(vectors)
        for key, values in vectors.items():
            source = self._inputs.ids[_name(key)]
            if source.is_bag and source.side != "row":
                shape = tf.concat([tf.shape(items), [values.shape[-1]]], axis=0)
                shaped[key] = tf.reshape(values, shape)
        return shaped

    def _lookup(self, key: str, ids: tf.Tensor) -> tf.Tensor | Bag:
        if not self._inputs.ids[_name(key)].is_bag:
            return ids
        bag = Bag(tf.reshape(ids, [-1, ids.shape[-1]]))
        return bag.mean() if key.startswith(DEEP) else bag


def _name(key: str) -> str:
    return key.partition("/")[2]
