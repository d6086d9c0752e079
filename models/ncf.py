"""Neural collaborative filtering, and the matrix factorisation that it is measured against.

He et al., "Neural Collaborative Filtering", WWW 2017. For user u and item i, the logit is

    gmf     h . (p_u * q_i)                                            section 3.2, equation 9
    mlp     h . relu(W_L ... relu(W_1 [p_u; q_i] + b_1) ... + b_L)      section 3.3, equation 10
    neumf   h . [p_u * q_i; MLP(p'_u, q'_i)]                           section 3.4, equation 12
    mf      b + b_u + b_i + p_u . q_i         Rendle et al. 2020, section 3, "dot product"

trained by logistic loss (equation 7) with sampled negatives. Departures from the paper: items of
one positive share their user, so the user's vectors are looked up once and its half of W_1 is
applied once; the tables are updated on the batch's rows only.

Legend: B rows (positives), C items of a row, D width of a table, G GMF width, I all items.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import tensorflow as tf

from data.dataset import PreparedDataset
from data.errors import InputError
from data.pipeline import MASK, Batch, Transform
from data.sampling import NEGATIVES, NegativeSampling, make_negatives
from data.schema import Schema
from models.ncf_pretraining import adopt_part
from models.pair_mlp import PairMLP
from models.recommender import Losses, Recommender, Vectors, masked_mean
from models.tables import EmbeddingTables, Part, TableConfig


@dataclass(frozen=True)
class NCFConfig:
    """Settings of NCF.

    Attributes:
        variant: `neumf`, `gmf`, `mlp` or `mf`.
        gmf_dim: Width of the GMF vectors, or of the factors of `mf`.
        mlp_dim: Width of the MLP's user and item vectors.
        hidden: Widths of the MLP's hidden layers.
        negatives: Sampled negatives of each positive.
        negative_sampling: `uniform` or `popularity`.
        popularity_exponent: Power of an item's count when sampling by popularity.
        allow_positives: Whether a user's own positives may be drawn as its negatives.
        stddev: Standard deviation of the tables' initial values.
        l2: Weight of the squared norm of each looked-up vector (biases left out), by example.
        table_optimizer: `adam`, `adagrad`, `rowwise_adagrad` or `sgd`.
        pretrained_gmf: Run folder of a trained `gmf` to start `neumf` from.
        pretrained_mlp: Run folder of a trained `mlp` to start `neumf` from.
        pretrained_alpha: Share of GMF in the joint output layer (section 3.4.1, equation 13).
    """

    variant: Literal["neumf", "gmf", "mlp", "mf"] = "neumf"
    gmf_dim: int = 64
    mlp_dim: int = 64
    hidden: tuple[int, ...] = (128, 64, 32)
    negatives: int = 4
    negative_sampling: NegativeSampling = "uniform"
    popularity_exponent: float = 1.0
    allow_positives: bool = False
    stddev: float = 0.01
    l2: float = 0.0
    table_optimizer: str = "adam"
    pretrained_gmf: str = ""
    pretrained_mlp: str = ""
    pretrained_alpha: float = 0.5

    def __post_init__(self) -> None:
        """Checks the settings against each other."""
        for name in ("gmf_dim", "mlp_dim", "negatives"):
            if getattr(self, name) < 1:
                raise InputError(f"model.{name} must be at least 1", received=getattr(self, name))
        if self.variant in ("neumf", "mlp") and not self.hidden:
            raise InputError(f"model.hidden must have a layer for variant '{self.variant}'")
        if bool(self.pretrained_gmf) != bool(self.pretrained_mlp):
            raise InputError(
                "model.pretrained_gmf and model.pretrained_mlp go together",
                received=f"{self.pretrained_gmf!r} and {self.pretrained_mlp!r}",
            )
        if self.pretrained_gmf and self.variant != "neumf":
            raise InputError("Only variant 'neumf' starts from trained runs", received=self.variant)

    @property
    def has_gmf(self) -> bool:
        """Whether the model multiplies factors."""
        return self.variant != "mlp"

    @property
    def has_mlp(self) -> bool:
        """Whether the model has the multi-layer perceptron."""
        return self.variant in ("neumf", "mlp")


class NCF(Recommender):
    """NCF in its variants.

    Args:
        config: The settings.
        schema: Of the prepared dataset; needs features `user` and `item`.
        seed: Of the initial values.
    """

    view = "rows"

    def __init__(self, config: NCFConfig, schema: Schema, seed: int = 0) -> None:
        super().__init__(schema)
        self.config = config
        parts = []
        if config.has_gmf:
            parts.append(Part("gmf", config.gmf_dim, config.stddev))
        if config.has_mlp:
            parts.append(Part("mlp", config.mlp_dim, config.stddev))
        if config.variant == "mf":
            parts.append(Part("bias", 1, 0.0))
        tables = [
            TableConfig(name, schema.cardinality(name), tuple(parts), config.table_optimizer)
            for name in ("user", "item")
        ]
        self.tables = EmbeddingTables(tables, {"user": "user", "item": "item"}, seed)
        width = config.gmf_dim if config.has_gmf else 0
        if config.has_mlp:
            self.mlp = PairMLP(config.mlp_dim, config.hidden, seed)
            width += config.hidden[-1]
        if config.variant != "mf":
            start = tf.keras.initializers.GlorotUniform(seed=seed * 1000 + 99)
            self.output_kernel = self.add_weight(
                "output/kernel", (width, 1), initializer=start, experimental_autocast=False
            )
        self.output_bias = self.add_weight(
            "output/bias", (1,), initializer="zeros", experimental_autocast=False
        )

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
        """Returns the negative sampler."""
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
        return [negatives]

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

    def loss_from_vectors(self, batch: Batch, vectors: Vectors, training: bool) -> Losses:
        """Returns the logistic loss of the positive and its negatives (equation 7)."""
        del training
        logits = self._logits(**vectors)  # (B, C), the positive first
        labels = tf.concat([tf.ones_like(logits[:, :1]), tf.zeros_like(logits[:, 1:])], axis=1)
        logistic = tf.nn.sigmoid_cross_entropy_with_logits(labels, logits)
        losses = {"logistic": masked_mean(logistic, batch[MASK])}
        if self.config.l2:
            squares = self._squared_norms(vectors["user"][:, None], vectors["item"])
            losses["l2"] = self.config.l2 * masked_mean(squares, batch[MASK])
        return {"loss": tf.add_n(list(losses.values())), **losses}

    def scores(self, batch: Batch, items: tf.Tensor) -> tf.Tensor:
        """Returns logits of items (B, C), float32."""
        return self._logits(**self.tables.gather({"user": batch["user"], "item": items}))

    def item_scores(self, batch: Batch) -> tf.Tensor:
        """Returns logits of all items, (B, I), float32."""
        user = self.tables.split("user", self.tables.gather({"user": batch["user"]})["user"])
        item = self.tables.split("item", self.tables.rows("item"))
        logits = self.output_bias[0]
        if self.config.has_gmf:
            weighted = user["gmf"] * self._gmf_weights()
            logits += tf.matmul(weighted, item["gmf"], transpose_b=True)
        if self.config.variant == "mf":
            return logits + user["bias"] + item["bias"][:, 0]
        if self.config.has_mlp:
            logits += self._mlp_scores(user["mlp"], item["mlp"])
        return logits

    def _mlp_scores(self, users: tf.Tensor, items: tf.Tensor) -> tf.Tensor:
        """Returns the MLP's share of the logits of all pairs: (B, I)."""
        of_items = self.mlp.item_half(items)  # (I, H[0])

        def of_user(half: tf.Tensor) -> tf.Tensor:
            # User by user, as all pairs' activations at once would leave the cache.
            return self._mlp_logits(self.mlp.rest(half + of_items))

        signature = tf.TensorSpec(items.shape[:1], tf.float32)
        return tf.map_fn(of_user, self.mlp.user_half(users), fn_output_signature=signature)

    def _squared_norms(self, user: tf.Tensor, items: tf.Tensor) -> tf.Tensor:
        """Returns (B, C) from user vectors (B, 1, D) and item vectors (B, C, D)."""
        width = items.shape[-1] - (1 if self.config.variant == "mf" else 0)  # without the bias
        return sum(tf.reduce_sum(tf.square(x[..., :width]), axis=-1) for x in (user, items))

    def _logits(self, user: tf.Tensor, item: tf.Tensor) -> tf.Tensor:
        """Returns (B, C), float32, from user vectors (B, D) and item vectors (B, C, D)."""
        of_user, of_item = self.tables.split("user", user), self.tables.split("item", item)
        logits = self.output_bias[0]
        if self.config.has_gmf:
            weighted = of_user["gmf"] * self._gmf_weights()  # (B, G)
            logits += tf.reduce_sum(of_item["gmf"] * weighted[:, None], axis=-1)
        if self.config.variant == "mf":
            return logits + of_user["bias"] + of_item["bias"][..., 0]
        if self.config.has_mlp:
            logits += self._mlp_logits(self.mlp(of_user["mlp"], of_item["mlp"]))
        return logits

    def _gmf_weights(self) -> tf.Tensor:
        """Returns h of GMF, of shape (G,): all ones in `mf`."""
        if self.config.variant == "mf":
            return tf.ones([self.config.gmf_dim])
        return self.output_kernel[: self.config.gmf_dim, 0]

    def _mlp_logits(self, activations: tf.Tensor) -> tf.Tensor:
        """Returns the MLP's share of the logits (...), float32, from activations (..., H[-1])."""
        weights = self.output_kernel[self.config.gmf_dim if self.config.has_gmf else 0 :, 0]
        return tf.linalg.matvec(tf.cast(activations, tf.float32), weights)
