"""Neural collaborative filtering, and the matrix factorisation that it is measured against.

He et al., "Neural Collaborative Filtering", WWW 2017. For user u and item i, the logit is

    gmf     h . (p_u * q_i)                                            section 3.2, equation 9
    mlp     h . relu(W_L ... relu(W_1 [p_u; q_i] + b_1) ... + b_L)      section 3.3, equation 10
    neumf   h . [p_u * q_i; MLP(p'_u, q'_i)]                           section 3.4, equation 12
    mf      b + b_u + b_i + p_u . q_i         Rendle et al. 2020, section 3, "dot product"

trained by logistic loss (equation 7) with sampled negatives. Departures from the paper: items of
one positive share their user, so the user's vectors are looked up once and its half of W_1 is
applied once; the tables are updated on the batch's rows only.

Legend: B rows (positives), C items of a row, G GMF width, M MLP width, I all items.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import tensorflow as tf

from data.dataset import PreparedDataset
from data.errors import InputError
from data.pipeline import MASK, Batch, Transform
from data.sampling import NEGATIVES, PopularityNegatives, UniformNegatives
from data.schema import Schema
from models.recommender import Losses, Recommender, Vectors, masked_mean
from models.tables import EmbeddingTables, Part, TableConfig

Variant = Literal["neumf", "gmf", "mlp", "mf"]


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

    variant: Variant = "neumf"
    gmf_dim: int = 64
    mlp_dim: int = 64
    hidden: tuple[int, ...] = (128, 64, 32)
    negatives: int = 4
    negative_sampling: Literal["uniform", "popularity"] = "uniform"
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
        self.tables = EmbeddingTables(
            [
                TableConfig(name, schema.cardinality(name), tuple(parts), config.table_optimizer)
                for name in ("user", "item")
            ],
            {"user": "user", "item": "item"},
            seed,
        )
        self._build_dense(seed)

    def _build_dense(self, seed: int) -> None:
        config = self.config

        def kernel(name: str, rows: int, columns: int, layer: int) -> tf.Variable:
            start = tf.keras.initializers.GlorotUniform(seed=seed * 1000 + layer)
            return self.add_weight(
                name, (rows, columns), initializer=start, experimental_autocast=False
            )

        def bias(name: str, columns: int) -> tf.Variable:
            return self.add_weight(
                name, (columns,), initializer="zeros", experimental_autocast=False
            )

        widths = (2 * config.mlp_dim, *config.hidden) if config.has_mlp else ()
        sizes = list(itertools.pairwise(widths))
        self.kernels = [kernel(f"mlp_{n}/kernel", *size, n) for n, size in enumerate(sizes)]
        self.biases = [bias(f"mlp_{n}/bias", size[1]) for n, size in enumerate(sizes)]
        self.output_bias = bias("output/bias", 1)
        if config.variant != "mf":
            inputs = config.gmf_dim * config.has_gmf + (widths[-1] if config.has_mlp else 0)
            self.output_kernel = kernel("output/kernel", inputs, 1, 99)

    @property
    def examples_per_row(self) -> int:
        """A positive and its negatives."""
        return 1 + self.config.negatives

    def pretrained_runs(self) -> dict[str, str]:
        """Returns the GMF and MLP runs to start from, where the config names them."""
        runs = {"gmf": self.config.pretrained_gmf, "mlp": self.config.pretrained_mlp}
        return {name: folder for name, folder in runs.items() if folder}

    def adopt(self, name: str, model: Recommender) -> None:
        """Takes over one part's vectors and weights (section 3.4.1, equation 13).

        Args:
            name: `gmf` or `mlp`.
            model: A trained NCF of that variant and of the same widths.

        Raises:
            InputError: It is another variant, or its widths differ.
        """
        widths = ["gmf_dim"] if name == "gmf" else ["mlp_dim", "hidden"]
        same = isinstance(model, NCF) and model.config.variant == name
        same = same and all(getattr(model.config, w) == getattr(self.config, w) for w in widths)
        if not same:
            raise InputError(
                f"model.pretrained_{name} must be a run of variant '{name}' with the same widths",
                received=getattr(model, "config", type(model).__name__),
            )
        assert isinstance(model, NCF)
        share = self.config.pretrained_alpha if name == "gmf" else 1 - self.config.pretrained_alpha
        for table in ("user", "item"):
            self.tables.assign_part(table, name, model.tables.part(table, name))
        for mine, theirs in zip(
            [*self.kernels, *self.biases] if name == "mlp" else [],
            [*model.kernels, *model.biases],
            strict=False,
        ):
            mine.assign(theirs)
        rows = (
            slice(None, self.config.gmf_dim) if name == "gmf" else slice(self.config.gmf_dim, None)
        )
        self.output_kernel[rows].assign(share * model.output_kernel)
        self.output_bias.assign_add(share * model.output_bias)

    def transforms(
        self, data: PreparedDataset, splits: Sequence[str], training: bool
    ) -> list[Transform]:
        """Returns the negative sampler."""
        if not training:
            return []
        config = self.config
        positives = None if config.allow_positives else data.positives(splits)
        if config.negative_sampling == "popularity":
            counts, power = data.item_counts(splits), config.popularity_exponent
            return [PopularityNegatives(positives, counts, config.negatives, power)]
        items = self.schema.cardinality("item")
        return [UniformNegatives(positives, items, config.negatives)]

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
        vectors = self.tables.gather({"user": batch["user"], "item": wide})
        return tf.reshape(self._logits(vectors["user"], vectors["item"]), tf.shape(items))

    def loss_from_vectors(self, batch: Batch, vectors: Vectors, training: bool) -> Losses:
        """Returns the logistic loss of the positive and its negatives (equation 7)."""
        del training
        logits = self._logits(vectors["user"], vectors["item"])  # (B, C), the positive first
        labels = tf.concat([tf.ones_like(logits[:, :1]), tf.zeros_like(logits[:, 1:])], axis=1)
        logistic = tf.nn.sigmoid_cross_entropy_with_logits(labels, logits)
        losses = {"logistic": masked_mean(logistic, batch[MASK])}
        if not self.config.l2:
            return {"loss": losses["logistic"], **losses}
        squares = self._squared_norms(vectors["user"][:, None], vectors["item"])
        losses["l2"] = self.config.l2 * masked_mean(squares, batch[MASK])
        return {"loss": losses["logistic"] + losses["l2"], **losses}

    def scores(self, batch: Batch, items: tf.Tensor) -> tf.Tensor:
        """Returns logits of items (B, C), float32."""
        vectors = self.tables.gather({"user": batch["user"], "item": items})
        return self._logits(vectors["user"], vectors["item"])

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
            # User by user, as all pairs' activations at once would leave the cache.
            user_half, item_half = self._first_layer(user["mlp"], item["mlp"])
            logits += tf.map_fn(
                lambda half: self._rest_of_mlp(tf.nn.relu(half + item_half)[None])[0],
                user_half,
                fn_output_signature=tf.TensorSpec(item_half.shape[:1], tf.float32),
                parallel_iterations=2,
            )
        return logits

    def _squared_norms(self, user: tf.Tensor, items: tf.Tensor) -> tf.Tensor:
        width = items.shape[-1] - (1 if self.config.variant == "mf" else 0)
        squares = [tf.reduce_sum(tf.square(x[..., :width]), axis=-1) for x in (user, items)]
        return squares[0] + squares[1]  # (B, C)

    def _logits(self, user: tf.Tensor, items: tf.Tensor) -> tf.Tensor:
        """Returns (B, C), float32, from user vectors (B, D) and item vectors (B, C, D)."""
        of_user, of_item = self.tables.split("user", user), self.tables.split("item", items)
        logits = self.output_bias[0]
        if self.config.has_gmf:
            weighted = of_user["gmf"] * self._gmf_weights()  # (B, G)
            logits += tf.reduce_sum(of_item["gmf"] * weighted[:, None], axis=-1)
        if self.config.variant == "mf":
            return logits + of_user["bias"] + of_item["bias"][..., 0]
        if self.config.has_mlp:
            user_half, item_half = self._first_layer(of_user["mlp"], of_item["mlp"])
            hidden = tf.nn.relu(user_half[:, None] + item_half)  # (B, C, hidden[0])
            logits += self._rest_of_mlp(hidden)
        return logits

    def _gmf_weights(self) -> tf.Tensor:
        """Returns h of GMF, of shape (G,): all ones in `mf`."""
        if self.config.variant == "mf":
            return tf.ones([self.config.gmf_dim])
        return self.output_kernel[: self.config.gmf_dim, 0]

    def _first_layer(self, user: tf.Tensor, items: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Returns the user's and the items' share of W_1 [p; q] + b_1, in compute precision."""
        of_user, of_item = tf.split(self._compute(self.kernels[0]), 2, axis=0)
        half = tf.matmul(self._compute(user), of_user) + self._compute(self.biases[0])
        return half, tf.tensordot(self._compute(items), of_item, axes=1)

    def _rest_of_mlp(self, hidden: tf.Tensor) -> tf.Tensor:
        """Returns the MLP's share of the logits, float32, from the first layer's activations."""
        flat = tf.reshape(hidden, [-1, hidden.shape[-1]])  # (B * C, hidden[0])
        for kernel, bias in zip(self.kernels[1:], self.biases[1:], strict=True):
            flat = tf.nn.relu(tf.matmul(flat, self._compute(kernel)) + self._compute(bias))
        weights = self.output_kernel[self.config.gmf_dim * self.config.has_gmf :]
        logits = tf.matmul(tf.cast(flat, tf.float32), weights)
        return tf.reshape(logits, tf.shape(hidden)[:-1])

    def _compute(self, tensor: tf.Tensor) -> tf.Tensor:
        return tf.cast(tensor, self.compute_dtype)
