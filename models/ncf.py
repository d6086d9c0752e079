"""Neural collaborative filtering, and the matrix factorisation that it is measured against.

He et al., "Neural Collaborative Filtering", WWW 2017. For user u and item i, the logit is

    gmf     h . (p_u * q_i)                                            section 3.2, equation 9
    mlp     h . relu(W_L ... relu(W_1 [p_u; q_i] + b_1) ... + b_L)      section 3.3, equation 10
    neumf   h . [p_u * q_i; MLP(p'_u, q'_i)]                           section 3.4, equation 12
    mf      b + b_u + b_i + p_u . q_i         Rendle et al. 2020, section 3, "dot product"

trained by logistic loss (equation 7) with sampled negatives. Departures from the paper: W_1 is
taken apart, so that its halves are applied once for each positive's user and once for each of the
batch's unique items, not once for each pair; the tables are updated on the batch's rows only.

Legend: B rows (positives), C items of a row, N unique rows, D width of a table, G GMF width, I all
items.
"""

from __future__ import annotations

from collections.abc import Sequence

import tensorflow as tf

from data.dataset import PreparedDataset
from data.pipeline import MASK, Batch, Transform
from data.sampling import NEGATIVES, make_negatives
from models.dropout import DROPOUT_SEED, NO_DROPOUT, Dropout, add_dropout_seed
from models.masked_mean import masked_mean
from models.mlp import MLP
from models.ncf_config import NCFConfig
from models.ncf_pretraining import adopt_part
from models.recommender import Losses, Recommender, Vectors
from models.tables import EmbeddingTables, Part, TableConfig


class NCF(Recommender):
    """NCF in its variants.

    Args:
        config: The settings.
        data: The prepared dataset; needs features `user` and `item`.
        seed: Of the initial values.
    """

    view = "rows"

    def __init__(self, config: NCFConfig, data: PreparedDataset, seed: int = 0) -> None:
        super().__init__(data.schema)
        self.config = config
        parts = []
        if config.has_gmf:
            parts.append(Part("gmf", config.gmf_dim, config.stddev))
        if config.has_mlp:
            parts.append(Part("mlp", config.mlp_dim, config.stddev))
        if config.variant == "mf":
            parts.append(Part("bias", 1, 0.0))
        self._parts = tuple(parts)
        tables = [
            TableConfig(name, data.schema.cardinality(name), self._parts, config.table_optimizer)
            for name in ("user", "item")
        ]
        self.tables = EmbeddingTables(tables, {"user": "user", "item": "item"}, seed)
        if config.has_gmf and config.variant != "mf":
            # Ones, so that training starts as a matrix factorisation. From small random values,
            # as in the paper's code, the MLP learns first and GMF hardly takes part.
            self.gmf_output = self._add_output("gmf/output", config.gmf_dim, "ones")
        if config.has_mlp:
            self.mlp = MLP(2 * config.mlp_dim, config.hidden, seed, "mlp")
            start = tf.keras.initializers.GlorotUniform(seed=seed * 1000 + 99)
            self.mlp_output = self._add_output("mlp/output", config.hidden[-1], start)
        self.output_bias = self._add_output("output/bias", 1, "zeros")
        self._frozen_items: Vectors = {}

    def _add_output(self, name: str, width: int, start: object) -> tf.Variable:
        return self.add_weight(name, (width,), initializer=start, experimental_autocast=False)

    @property
    def examples_per_row(self) -> int:
        """A positive and its negatives."""
        return 1 + self.config.negatives

    def pretrained_runs(self) -> dict[str, str]:
        """Returns the GMF and MLP runs to start from, where the config names them."""
        runs = {"gmf": self.config.pretrained_gmf, "mlp": self.config.pretrained_mlp}
        return {name: folder for name, folder in runs.items() if folder}

    def adopt(self, name: str, model: Recommender) -> None:
        """Takes over the trained `gmf` or `mlp`; see `adopt_part`."""
        adopt_part(self, name, model)

    def transforms(
        self, data: PreparedDataset, splits: Sequence[str], training: bool
    ) -> list[Transform]:
        """Returns the negative sampler, and what dropout needs."""
        if not training:
            return []
        config = self.config
        negatives = make_negatives(
            data,
            splits,
            config.negatives,
            config.negative_sampling,
            exponent=config.popularity_exponent,
            allow_positives=config.allow_positives,
        )
        return [negatives, add_dropout_seed] if config.dropout else [negatives]

    def lookups(self, batch: Batch) -> dict[str, tf.Tensor]:
        """Returns the users, of shape (B,), and the items: (B, C), the positive first."""
        items = batch["item"]
        if NEGATIVES in batch:
            items = tf.concat([items[:, None], batch[NEGATIVES]], axis=1)
        return {"user": batch["user"], "item": items}

    def call(self, batch: Batch, training: bool = False) -> tf.Tensor:
        """Returns logits of the batch's items, of their shape: (B,) or (B, C), float32."""
        del training
        items = batch["item"]
        wide = items if items.shape.rank == 2 else items[:, None]
        return tf.reshape(self.scores(batch, wide), tf.shape(items))

    def vectors(self, rows: Vectors, places: dict[str, tf.Tensor]) -> Vectors:
        """Returns the users' vectors (B, D), and what the logits need of the items (B, C, ...)."""
        users, items = (rows[self.tables.key_of(name)] for name in ("user", "item"))
        of_items = {name: tf.gather(v, places["item"]) for name, v in self._of_items(items).items()}
        vectors = {"user": tf.gather(users, places["user"]), **of_items}
        if self.config.gmf_l2 or self.config.mlp_l2:
            vectors["norm"] = tf.gather(self._weighted_norms(users), places["user"])[:, None]
            vectors["norm"] += tf.gather(self._weighted_norms(items), places["item"])
        return vectors

    def loss_from_vectors(self, batch: Batch, vectors: Vectors, training: bool) -> Losses:
        """Returns the logistic loss of the positive and its negatives (equation 7)."""
        drop = Dropout(self.config.dropout if training else 0.0, batch.get(DROPOUT_SEED))
        logits = self._logits(vectors["user"], vectors, drop)  # (B, C), the positive first
        labels = tf.concat([tf.ones_like(logits[:, :1]), tf.zeros_like(logits[:, 1:])], axis=1)
        logistic = tf.nn.sigmoid_cross_entropy_with_logits(labels, logits)
        losses = {"logistic": masked_mean(logistic, batch[MASK])}
        if "norm" in vectors:
            losses["l2"] = masked_mean(vectors["norm"], batch[MASK])
        return {"loss": tf.add_n(list(losses.values())), **losses}

    def scores(self, batch: Batch, items: tf.Tensor) -> tf.Tensor:
        """Returns logits of items (B, C), float32."""
        found = self.tables.gather({"user": batch["user"], "item": items})
        return self._logits(found["user"], self._of_items(found["item"]))

    def item_scores(self, batch: Batch) -> tf.Tensor:
        """Returns logits of all items, (B, I), float32."""
        user = self.tables.split("user", self.tables.gather({"user": batch["user"]})["user"])
        item = self._frozen_items or self._of_items(self.tables.rows("item"))
        logits = self.output_bias[0]
        if self.config.has_gmf:
            weighted = user["gmf"] * self._gmf_weights()
            logits += tf.matmul(weighted, item["gmf"], transpose_b=True)
        if self.config.variant == "mf":
            return logits + user["bias"] + item["bias"][:, 0]
        if self.config.has_mlp:
            logits += self._mlp_scores(user["mlp"], item["half"])
        return logits

    def item_vectors(self, items: tf.Tensor) -> tf.Tensor:
        """Returns the items' rows of the table without their biases: GMF's part, then the MLP's."""
        parts = self.tables.split("item", self.tables.gather({"item": items})["item"])
        return tf.concat([part for name, part in parts.items() if name != "bias"], axis=-1)

    def freeze_items(self) -> list[tf.Variable]:
        """Computes the items' share of the MLP's first layer once, most of the work of one user."""
        of_items = self._of_items(self.tables.rows("item"))
        self._frozen_items = {n: tf.Variable(v, trainable=False) for n, v in of_items.items()}
        return list(self._frozen_items.values())

    def _mlp_scores(self, users: tf.Tensor, of_items: tf.Tensor) -> tf.Tensor:
        """Returns the MLP's share of the logits of all pairs, (B, I); `of_items` is (I, H[0])."""

        def of_user(half: tf.Tensor) -> tf.Tensor:
            # User by user, as all pairs' activations at once would leave the cache.
            return self._mlp_logits(self.mlp.rest(half + of_items))

        signature = tf.TensorSpec(of_items.shape[:1], tf.float32)
        return tf.map_fn(of_user, self.mlp.share(users, 0), fn_output_signature=signature)

    def _weighted_norms(self, vectors: tf.Tensor) -> tf.Tensor:
        """Returns the l2 loss (...) of table rows (..., D); biases are free."""
        weight = {"gmf": self.config.gmf_l2, "mlp": self.config.mlp_l2, "bias": 0.0}
        columns = [tf.fill([part.dim], weight[part.name]) for part in self._parts]
        return tf.linalg.matvec(tf.square(vectors), tf.concat(columns, axis=0))

    def _of_items(self, vectors: tf.Tensor) -> Vectors:
        """Returns what the logits need of items with vectors (..., D), by part."""
        parts = self.tables.split("item", vectors)
        if self.config.has_mlp:
            parts["half"] = self.mlp.share(parts.pop("mlp"), self.config.mlp_dim)
        return parts

    def _logits(self, user: tf.Tensor, of_item: Vectors, drop: Dropout = NO_DROPOUT) -> tf.Tensor:
        """Returns (B, C), float32, from users (B, D) and `_of_items` of (B, C) items."""
        of_user = self.tables.split("user", user)
        logits = self.output_bias[0]
        if self.config.has_gmf:
            weighted = of_user["gmf"] * self._gmf_weights()  # (B, G)
            logits += tf.linalg.matvec(of_item["gmf"], weighted)
        if self.config.variant == "mf":
            return logits + of_user["bias"] + of_item["bias"][..., 0]
        if self.config.has_mlp:
            first = self.mlp.share(of_user["mlp"], 0)[:, None] + of_item["half"]
            logits += self._mlp_logits(self.mlp.rest(first, drop))
        return logits

    def _gmf_weights(self) -> tf.Tensor:
        """Returns GMF's share of h, of shape (G,): all ones in `mf`."""
        if self.config.variant == "mf":
            return tf.ones([self.config.gmf_dim])
        return self.gmf_output

    def _mlp_logits(self, activations: tf.Tensor) -> tf.Tensor:
        """Returns the MLP's share of the logits (...), float32, from activations (..., H[-1])."""
        return tf.linalg.matvec(tf.cast(activations, tf.float32), self.mlp_output)
