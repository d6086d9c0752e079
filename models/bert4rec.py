"""BERT4Rec, and its causal variant SASRec: Transformers over the sequence of a user's items.

Sun et al., "BERT4Rec", CIKM 2019; Kang & McAuley, "Self-Attentive Sequential Recommendation", ICDM
2018. With E the items' vectors, P the slots' and h the Transformer's output,

    x_t = norm(E[item_t] + P[t])                                  BERT4Rec, section 3.4
    logit of item v at t = g(h_t) . E[v] + b_v                    section 3.5, equation 7

where g is a dense layer, GELU and norm (`bert`) or nothing (`sasrec`). `bert` hides some items of a
sequence and predicts them from both sides (equation 8), `sasrec` predicts each next item from those
before it. The loss of a target is the cross-entropy over all items, over sampled ones (`sampled`),
or gBCE (Petrov & Macdonald, "gSASRec", RecSys 2023). To score, `bert` appends the mask token to the
history and reads what stands there; `sasrec` reads the last slot.

Departures from the papers: sequences end in the last slot, so that P counts from the end; `sasrec`
has GELU for ReLU, a norm of x, b_v and, by default, softmax for binary cross-entropy; long
histories keep their last items instead of several windows. Each row of a step is looked up once,
as input and as output, so E, which serves as both, gets one sparse update.

Legend: B rows, L slots, M targets of a row, D width, I items, K negatives of a row.
"""

from __future__ import annotations

from collections.abc import Sequence

import tensorflow as tf

from data.dataset import PreparedDataset
from data.pipeline import MASK, Batch, Transform
from data.reading import Reading
from data.sampling import NEGATIVES, make_negatives
from data.schema import FIRST_ID, PAD_ID
from data.sequences import (
    HISTORY,
    SEQUENCE,
    TARGET_SLOTS,
    TARGET_WEIGHTS,
    TARGETS,
    JoinHistory,
    MaskItems,
    NextItems,
    align_right,
)
from models.bert4rec_config import BERT4RecConfig
from models.dropout import DROPOUT_SEED, add_dropout_seed
from models.packing import Packing
from models.recommender import Losses, Recommender, Vectors
from models.sequence_losses import (
    full_softmax_loss,
    gbce_beta,
    gbce_loss,
    sampled_softmax_loss,
    uninformed_target_loss,
    without_targets,
)
from models.tables import EmbeddingTables, Lookups, Part, TableConfig
from models.transformer import Asked, Drops, Transformer
from models.vector_layers import Linear, Norm


class BERT4Rec(Recommender):
    """BERT4Rec in its variants.

    Args:
        config: The settings.
        data: The prepared dataset; needs the view `histories`.
        seed: Of the initial values.
    """

    view = "histories"
    scores_by = "seen_item"
    logits_are_binary = False
    shared_lookups = frozenset({"output"})

    def __init__(self, config: BERT4RecConfig, data: PreparedDataset, seed: int = 0) -> None:
        super().__init__(data.schema)
        self.config = config
        self.mask_id = data.schema.cardinality("item")
        self._items = self.mask_id - FIRST_ID
        parts = [Part("vector", config.dim, config.stddev)]
        if config.output_bias:
            parts.append(Part("bias", 1, 0.0))
        table = TableConfig("item", self.mask_id + 1, tuple(parts), config.table_optimizer)
        features = dict.fromkeys(("input", "output", "target", "negative"), "item")
        self.tables = EmbeddingTables([table], features, seed)
        self.slots = self.add_weight(
            "slots",
            (config.max_length, config.dim),
            initializer=tf.keras.initializers.TruncatedNormal(stddev=config.stddev, seed=seed),
            experimental_autocast=False,
        )
        self.input_norm = Norm(config.dim, "input_norm")
        self.transformer = Transformer(
            config.dim,
            config.layers,
            config.heads,
            config.inner or 4 * config.dim,
            is_causal=config.is_causal,
            norm_first=config.norm_first,
            stddev=config.stddev,
            seed=seed,
        )
        if not config.is_causal:
            size = (config.dim, config.dim)
            self.head = Linear(size, config.stddev, seed * 1000 + 999, "head")
            self.head_norm = Norm(config.dim, "head_norm")

    def reading(self, splits: Sequence[str], batch_size: int) -> Reading:
        """Returns how the training batches are read: whole histories for random windows."""
        longest: tuple[tuple[str, int], ...] = ()
        if self.config.crop == "last":
            longest = tuple((name, self.config.sequence_length) for name in HISTORY)
        return Reading(self.view, tuple(splits), batch_size, True, longest, HISTORY)

    def transforms(
        self, data: PreparedDataset, splits: Sequence[str], training: bool
    ) -> list[Transform]:
        """Returns what makes sequences and targets, samples negatives and seeds dropout."""
        if not training:
            return []
        config = self.config
        transforms: list[Transform] = [JoinHistory(config.sequence_length, config.crop)]
        if config.is_causal:
            transforms.append(NextItems(config.targets))
        else:
            transforms.append(
                MaskItems(self.mask_id, config.mask_share, config.targets, config.last_item_share)
            )
        if config.loss != "full":
            allow = config.allow_positives
            transforms.append(make_negatives(data, splits, config.negatives, allow_positives=allow))
        if config.dropout or config.attention_dropout:
            transforms.append(add_dropout_seed)
        return transforms

    def lookups(self, batch: Batch) -> Lookups:
        """Returns the inputs, (B, L), and what is scored: all items, or targets and negatives."""
        if self.config.loss == "full":
            return {"input": batch[SEQUENCE], "output": tf.range(FIRST_ID, self.mask_id)}
        return {"input": batch[SEQUENCE], "target": batch[TARGETS], "negative": batch[NEGATIVES]}

    def call(self, batch: Batch, training: bool = False) -> tf.Tensor:
        """Returns the scores of all items."""
        del training
        return self.item_scores(batch)

    def loss_from_vectors(self, batch: Batch, vectors: Vectors, training: bool) -> Losses:
        """Returns the losses of the targets, summed and divided by B x M.

        `per_target` is their mean over the targets that there are.
        """
        weights = batch[TARGET_WEIGHTS] * batch[MASK][:, None]  # (B, M)
        tokens = Packing(batch[SEQUENCE] != PAD_ID, self.is_static)
        asked, targets = None, tokens
        if TARGET_SLOTS in batch:
            targets = Packing(weights > 0.0, self.is_static)
            asked = Asked(batch[TARGET_SLOTS], targets)
        seed = batch.get(DROPOUT_SEED) if training else None
        drops = Drops.of(self.config.dropout, self.config.attention_dropout, seed)
        output = self._encode(vectors["input"], tokens, asked, drops)
        losses = self._target_losses(output, targets, batch, vectors)
        total = tf.reduce_sum(losses * targets.pack(weights))
        per_target = total / tf.maximum(tf.reduce_sum(weights), 1.0)
        return {"loss": total / float(weights.shape.num_elements()), "per_target": per_target}

    def uninformed_loss(self, batch: Batch) -> float:
        """Returns the loss where all items score 0."""
        config = self.config
        about = (config.loss, self._items, config.negatives, config.gbce_t)
        of_target = uninformed_target_loss(*about)
        weights = batch[TARGET_WEIGHTS] * batch[MASK][:, None]
        return of_target * float(tf.reduce_mean(weights))

    def item_scores(self, batch: Batch) -> tf.Tensor:
        """Returns the logits of all items as the next one, (B, I + 2), float32."""
        seen, length = batch["seen_item"], self.config.max_length
        if self.config.is_causal:
            sequence = align_right([seen], length)
        else:
            history = align_right([seen], length - 1)
            mask = tf.fill([tf.shape(seen)[0], 1], self.mask_id)
            sequence = tf.concat([history, mask], axis=1)
        vectors = self.tables.gather({"input": sequence})["input"][..., : self.config.dim]
        tokens = Packing(sequence != PAD_ID, is_static=True)
        last = tf.fill([tf.shape(seen)[0], 1], length - 1)
        asked = Asked(last, Packing(last > 0, is_static=True))
        output = self._encode(vectors, tokens, asked, Drops())
        return self._logits(output, self.tables.rows("item")[: self.mask_id])

    def vectors(self, rows: Vectors, places: dict[str, tf.Tensor]) -> Vectors:
        """Returns rows of the table by feature; those of inputs without their biases, (B, L, D)."""
        of_rows = rows[self.tables.key_of("input")]
        found = {name: tf.gather(of_rows, p) for name, p in places.items() if name != "input"}
        found["input"] = tf.gather(of_rows[:, : self.config.dim], places["input"])
        return found

    def item_vectors(self, items: tf.Tensor) -> tf.Tensor:
        """Returns the items' rows of the table, input and output alike, without their biases."""
        return self.tables.gather({"input": items})["input"][:, : self.config.dim]

    def _encode(
        self, vectors: tf.Tensor, tokens: Packing, asked: Asked | None, drops: Drops
    ) -> tf.Tensor:
        """Returns what is multiplied with the items' rows, (N, D + 1), of the compute type.

        Its last number is 1, for the bias: so the product includes it, where a sum would pass over
        all logits once more. Without biases rows end at D.

        Args:
            vectors: Of the sequences' items, shape (B, L, D).
            tokens: Which slots of the sequences hold items.
            asked: The slots to return; None for all that hold items.
            drops: Dropout of this pass.
        """
        hidden = drops.activations(self.input_norm(tokens.pack(vectors + self.slots)))
        output = self.transformer(hidden, tokens, asked, drops)
        if not self.config.is_causal:
            output = self.head_norm(tf.nn.gelu(self.head(output), approximate=True))
        if self.config.output_bias:
            output = tf.concat([output, tf.ones_like(output[..., :1])], axis=-1)
        return output

    def _target_losses(
        self, output: tf.Tensor, targets: Packing, batch: Batch, vectors: Vectors
    ) -> tf.Tensor:
        """Returns the loss of each target, (N,), from outputs (N, D + 1)."""
        ids = batch[TARGETS]
        if self.config.loss == "full":
            columns = tf.maximum(targets.pack(ids) - FIRST_ID, 0)  # where there is no target, any
            return full_softmax_loss(self._logits(output, vectors["output"]), columns)
        output = targets.unpack(output)  # (B, M, D + 1), as the targets of a row share negatives
        positive = tf.reduce_sum(tf.cast(output, tf.float32) * vectors["target"], axis=-1)
        negatives = self._compute(vectors["negative"])  # (B, K, D + 1)
        negative = tf.cast(tf.matmul(output, negatives, transpose_b=True), tf.float32)
        negative = without_targets(negative, batch[NEGATIVES], ids)
        if self.config.loss == "sampled":
            return targets.pack(sampled_softmax_loss(positive, negative))
        beta = gbce_beta(self.config.negatives, self._items, self.config.gbce_t)
        return targets.pack(gbce_loss(positive, negative, beta))

    def _logits(self, output: tf.Tensor, items: tf.Tensor) -> tf.Tensor:
        """Returns logits (N, I), float32, of table rows (I, D + 1) from outputs (N, D + 1)."""
        logits = tf.matmul(output, self._compute(items), transpose_b=True)
        return tf.cast(logits, tf.float32)

    def _compute(self, tensor: tf.Tensor) -> tf.Tensor:
        return tf.cast(tensor, self.compute_dtype)
