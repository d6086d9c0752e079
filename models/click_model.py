"""The base of models that score rows of mixed features: with labels, or sampled negatives.

Labelled rows are trained by logistic loss on their label. Rows that are a user's choice of an item
are trained, as in NCF (He et al. 2017, equation 7), by logistic loss on it and on sampled
negatives, whose attributes are joined inside the graph. Either way one forward pass scores C
candidates of a row, of which a labelled row has one: what only the row has is computed once a row.

Legend: B rows, A rows of items (B, or 1 where all rows share them), C items of a row, I all items,
D width of a vector, n numbers.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence

import tensorflow as tf

from data.dataset import PreparedDataset
from data.errors import InputError
from data.feature import LABEL, WEIGHT
from data.pipeline import MASK, Batch, Transform
from data.renumbering import Renumbering
from data.sampling import NEGATIVES, make_negatives
from models.click_config import ClickConfig
from models.dropout import DROPOUT_SEED, add_dropout_seed
from models.features import FeatureLayer, Ids
from models.halves import Drops, Half
from models.masked_mean import masked_mean
from models.recommender import Losses, Recommender, Vectors
from models.side_lookups import DEEP, SideLookups
from models.tables import EmbeddingTables, Lookups, TableConfig

_ITEM_CHUNK = 65_536  # candidates scored at a time, which bounds the activations held at once


class ClickModel(Recommender):
    """A model of mixed features.

    Subclasses call `_make_tables` and implement the three abstract methods.

    Args:
        config: The settings.
        data: The prepared dataset; its view `rows` has labels, or users and items.
        inputs: The feature layer.

    Raises:
        InputError: The rows have neither.
    """

    view = "rows"

    def __init__(self, config: ClickConfig, data: PreparedDataset, inputs: FeatureLayer) -> None:
        super().__init__(data.schema)
        self.config, self.features = config, inputs
        columns = {column.name for column in data.schema.view(self.view).columns}
        self.has_labels = LABEL in columns
        self.has_items = "item" in columns
        if not (self.has_labels or {"user", "item"} <= columns):
            raise InputError(
                "The rows must have a label, or users and items to sample negatives from",
                received=", ".join(sorted(columns)),
                where=data.folder,
            )
        self.output_bias = self._add_output("output/bias", 1, "zeros")

    def _add_output(self, name: str, width: int, start: object) -> tf.Variable:
        return self.add_weight(name, (width,), initializer=start, experimental_autocast=False)

    def _make_tables(self, tables: Sequence[TableConfig], seed: int) -> None:
        """Declares the tables, each named after the key of what looks into it."""
        self.sides = SideLookups(self.features, [table.name for table in tables])
        self.tables = EmbeddingTables(tables, self.sides.tables(), seed)

    @abstractmethod
    def row_half(self, numbers: tf.Tensor, vectors: Vectors, drops: Drops) -> Half:
        """Returns what rows bring in, of shapes (B, ...), from numbers (B, n).

        `vectors` are what `SideLookups.stacked` takes.
        """

    @abstractmethod
    def item_half(self, numbers: tf.Tensor, vectors: Vectors, drops: Drops) -> Half:
        """Returns what items bring in, of shapes (A, C, ...), from numbers (A, C, n).

        Its `first` is not needed where rows have no items.
        """

    @abstractmethod
    def pair_logits(self, row: Half, item: Half, vectors: Vectors, drops: Drops) -> tf.Tensor:
        """Returns logits (B, C), float32; `vectors` holds those of pairs, (B, C, D)."""

    @property
    def recommends(self) -> bool:
        """Whether a user and an item are all that a score needs."""
        return super().recommends and not self.features.context

    @property
    def examples_per_row(self) -> int:
        """A labelled row, or a positive and its negatives."""
        return 1 if self.has_labels else 1 + self.config.negatives

    def transforms(
        self, data: PreparedDataset, splits: Sequence[str], training: bool
    ) -> list[Transform]:
        """Returns the negative sampler of rows without labels, and what dropout needs."""
        config = self.config
        transforms: list[Transform] = []
        if training and not self.has_labels:
            sampler = make_negatives(
                data,
                splits,
                config.negatives,
                config.negative_sampling,
                exponent=config.popularity_exponent,
                allow_positives=config.allow_positives,
            )
            transforms.append(sampler)
        return [*transforms, add_dropout_seed] if training and config.drops else transforms

    def keep_hashes(self, trained: Recommender, ids: Mapping[str, Renumbering]) -> None:
        """Hashes ids in crosses as a trained model does."""
        assert isinstance(trained, ClickModel)
        self.features.keep_hashes(trained.features, ids)

    def lookups(self, batch: Batch) -> Lookups:
        """Returns the ids of rows (B,), and of their items and of both (B, C), or bags of them."""
        return self.sides.of_batch(batch, self._items(batch))

    def call(self, batch: Batch, training: bool = False) -> tf.Tensor:
        """Returns logits of the rows (B,), or of their items (B, C) where they hold several."""
        del training
        logits = self._scores(batch, self._items(batch))
        is_list = self.has_items and batch["item"].shape.rank == 2
        return logits if is_list else logits[:, 0]

    def loss_from_vectors(self, batch: Batch, vectors: Vectors, training: bool) -> Losses:
        """Returns the logistic loss of the labels, or of the positive and its negatives."""
        items = self._items(batch)
        drops = Drops(self.config, batch.get(DROPOUT_SEED) if training else None)
        vectors = self.sides.shaped(vectors, items)
        logits = self._logits(batch, items, vectors, drops)  # (B, C)
        if self.has_labels:
            labels = batch[LABEL][:, None]
        else:
            labels = tf.concat([tf.ones_like(logits[:, :1]), tf.zeros_like(logits[:, 1:])], axis=1)
        logistic = tf.nn.sigmoid_cross_entropy_with_logits(labels, logits)
        weights = batch[MASK] * batch[WEIGHT] if WEIGHT in batch else batch[MASK]
        losses = {"logistic": masked_mean(logistic, weights)}
        if self.config.l2:
            losses["l2"] = self.config.l2 * masked_mean(self._norms(vectors), batch[MASK])
        return {"loss": tf.add_n(list(losses.values())), **losses}

    def scores(self, batch: Batch, items: tf.Tensor) -> tf.Tensor:
        """Returns logits of items (B, C), float32.

        Raises:
            InputError: A score needs more than a user and an item.
        """
        self._check_recommends()
        return self._scores(batch, items)

    def item_scores(self, batch: Batch) -> tf.Tensor:
        """Returns logits of all items, (B, I), float32.

        Raises:
            InputError: A score needs more than a user and an item.
        """
        self._check_recommends()
        drops = Drops(self.config, None)
        items = tf.range(self.schema.cardinality("item"))[None]  # (1, I)
        row_ids, item_ids = self.features.row_ids(batch), self.features.item_ids(items)
        vectors = self.tables.gather(self.sides.of_side("row", row_ids))
        row = self.row_half(self.features.row_numbers(batch), vectors, drops)
        vectors = self.tables.gather(self.sides.of_side("item", item_ids))
        vectors = self.sides.shaped(vectors, items)
        item = self.item_half(self.features.item_numbers(items), vectors, drops)

        def of_user(one: tuple[Half, Ids]) -> tf.Tensor:
            # User by user, as all pairs' activations at once would leave the cache.
            half, ids = ({name: part[None] for name, part in parts.items()} for parts in one)
            logits = []
            for start in range(0, items.shape[1], _ITEM_CHUNK):
                some = slice(start, start + _ITEM_CHUNK)
                pair_ids = self.features.pair_ids(ids, _slice(item_ids, some))
                pair = self.tables.gather(self.sides.of_side("pair", pair_ids))
                pair = self.sides.shaped(pair, items[:, some])
                logits.append(self.pair_logits(half, _slice(item, some), pair, drops)[0])
            return tf.concat(logits, axis=0)

        signature = tf.TensorSpec(items.shape[1:], tf.float32)
        # Ranks that exchange rows must do so for one user after the other, in the same order.
        return tf.map_fn(
            of_user, (row, row_ids), parallel_iterations=1, fn_output_signature=signature
        )

    def item_vectors(self, items: tf.Tensor) -> tf.Tensor | None:
        """Returns the vectors of the item ids; None where the model takes in none."""
        key = DEEP + "item"
        return self.tables.gather({key: items})[key] if key in self.tables.configs else None

    def _check_recommends(self) -> None:
        if not self.recommends:
            lacks = "no user, item or history"
            raise InputError(
                "Items can only be ranked where a user and an item are all that a score needs",
                received=f"rows with {', '.join(self.features.context) or lacks}",
                where=self.schema.name,
                action="Score whole rows, or leave these out: --set=model.exclude=...",
            )

    def _items(self, batch: Batch) -> tf.Tensor:
        """Returns the items to score, (B, C); where rows have none, a meaningless one, (1, 1)."""
        if not self.has_items:
            return tf.zeros([1, 1], tf.int32)
        items = batch["item"]
        if not self.has_labels and NEGATIVES in batch:
            return tf.concat([items[:, None], batch[NEGATIVES]], axis=1)
        return items if items.shape.rank == 2 else items[:, None]

    def _scores(self, batch: Batch, items: tf.Tensor) -> tf.Tensor:
        vectors = self.sides.shaped(self.tables.gather(self.sides.of_batch(batch, items)), items)
        return self._logits(batch, items, vectors, Drops(self.config, None))

    def _logits(self, batch: Batch, items: tf.Tensor, vectors: Vectors, drops: Drops) -> tf.Tensor:
        row = self.row_half(self.features.row_numbers(batch), vectors, drops)
        item = self.item_half(self.features.item_numbers(items), vectors, drops)
        return self.pair_logits(row, item, vectors, drops)

    def _norms(self, vectors: Vectors) -> tf.Tensor:
        """Returns the sums of the vectors' squared norms: (B, C), or (B, 1), of rows alone."""
        total = tf.zeros([1, 1])
        row = self.sides.stacked(DEEP, "row", vectors)
        if row is not None:
            total += tf.reduce_sum(tf.square(row), axis=[-2, -1])[:, None]
        item = self.sides.stacked(DEEP, "item", vectors)
        if item is not None:
            total += tf.reduce_sum(tf.square(item), axis=[-2, -1])
        return total


def _slice(parts: dict[str, tf.Tensor], some: slice) -> dict[str, tf.Tensor]:
    return {name: part[:, some] for name, part in parts.items()}
