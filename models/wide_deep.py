"""Wide & Deep learning: memorisation by crossed categories, generalisation by embeddings.

Cheng et al., "Wide & Deep Learning for Recommender Systems", DLRS 2016. The logit is

    wide        sum of the weights w_k of the active categories, crosses among them   section 3.1
    deep        h . relu(W_L ... relu(W_1 [e_1; ...; e_F; x] + b_1) ... + b_L)        section 3.2
    wide_deep   wide + deep + b                                                      section 3.3

trained jointly by logistic loss: the wide weights by FTRL with l1, which leaves those of rare
categories at exactly zero, the rest by their own optimizers, all in one step. `wide` alone is
logistic regression. Departures from the paper: numbers reach the wide part as quantile buckets
only; the mean of the vectors of several ids stands for them in the deep part, the sum of their
weights in the wide one; rows without labels are trained with sampled negatives.

Legend: B rows, A rows of items, C items of a row, D width of a vector, H width of the first layer.
"""

from __future__ import annotations

import tensorflow as tf

from data.dataset import PreparedDataset
from models.click_model import ClickModel
from models.feature_inputs import Side
from models.features import FeatureLayer
from models.halves import Drops, Half, first_sums
from models.mlp import MLP
from models.recommender import Vectors
from models.side_lookups import DEEP, WIDE
from models.tables import Part, TableConfig
from models.wide_deep_config import WideDeepConfig


class WideDeep(ClickModel):
    """Wide & Deep in its variants.

    Args:
        config: The settings.
        data: The prepared dataset.
        seed: Of the initial values.
    """

    config: WideDeepConfig

    def __init__(self, config: WideDeepConfig, data: PreparedDataset, seed: int = 0) -> None:
        inputs = FeatureLayer(data, config, config.crosses, config.cross_buckets)
        super().__init__(config, data, inputs)
        deep = inputs.plain + (inputs.buckets if config.bucket_use != "wide" else ())
        wide = inputs.plain + (inputs.buckets if config.bucket_use != "deep" else ())
        tables = []
        if config.has_deep:
            vector = (Part("vector", config.dim, config.stddev),)
            tables += [
                TableConfig(DEEP + name, inputs.ids[name].rows, vector, config.table_optimizer)
                for name in deep
            ]
        if config.has_wide:
            tables += [self._wide_table(name) for name in (*wide, *inputs.crosses)]
        self._make_tables(tables, seed)
        if config.has_deep:
            self._row_width = self._deep_width("row")
            self.mlp = MLP(
                self._row_width + self._deep_width("item"), config.hidden, seed, name="deep"
            )
            start = tf.keras.initializers.GlorotUniform(seed=seed * 1000 + 99)
            self.deep_output = self._add_output("deep/output", config.hidden[-1], start)

    def _wide_table(self, name: str) -> TableConfig:
        config = self.config
        return TableConfig(
            WIDE + name,
            self.features.ids[name].rows,
            # From zero: FTRL sets weights from its own sums, whatever they started from.
            (Part("weight", 1, 0.0),),
            config.wide_optimizer,
            config.wide_rate_scale,
            config.wide_l1,
            config.wide_l2,
        )

    def _deep_width(self, side: Side) -> int:
        vectors = self.config.dim * len(self.sides.keys(DEEP, side))
        return vectors + self.features.numbers_of(side)

    def row_half(self, numbers: tf.Tensor, vectors: Vectors, drops: Drops) -> Half:
        """Returns the sum of the wide weights (B,) and the share of the first layer (B, H)."""
        return self._half("row", 0, numbers, vectors, drops)

    def item_half(self, numbers: tf.Tensor, vectors: Vectors, drops: Drops) -> Half:
        """Returns the sum of the wide weights (A, C) and the share of the first layer (A, C, H)."""
        start = self._row_width if self.config.has_deep else 0
        return self._half("item", start, numbers, vectors, drops)

    def _half(
        self, side: Side, start: int, numbers: tf.Tensor, vectors: Vectors, drops: Drops
    ) -> Half:
        half: Half = {}
        if self.config.has_wide:
            half["wide"] = self._wide(side, vectors, tf.zeros(tf.shape(numbers)[:-1]))
        if self.config.has_deep and (side == "row" or self.has_items):
            half["first"] = self.mlp.share(self._inputs(side, numbers, vectors, drops), start)
        return half

    def _inputs(self, side: Side, numbers: tf.Tensor, vectors: Vectors, drops: Drops) -> tf.Tensor:
        """Returns a side's vectors, one after the other, and numbers."""
        stacked = self.sides.stacked(DEEP, side, vectors)
        if stacked is None:
            return numbers
        width = self.config.dim * stacked.shape[-2]
        flat = tf.reshape(stacked, tf.concat([tf.shape(stacked)[:-2], [width]], axis=0))
        return tf.concat([drops.vectors(flat), numbers], axis=-1)

    def pair_logits(self, row: Half, item: Half, vectors: Vectors, drops: Drops) -> tf.Tensor:
        """Returns logits (B, C), float32."""
        logits = self.output_bias[0]
        if self.config.has_wide:
            logits += self._wide("pair", vectors, tf.expand_dims(row["wide"], 1) + item["wide"])
        if self.config.has_deep:
            last = self.mlp.rest(first_sums(row, item), drops.hidden)
            logits += tf.linalg.matvec(tf.cast(last, tf.float32), self.deep_output)
        return logits

    def _wide(self, side: Side, vectors: Vectors, start: tf.Tensor) -> tf.Tensor:
        """Returns `start` plus the weights of one side, of the shape of `start`."""
        weights = self.sides.stacked(WIDE, side, vectors)
        return start if weights is None else start + tf.reduce_sum(weights, axis=[-2, -1])
