"""DLRM: numbers through an MLP, categories as vectors, all pairs of them through another MLP.

Naumov et al., "Deep Learning Recommendation Model for Personalization and Recommendation Systems",
2019, section 2; with `cross`, the stacked DCN-v2 of Wang et al., "DCN V2", WWW 2021, figure 1a.
With numbers x and categories' vectors e_1 ... e_F,

    z       = bottom MLP(x)
    dot       logit = top MLP([z; v_i . v_j for i > j]),  v = (z, e_1, ..., e_F)
    cross     x_0 = [z; e_1; ...; e_F],  x_{l+1} = x_0 * (W_l x_l + b_l) + x_l,
              logit = top MLP(x_L)

trained by logistic loss. Where there are no numbers there is no z. Departures from the paper: the
numbers of items, which differ between the candidates of a row, have a bottom MLP of their own; so
that a row's share of W_1 is computed once a row, the top MLP's inputs come in the order
[z; dots within the row; dots of items with the row; dots within the item; z of the item], which is
the paper's where there are no items; several ids count as one vector, their mean; rows without
labels are trained with sampled negatives.

Legend: B rows, A rows of items, C items of a row, D width of a vector, R vectors of a row,
E vectors of an item, H width of the first layer, W width of x_0.
"""

from __future__ import annotations

import tensorflow as tf

from data.dataset import PreparedDataset
from models.click_model import ClickModel
from models.dlrm_config import DLRMConfig
from models.feature_inputs import Side
from models.features import FeatureLayer
from models.halves import Drops, Half, first_sums
from models.interactions import CrossNetwork, dot_interaction
from models.mlp import MLP
from models.recommender import Vectors
from models.side_lookups import DEEP
from models.tables import Part, TableConfig

_SIDES: tuple[Side, ...] = ("row", "item")


class DLRM(ClickModel):
    """DLRM with dot products or a cross network.

    Args:
        config: The settings.
        data: The prepared dataset.
        seed: Of the initial values.
    """

    config: DLRMConfig

    def __init__(self, config: DLRMConfig, data: PreparedDataset, seed: int = 0) -> None:
        inputs = FeatureLayer(data, config)
        super().__init__(config, data, inputs)
        vector = (Part("vector", config.dim, config.stddev),)
        tables = [
            TableConfig(DEEP + name, entry.rows, vector, config.table_optimizer)
            for name, entry in inputs.ids.items()
            if entry.side != "pair"  # which is what its interaction makes of both
        ]
        self._make_tables(tables, seed)
        self.bottoms = {
            side: MLP(numbers, (*config.bottom, config.dim), seed + 10 * n, f"bottom_{side}")
            for n, side in enumerate(_SIDES)
            if (numbers := inputs.numbers_of(side))
        }
        self._of_row, self._of_item = self._count("row"), self._count("item")
        if config.interaction == "cross":
            width = config.dim * (self._of_row + self._of_item)
            self.cross = CrossNetwork(width, config.cross_layers, config.cross_rank, seed)
        else:
            row, pair, item = self._dot_widths()
            width = row + pair + item
        self.top = MLP(width, config.top, seed + 20, "top")
        start = tf.keras.initializers.GlorotUniform(seed=seed * 1000 + 99)
        self.top_output = self._add_output("top/output", config.top[-1], start)

    def _count(self, side: Side) -> int:
        """Returns how many vectors a side has, the bottom MLP's among them."""
        return len(self.sides.keys(DEEP, side)) + (side in self.bottoms)

    def _dot_widths(self) -> tuple[int, int, int]:
        """Returns how many inputs of the top MLP come from rows, from pairs and from items."""
        row = self._of_row * (self._of_row - 1) // 2 + self.config.dim * ("row" in self.bottoms)
        item = self._of_item * (self._of_item - 1) // 2 + self.config.dim * ("item" in self.bottoms)
        return row, self._of_row * self._of_item, item

    def row_half(self, numbers: tf.Tensor, vectors: Vectors, drops: Drops) -> Half:
        """Returns the vectors (B, R, D), and what the row alone adds up to.

        With `dot` that is `first`, its share of the first layer, (B, H).
        """
        stacked, bottom = self._vectors("row", numbers, vectors, drops)
        if self.config.interaction == "cross":
            return {"vectors": stacked}
        inputs = tf.concat([*bottom, dot_interaction(stacked)], axis=-1)
        return {"vectors": stacked, "first": self.top.share(inputs, 0)}

    def item_half(self, numbers: tf.Tensor, vectors: Vectors, drops: Drops) -> Half:
        """Returns the same of items: vectors (A, C, E, D), and with `dot` `first`, (A, C, H)."""
        stacked, bottom = self._vectors("item", numbers, vectors, drops)
        if self.config.interaction == "cross" or not self.has_items:
            return {"vectors": stacked}
        inputs = tf.concat([dot_interaction(stacked), *bottom], axis=-1)
        row, pair, _ = self._dot_widths()
        return {"vectors": stacked, "first": self.top.share(inputs, row + pair)}

    def _vectors(
        self, side: Side, numbers: tf.Tensor, vectors: Vectors, drops: Drops
    ) -> tuple[tf.Tensor, list[tf.Tensor]]:
        """Returns a side's vectors in one tensor (..., R or E, D), and the bottom MLP's if any."""
        bottom = [self.bottoms[side](numbers, drops.hidden)] if side in self.bottoms else []
        parts = [tf.expand_dims(part, -2) for part in bottom]
        embedded = self.sides.stacked(DEEP, side, vectors)
        if embedded is not None:
            parts.append(drops.vectors(tf.cast(embedded, self.compute_dtype)))
        if not parts:
            shape = tf.concat([tf.shape(numbers)[:-1], [0, self.config.dim]], axis=0)
            return tf.zeros(shape, self.compute_dtype), []
        return tf.concat(parts, axis=-2), bottom

    def pair_logits(self, row: Half, item: Half, vectors: Vectors, drops: Drops) -> tf.Tensor:
        """Returns logits (B, C), float32."""
        del vectors
        if self.config.interaction == "cross":
            last = self.top(self._crossed(row["vectors"], item["vectors"]), drops.hidden)
        else:
            first = first_sums(row, item)
            if self._of_row and self._of_item:
                first += self._pair_share(row["vectors"], item["vectors"])
            last = self.top.rest(first, drops.hidden)
        return tf.linalg.matvec(tf.cast(last, tf.float32), self.top_output) + self.output_bias[0]

    def _pair_share(self, row: tf.Tensor, item: tf.Tensor) -> tf.Tensor:
        """Returns the share of the dots of items (A, C, E, D) with rows (B, R, D): (B, C, H)."""
        rows, candidates = tf.shape(item)[0], tf.shape(item)[1]
        flat = tf.reshape(item, [rows, -1, self.config.dim])  # (A, C E, D)
        dots = tf.matmul(flat, row, transpose_b=True)  # (B, C E, R)
        width = self._of_item * self._of_row
        dots = tf.reshape(dots, [tf.shape(dots)[0], candidates, width])
        return self.top.share(dots, self._dot_widths()[0])

    def _crossed(self, row: tf.Tensor, item: tf.Tensor) -> tf.Tensor:
        """Returns x_L of all pairs, (B, C, W)."""
        dim = self.config.dim
        shape = tf.broadcast_dynamic_shape(tf.shape(row)[:1], tf.shape(item)[:1])
        shape = tf.concat([shape, tf.shape(item)[1:2]], axis=0)  # B, C
        of_row = tf.reshape(row, [tf.shape(row)[0], 1, self._of_row * dim])
        of_item = tf.reshape(item, [*tf.unstack(tf.shape(item)[:2]), self._of_item * dim])
        parts = [
            tf.broadcast_to(part, tf.concat([shape, [part.shape[-1]]], axis=0))
            for part in (of_row, of_item)
        ]
        inputs = tf.concat(parts, axis=-1)
        width = inputs.shape[-1]
        crossed = self.cross(tf.reshape(inputs, [-1, width]))
        return tf.reshape(crossed, tf.concat([shape, [width]], axis=0))
