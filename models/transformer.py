"""Transformer blocks (Vaswani et al. 2017) over padded sequences, bidirectional or causal.

    post-norm (BERT)     x = norm(x + drop(attention(x)));      x = norm(x + drop(ffn(x)))
    pre-norm (SASRec)    x = x + drop(attention(norm(x)));      x = x + drop(ffn(norm(x)))

and in pre-norm one more normalisation at the end, without which the last sum would be of any
scale. The last block computes only the slots that are asked for: nothing else reads the others.
Whatever looks at one slot at a time leaves padding out (`models.packing`).

Legend: B rows, L slots, N slots that are not padding, Q slots asked for of a row, M of all rows
that are not padding, D width, H heads, F width inside the feed-forward part.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import tensorflow as tf

from data.random_bits import GENERATOR
from models.dropout import NO_DROPOUT, Dropout
from models.packing import Packing
from models.vector_layers import Linear, Norm

# Finite: a row of padding alone must come out as a number.
HIDDEN = -1e9


@dataclass(frozen=True)
class Drops:
    """Dropout of one pass: of activations, and of attention weights."""

    activations: Dropout = NO_DROPOUT
    attention: Dropout = NO_DROPOUT

    @classmethod
    def of(cls, activations: float, attention: float, seed: tf.Tensor | None) -> Drops:
        """Returns the dropout of these shares; a seed of None, of evaluation, drops nothing."""
        if seed is None:
            return cls()
        other = tf.random.experimental.stateless_fold_in(seed, -1, alg=GENERATOR)
        return cls(Dropout(activations, seed), Dropout(attention, other))


@dataclass(frozen=True)
class Asked:
    """The slots whose outputs are asked for.

    Attributes:
        slots: Shape (B, Q), int32.
        packing: Which of them are no padding.
    """

    slots: tf.Tensor
    packing: Packing


class Attention(tf.keras.layers.Layer):
    """Multi-head scaled dot-product attention.

    Args:
        dim: Width D.
        heads: Number of heads H.
        stddev: Standard deviation of the initial values.
        seed: Of the initial values.
    """

    def __init__(self, dim: int, heads: int, stddev: float, seed: int) -> None:
        super().__init__(name="attention")
        self._dim, self._heads = dim, heads
        self.query_key_value = Linear((dim, 3 * dim), stddev, seed, "query_key_value")
        self.projection = Linear((dim, dim), stddev, seed + 1, "projection")

    def call(
        self,
        inputs: tf.Tensor,
        tokens: Packing,
        allowed: tf.Tensor,
        asked: tuple[tf.Tensor, Packing] | None = None,
        drop: Dropout = NO_DROPOUT,
    ) -> tf.Tensor:
        """Lets slots look at each other.

        Args:
            inputs: Shape (N, D).
            tokens: Where they are.
            allowed: What each slot may look at, of a shape that broadcasts to (B, H, Q, L), bool.
            asked: Inputs of the slots that look, (M, D), and where they are; None for all.
            drop: Dropout of the attention weights.

        Returns:
            Shape (M, D), of the compute type.
        """
        if asked is None:
            looking = tokens
            query, key, value = tf.split(tokens.unpack(self.query_key_value(inputs)), 3, axis=-1)
        else:
            own, looking = asked
            query = looking.unpack(self.query_key_value(own, 0, self._dim))
            pair = tokens.unpack(self.query_key_value(inputs, self._dim))
            key, value = tf.split(pair, 2, axis=-1)
        query = query * (self._dim // self._heads) ** -0.5
        logits = tf.matmul(self._by_head(query), self._by_head(key), transpose_b=True)
        logits = tf.where(allowed, tf.cast(logits, tf.float32), HIDDEN)  # (B, H, Q, L)
        weights = drop(tf.cast(tf.nn.softmax(logits), self.compute_dtype))
        mixed = tf.transpose(tf.matmul(weights, self._by_head(value)), [0, 2, 1, 3])
        mixed = tf.reshape(mixed, [-1, query.shape[1], self._dim])  # (B, Q, D)
        return self.projection(looking.pack(mixed))

    def _by_head(self, vectors: tf.Tensor) -> tf.Tensor:
        """Returns vectors (B, L, D) as (B, H, L, D / H)."""
        size = [-1, vectors.shape[1], self._heads, self._dim // self._heads]
        return tf.transpose(tf.reshape(vectors, size), [0, 2, 1, 3])


class Block(tf.keras.layers.Layer):
    """Attention and a feed-forward part with GELU, each with a residual and a normalisation.

    Args:
        dim: Width D.
        heads: Number of heads H.
        inner: Width F.
        norm_first: Pre-norm instead of post-norm.
        stddev: Standard deviation of the initial values.
        seed: Of the initial values; four are used.
        name: Name of the layer.
    """

    def __init__(
        self,
        dim: int,
        heads: int,
        inner: int,
        *,
        norm_first: bool,
        stddev: float,
        seed: int,
        name: str,
    ) -> None:
        super().__init__(name=name)
        self._norm_first = norm_first
        self.attention = Attention(dim, heads, stddev, seed)
        self.attention_norm = Norm(dim, "attention_norm")
        self.widen = Linear((dim, inner), stddev, seed + 2, "widen")
        self.narrow = Linear((inner, dim), stddev, seed + 3, "narrow")
        self.norm = Norm(dim, "norm")

    def call(
        self,
        inputs: tf.Tensor,
        tokens: Packing,
        allowed: tf.Tensor,
        asked: Asked | None,
        drops: Drops,
    ) -> tf.Tensor:
        """Returns (M, D) from (N, D); see `Attention`."""
        taken = partial(_take, tokens=tokens, asked=asked)
        residual = taken(inputs)
        looking = None if asked is None else asked.packing
        if self._norm_first:
            normed = self.attention_norm(inputs)
            own = None if looking is None else (taken(normed), looking)
            looked = self.attention(normed, tokens, allowed, own, drops.attention)
            residual += drops.activations(looked)
            return residual + drops.activations(self._feed_forward(self.norm(residual)))
        own = None if looking is None else (residual, looking)
        looked = self.attention(inputs, tokens, allowed, own, drops.attention)
        residual = self.attention_norm(residual + drops.activations(looked))
        return self.norm(residual + drops.activations(self._feed_forward(residual)))

    def _feed_forward(self, inputs: tf.Tensor) -> tf.Tensor:
        return self.narrow(tf.nn.gelu(self.widen(inputs), approximate=True))


class Transformer(tf.keras.layers.Layer):
    """A stack of blocks.

    Args:
        dim: Width D.
        layers: Number of blocks.
        heads: Number of heads H.
        inner: Width F.
        is_causal: Whether a slot sees only itself and the slots before it.
        norm_first: Pre-norm instead of post-norm.
        stddev: Standard deviation of the initial values.
        seed: Of the initial values.
    """

    def __init__(
        self,
        dim: int,
        layers: int,
        heads: int,
        inner: int,
        *,
        is_causal: bool,
        norm_first: bool,
        stddev: float,
        seed: int,
    ) -> None:
        super().__init__(name="transformer")
        self._is_causal = is_causal
        block = partial(Block, dim, heads, inner, norm_first=norm_first, stddev=stddev)
        self.blocks = [block(seed=seed * 1000 + 10 * n, name=f"block_{n}") for n in range(layers)]
        self.last_norm = Norm(dim, "last_norm") if norm_first else None

    def call(
        self,
        inputs: tf.Tensor,
        tokens: Packing,
        asked: Asked | None = None,
        drops: Drops | None = None,
    ) -> tf.Tensor:
        """Encodes sequences.

        Args:
            inputs: Shape (N, D), of the compute type.
            tokens: Where they are. A slot that is not present is not looked at.
            asked: The slots to return; None for all.
            drops: Dropout of this pass.

        Returns:
            Shape (M, D), of the compute type. Slots that see nothing mean nothing.
        """
        hidden = inputs
        for block in self.blocks[:-1]:
            hidden = block(hidden, tokens, self._allowed(tokens, None), None, drops or Drops())
        allowed = self._allowed(tokens, asked)
        hidden = self.blocks[-1](hidden, tokens, allowed, asked, drops or Drops())
        return hidden if self.last_norm is None else self.last_norm(hidden)

    def _allowed(self, tokens: Packing, asked: Asked | None) -> tf.Tensor:
        """Returns what each slot may look at: (B, 1, Q, L), or (B, 1, 1, L) where all see alike."""
        keys = tokens.present[:, None, None, :]
        if not self._is_causal:
            return keys
        places = tf.range(tokens.present.shape[1])
        looking = places[None] if asked is None else asked.slots  # (1 or B, Q)
        return keys & (places <= looking[:, None, :, None])


def _take(vectors: tf.Tensor, tokens: Packing, asked: Asked | None) -> tf.Tensor:
    """Returns vectors (M, D) of the slots asked for, from those of all, (N, D)."""
    if asked is None:
        return vectors
    return tf.gather(vectors, asked.packing.pack(tokens.places(asked.slots)))
