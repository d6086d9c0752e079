"""Autoencoders of a user's items: Mult-VAE and Mult-DAE.

Liang et al., "Variational Autoencoders for Collaborative Filtering", WWW 2018. With x the user's
items as a vector of zeros and ones, and f, g perceptrons with tanh between layers,

    vae   [mu; log s^2] = f(drop(x / |x|)),   z = mu + s * noise         section 2.2, equation 5
    dae   z = tanh(f(drop(x / |x|)))                                     section 2.2.2
    both  pi = softmax(g(z)),   log p(x | z) = sum_i x_i log pi_i        section 2.1, equation 2

and the loss of a user is -log p(x | z) + beta KL(N(mu, s^2) || N(0, 1)), section 2.2.1, equation
7, where beta rises linearly by step up to a cap; the DAE has no KL. Scores use z = mu.

Departures from the paper: the encoder's first kernel is an embedding table of which a batch reads
and updates only the rows of its items, so no matrix of users by items is made for the input and
the DAE's l2 leaves that kernel out; biases start at zero. An item that a list holds twice counts
twice.

Legend: B rows (users), L longest list, I real items, Z width of z, H width of the first layer.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence

import tensorflow as tf

from data.dataset import PreparedDataset
from data.item_sets import (
    ITEM_SET,
    KEPT_ITEMS,
    DropItems,
    add_item_set,
    count_items,
    known_items,
    multi_hot,
)
from data.pipeline import MASK, Batch, Transform
from data.reading import Reading
from data.schema import FIRST_ID
from models.id_axis import IdAxis
from models.masked_mean import masked_mean
from models.recommender import Losses, Recommender, Vectors
from models.tables import Bag, EmbeddingTables, Part, TableConfig
from models.vae_cf_config import VAECFConfig
from models.vae_losses import kl_to_standard_normal, multinomial_loss

NOISE = "latent_noise"
_HISTORY = "history"
_COUNTS = "item_counts"


class TanhMLP(tf.keras.layers.Layer):
    """Dense layers with tanh between them, not after the last.

    Args:
        name: Name of the layer.
        widths: Of the input and of each layer.
        seed: Of the initial values (Glorot & Bengio 2010).
        last: Initial values of the last kernel, if not those.
    """

    def __init__(self, name: str, widths: Sequence[int], seed: int, last: str = "") -> None:
        super().__init__(name=name)
        sizes = list(itertools.pairwise(widths))
        starts = [tf.keras.initializers.GlorotUniform(seed=seed + n) for n in range(len(sizes))]
        if last:
            starts[-1] = last
        self.kernels = [
            self.add_weight(f"{n}/kernel", size, initializer=starts[n], experimental_autocast=False)
            for n, size in enumerate(sizes)
        ]
        self.biases = [
            self.add_weight(f"{n}/bias", size[1:], initializer="zeros", experimental_autocast=False)
            for n, size in enumerate(sizes)
        ]

    def call(self, values: tf.Tensor) -> tf.Tensor:
        """Returns (B, widths[-1]), float32, from values (B, widths[0])."""
        for n, (kernel, bias) in enumerate(zip(self.kernels, self.biases, strict=True)):
            inputs = tf.tanh(values) if n else values
            product = tf.matmul(self._compute(inputs), self._compute(kernel))
            values = tf.cast(product, tf.float32) + bias
        return values

    def _compute(self, tensor: tf.Tensor) -> tf.Tensor:
        return tf.cast(tensor, self.compute_dtype)


class VAECF(Recommender):
    """Mult-VAE or Mult-DAE.

    Args:
        config: The settings.
        data: The prepared dataset; needs the view `histories`.
        seed: Of the initial values.
    """

    view = "histories"
    scores_by = "seen_item"
    logits_are_binary = False

    def __init__(self, config: VAECFConfig, data: PreparedDataset, seed: int = 0) -> None:
        super().__init__(data.schema)
        self.config = config
        cardinality = data.schema.cardinality("item")
        widths = (*config.hidden, config.encoded)
        table = TableConfig(
            "item", cardinality, (Part("input", widths[0], config.stddev),), config.table_optimizer
        )
        self.tables = EmbeddingTables([table], {_HISTORY: "item"}, seed)
        self.input_bias = self.add_weight(
            "input/bias", (widths[0],), initializer="zeros", experimental_autocast=False
        )
        self.encoder = TanhMLP("encoder", widths, seed * 1000)
        outputs = cardinality - FIRST_ID
        back = (config.latent, *reversed(config.hidden), outputs)
        self.decoder = TanhMLP("decoder", back, seed * 1000 + 100, last="zeros")

    def id_axes(self) -> list[IdAxis]:
        """Returns the decoder's last layer, whose outputs are the items."""
        kernel, bias = self.decoder.kernels[-1], self.decoder.biases[-1]
        return [IdAxis(kernel, "item", 1), IdAxis(bias, "item", 0)]

    def reading(self, splits: Sequence[str], batch_size: int) -> Reading:
        """Returns how the training batches are read: the lists of items only."""
        # Rows of train have no earlier items: their lists would be padding and nothing else.
        lists = ("item",) if tuple(splits) == ("train",) else ("item", "seen_item")
        newest = self.config.max_history
        lengths = tuple((name, newest) for name in lists) if newest else ()
        return Reading(self.view, tuple(splits), batch_size, True, lengths, lists)

    def transforms(
        self, data: PreparedDataset, splits: Sequence[str], training: bool
    ) -> list[Transform]:
        """Returns what makes the sets of items, and in training the dropout and the noise."""
        del data, splits
        found: list[Transform] = [add_item_set]
        if training and self.config.dropout:
            found.append(DropItems(self.config.dropout))
        if training and self.config.variant == "vae":
            found.append(self._add_noise)
        return found

    def _add_noise(self, batch: Batch, seed: tf.Tensor) -> Batch:
        """Adds `latent_noise`, (B, Z): standard normal."""
        shape = [batch[MASK].shape[0], self.config.latent]
        return {**batch, NOISE: tf.random.stateless_normal(shape, seed)}

    def lookups(self, batch: Batch) -> dict[str, Bag]:
        """Returns the users' items, less those that dropout took."""
        if KEPT_ITEMS in batch:
            return {_HISTORY: Bag(batch[KEPT_ITEMS], scale=1.0 / (1.0 - self.config.dropout))}
        return {_HISTORY: Bag(batch[ITEM_SET])}

    def dense_inputs(self, batch: Batch) -> Batch:
        """Returns the users' items as counts (B, I), in place of lists as long as the longest."""
        counts = multi_hot(batch[ITEM_SET], self.schema.cardinality("item"))
        kept = {name: batch[name] for name in (MASK, NOISE) if name in batch}
        return {**kept, _COUNTS: counts}

    def call(self, batch: Batch, training: bool = False) -> tf.Tensor:
        """Returns logits of all items, (B, I + 2), float32."""
        del training
        return self.item_scores(batch)

    def loss_from_vectors(self, batch: Batch, vectors: Vectors, training: bool) -> Losses:
        """Returns the negative of the annealed evidence lower bound (equation 7)."""
        counts, mask = batch[_COUNTS], batch[MASK]
        encoded = self.encode(vectors[_HISTORY], tf.reduce_sum(counts, axis=1))  # (B, 2 Z), (B, Z)
        losses: Losses = {}
        latent = self.latent_mean(encoded)
        total = tf.zeros([])
        if self.config.variant == "vae":
            log_variance = encoded[:, self.config.latent :]
            losses["kl"] = masked_mean(kl_to_standard_normal(latent, log_variance), mask)
            losses["beta"] = self.beta()
            total += losses["beta"] * losses["kl"]
            if training:
                latent += tf.exp(0.5 * log_variance) * batch[NOISE]
        negative = multinomial_loss(self.decoder(latent), counts)
        losses["multinomial"] = masked_mean(negative, mask)
        total += losses["multinomial"]
        if self.config.l2:
            kernels = [*self.encoder.kernels, *self.decoder.kernels]
            losses["l2"] = self.config.l2 * tf.add_n([tf.reduce_sum(k * k) for k in kernels])
            total += losses["l2"]
        return {"loss": total, **losses}

    def beta(self) -> tf.Tensor:
        """Returns the weight of the KL term at this step: scalar, float32."""
        if not self.config.anneal_steps:
            return tf.constant(self.config.beta_cap)
        # The tables' counter and not the optimizer's: it is there before training is prepared.
        steps = tf.cast(self.tables.updates, tf.float32)
        return tf.minimum(self.config.beta_cap, steps / self.config.anneal_steps)

    def encode(self, sums: tf.Tensor, count: tf.Tensor) -> tf.Tensor:
        """Returns what f makes of the users' items, (B, 2 Z) in `vae`, else (B, Z), float32.

        Args:
            sums: Sums of the items' rows of the table, (B, H).
            count: Number of items of each user, (B,).
        """
        # |x| is the square root of the number of items.
        length = tf.sqrt(tf.maximum(count, 1.0))[:, None]
        values = sums / length + self.input_bias
        return self.encoder(tf.tanh(values)) if self.config.hidden else values

    def latent_mean(self, encoded: tf.Tensor) -> tf.Tensor:
        """Returns z without noise, (B, Z), from what `encode` returned."""
        if self.config.variant == "vae":
            return encoded[:, : self.config.latent]
        return tf.tanh(encoded)

    def item_scores(self, batch: Batch) -> tf.Tensor:
        """Returns logits of all items, (B, I + 2), float32, from the items of `seen_item`."""
        items = known_items(batch["seen_item"])
        sums = self.tables.gather({_HISTORY: Bag(items)})[_HISTORY]
        latent = self.latent_mean(self.encode(sums, count_items(items)))
        return tf.pad(self.decoder(latent), [[0, 0], [FIRST_ID, 0]])

    def item_vectors(self, items: tf.Tensor) -> tf.Tensor:
        """Returns the items' columns of the decoder's last kernel, which their logits come from."""
        return tf.gather(tf.transpose(self.decoder.kernels[-1]), items - FIRST_ID)

    def uninformed_loss(self, batch: Batch) -> float:
        """Returns the loss of equal logits: ln I for each item of a user."""
        count = count_items(batch[ITEM_SET])
        items = self.schema.cardinality("item") - FIRST_ID
        return float(masked_mean(count, batch[MASK])) * math.log(items)

    def smallest_loss(self, batch: Batch) -> float:
        """Returns the loss of a softmax spread evenly over the user's own n items: n ln n."""
        count = count_items(batch[ITEM_SET])
        return float(masked_mean(tf.math.xlogy(count, count), batch[MASK]))
