"""Transformer blocks (Vaswani et al. 2017) over padded sequences, bidirectional or causal.

    post-norm (BERT)     x = norm(x + drop(attention(x)));      x = norm(x + drop(ffn(x)))
    pre-norm (SASRec)    x = x + drop(attention(norm(x)));      x = x + drop(ffn(norm(x)))

and in pre-norm one more normalisation at the end, without which the last sum would be of any
scale. The last block computes only the slots that are asked for: nothing else reads the others.

Legend: B rows, L slots, Q slots asked for, D width, H heads, F width inside the feed-forward part.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import tensorflow as tf

from models.dropout import NO_DROPOUT, Dropout

# Finite: a row of padding alone must come out as a number.
HIDDEN = -1e9
_EPSILON = 1e-6


@dataclass(frozen=True)
class Drops:
    """Dropout of one pass: of activations, and of attention weights."""

    activations: Dropout = NO_DROPOUT
    attention: Dropout = NO_DROPOUT


class Norm(tf.keras.layers.Layer):
    """Layer normalisation (Ba et al. 2016) of vectors (..., dim), in float32."""

    def __init__(self, dim: int, name: str) -> None:
        super().__init__(name=name, autocast=False)
        keep = {"experimental_autocast": False}
        self.gain = self.add_weight("gain", (dim,), initializer="ones", **keep)
        self.bias = self.add_weight("bias", (dim,), initializer="zeros", **keep)

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        """Returns vectors of the compute type."""
        inputs = tf.cast(inputs, tf.float32)
        centred = inputs - tf.reduce_mean(inputs, axis=-1, keepdims=True)
        variance = tf.reduce_mean(tf.square(centred), axis=-1, keepdims=True)
        normed = centred * tf.math.rsqrt(variance + _EPSILON) * self.gain + self.bias
        return tf.cast(normed, self.compute_dtype)


class Linear(tf.keras.layers.Layer):
    """x W + b on vectors (..., I), in the compute type.

    Args:
        sizes: Widths of input and output, (I, O).
        stddev: Standard deviation of the initial W.
        seed: Of the initial W.
        name: Name of the layer.
    """

    def __init__(self, sizes: tuple[int, int], stddev: float, seed: int, name: str) -> None:
        super().__init__(name=name)
        start = tf.keras.initializers.TruncatedNormal(stddev=stddev, seed=seed)
        keep = {"experimental_autocast": False}
        self.kernel = self.add_weight("kernel", sizes, initializer=start, **keep)
        self.bias = self.add_weight("bias", sizes[1:], initializer="zeros", **keep)

    def call(self, inputs: tf.Tensor, left: int = 0, right: int | None = None) -> tf.Tensor:
        """Returns columns `left` to `right` of the output."""
        kernel = tf.cast(self.kernel[:, left:right], self.compute_dtype)
        bias = tf.cast(self.bias[left:right], self.compute_dtype)
        flat = tf.reshape(tf.cast(inputs, self.compute_dtype), [-1, inputs.shape[-1]])
        outputs = tf.nn.bias_add(tf.matmul(flat, kernel), bias)
        return tf.reshape(outputs, [-1, *inputs.shape[1:-1], outputs.shape[-1]])


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
        allowed: tf.Tensor,
        slots: tf.Tensor | None = None,
        drop: Dropout = NO_DROPOUT,
    ) -> tf.Tensor:
        """Lets slots look at each other.

        Args:
            inputs: Shape (B, L, D).
            allowed: What each slot may look at, of a shape that broadcasts to (B, H, Q, L), bool.
            slots: The slots that look, shape (B, Q); None for all.
            drop: Dropout of the attention weights.

        Returns:
            Shape (B, Q, D), of the compute type.
        """
        if slots is None:
            query, key, value = tf.split(self.query_key_value(inputs), 3, axis=-1)
        else:
            query = self.query_key_value(take_slots(inputs, slots), 0, self._dim)
            key, value = tf.split(self.query_key_value(inputs, self._dim), 2, axis=-1)
        query = query * (self._dim // self._heads) ** -0.5
        logits = tf.matmul(self._by_head(query), self._by_head(key), transpose_b=True)
        logits = tf.where(allowed, tf.cast(logits, tf.float32), HIDDEN)  # (B, H, Q, L)
        weights = drop(tf.cast(tf.nn.softmax(logits), self.compute_dtype))
        mixed = tf.transpose(tf.matmul(weights, self._by_head(value)), [0, 2, 1, 3])
        return self.projection(tf.reshape(mixed, [-1, query.shape[1], self._dim]))  # (B, Q, D)

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
        self, inputs: tf.Tensor, allowed: tf.Tensor, slots: tf.Tensor | None, drops: Drops
    ) -> tf.Tensor:
        """Returns (B, Q, D) from (B, L, D); see `Attention`."""
        residual = inputs if slots is None else take_slots(inputs, slots)
        if self._norm_first:
            looked = self.attention(self.attention_norm(inputs), allowed, slots, drops.attention)
            residual += drops.activations(looked)
            return residual + drops.activations(self._feed_forward(self.norm(residual)))
        looked = self.attention(inputs, allowed, slots, drops.attention)
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
        present: tf.Tensor,
        slots: tf.Tensor | None = None,
        drops: Drops | None = None,
    ) -> tf.Tensor:
        """Encodes sequences.

        Args:
            inputs: Shape (B, L, D), of the compute type.
            present: Which slots may be looked at, shape (B, L), bool.
            slots: The slots to return, shape (B, Q), int32; None for all.
            drops: Dropout of this pass.

        Returns:
            Shape (B, Q, D), of the compute type. Slots that see nothing mean nothing.
        """
        hidden = inputs
        for block in self.blocks[:-1]:
            hidden = block(hidden, self._allowed(present, None), None, drops or Drops())
        hidden = self.blocks[-1](hidden, self._allowed(present, slots), slots, drops or Drops())
        return hidden if self.last_norm is None else self.last_norm(hidden)

    def _allowed(self, present: tf.Tensor, slots: tf.Tensor | None) -> tf.Tensor:
        """Returns what each slot may look at: (B, 1, Q, L), or (B, 1, 1, L) where all see alike."""
        keys = present[:, None, None, :]
        if not self._is_causal:
            return keys
        places = tf.range(present.shape[1])
        looking = places[None] if slots is None else slots  # (1 or B, Q)
        return keys & (places <= looking[:, None, :, None])


def take_slots(vectors: tf.Tensor, slots: tf.Tensor) -> tf.Tensor:
    """Returns vectors (B, Q, D) of the slots (B, Q) of (B, L, D)."""
    return tf.gather(vectors, slots, batch_dims=1)
