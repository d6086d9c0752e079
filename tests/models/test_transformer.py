"""The Transformer against NumPy, and what its slots may see."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

from models.dropout import Dropout
from models.transformer import Attention, Drops, Linear, Norm, Transformer, take_slots

DIM, HEADS, SLOTS = 8, 2, 6

either_norm = pytest.mark.parametrize("norm_first", [False, True])
either_direction = pytest.mark.parametrize("is_causal", [False, True])


def transformer(*, is_causal: bool = False, norm_first: bool = False) -> Transformer:
    # A large stddev, so that slots have something to say to each other.
    return Transformer(
        DIM, 2, HEADS, 12, is_causal=is_causal, norm_first=norm_first, stddev=0.4, seed=1
    )


def inputs(rows: int = 3, slots: int = SLOTS) -> np.ndarray:
    return np.random.default_rng(0).normal(size=(rows, slots, DIM)).astype(np.float32)


def linear(layer: Linear, x: np.ndarray) -> np.ndarray:
    return x @ layer.kernel.numpy() + layer.bias.numpy()


def norm(layer: Norm, x: np.ndarray) -> np.ndarray:
    centred = x - x.mean(-1, keepdims=True)
    scale = np.sqrt((centred**2).mean(-1, keepdims=True) + 1e-6)
    return centred / scale * layer.gain.numpy() + layer.bias.numpy()


def attention(layer: Attention, x: np.ndarray, allowed: np.ndarray) -> np.ndarray:
    """Attends with one head after the other; `allowed` has shape (B, L, L)."""
    query, key, value = np.split(linear(layer.query_key_value, x), 3, axis=-1)
    width = DIM // HEADS
    mixed = []
    for head in range(HEADS):
        columns = slice(head * width, (head + 1) * width)
        logits = query[..., columns] @ key[..., columns].transpose(0, 2, 1) / np.sqrt(width)
        weights = np.where(allowed, np.exp(logits), 0)
        total = np.maximum(weights.sum(-1, keepdims=True), 1e-9)  # padding may see nothing
        mixed.append(weights / total @ value[..., columns])
    return linear(layer.projection, np.concatenate(mixed, axis=-1))


def gelu(x: np.ndarray) -> np.ndarray:
    return x / 2 * (1 + np.tanh(np.sqrt(2 / np.pi) * (x + 0.044715 * x**3)))


def encode(
    layer: Transformer, x: np.ndarray, present: np.ndarray, *, is_causal: bool, norm_first: bool
) -> np.ndarray:
    length = x.shape[1]
    allowed = np.broadcast_to(present[:, None], (len(x), length, length))
    allowed = allowed & np.tril(np.ones((length, length), bool)) if is_causal else allowed
    for block in layer.blocks:

        def feed(y: np.ndarray, block: tf.keras.layers.Layer = block) -> np.ndarray:
            return linear(block.narrow, gelu(linear(block.widen, y)))

        if norm_first:
            x = x + attention(block.attention, norm(block.attention_norm, x), allowed)
            x = x + feed(norm(block.norm, x))
        else:
            x = norm(block.attention_norm, x + attention(block.attention, x, allowed))
            x = norm(block.norm, x + feed(x))
    return x if layer.last_norm is None else norm(layer.last_norm, x)


@either_norm
@either_direction
def test_equals_numpy_with_padding(is_causal: bool, norm_first: bool) -> None:
    layer = transformer(is_causal=is_causal, norm_first=norm_first)
    for index, weight in enumerate(layer.trainable_variables):  # biases and gains that matter
        weight.assign_add(tf.random.stateless_normal(weight.shape, [7, index], 0, 0.1))
    present = np.ones((3, SLOTS), bool)
    present[1, :2] = present[2, :4] = False
    found = layer(inputs(), tf.constant(present)).numpy()
    expected = encode(layer, inputs(), present, is_causal=is_causal, norm_first=norm_first)
    np.testing.assert_allclose(found[present], expected[present], atol=2e-5)


@either_norm
@either_direction
def test_asking_for_some_slots_gives_those_of_all(is_causal: bool, norm_first: bool) -> None:
    layer = transformer(is_causal=is_causal, norm_first=norm_first)
    present = tf.constant(np.arange(SLOTS) >= np.array([[0], [2], [4]]))
    slots = tf.constant([[5, 0, 3], [2, 5, 5], [4, 5, 4]])
    everything = layer(inputs(), present)
    some = layer(inputs(), present, slots)
    np.testing.assert_allclose(some, take_slots(everything, slots), atol=1e-5)


@either_direction
def test_who_sees_whom(is_causal: bool) -> None:
    layer, present = transformer(is_causal=is_causal), tf.ones([1, SLOTS], tf.bool)
    before = layer(inputs(1), present).numpy()[0]
    changed = inputs(1)
    changed[0, 3] += np.linspace(-1, 1, DIM)
    moved = np.abs(layer(changed, present).numpy()[0] - before).max(axis=1) > 1e-4
    expected = [False] * 3 + [True] * 3 if is_causal else [True] * SLOTS
    assert moved.tolist() == expected


@either_direction
def test_what_stands_in_padding_changes_nothing(is_causal: bool) -> None:
    layer = transformer(is_causal=is_causal)
    present = tf.constant([[False, False, True, True, True, True]])
    changed = inputs(1)
    changed[0, :2] *= 100
    before, after = layer(inputs(1), present).numpy(), layer(changed, present).numpy()
    np.testing.assert_array_equal(before[0, 2:], after[0, 2:])
    shorter = layer(inputs(1)[:, 2:], present[:, 2:]).numpy()
    np.testing.assert_allclose(before[0, 2:], shorter[0], atol=1e-5)


@either_direction
def test_a_row_of_padding_alone_stays_a_number(is_causal: bool) -> None:
    layer = transformer(is_causal=is_causal)
    values = tf.constant(inputs(1))
    with tf.GradientTape() as tape:
        tape.watch(values)
        output = layer(values, tf.zeros([1, SLOTS], tf.bool))
        total = tf.reduce_sum(output * inputs(1))
    assert np.isfinite(output).all()
    assert np.isfinite(tape.gradient(total, values)).all()


def test_attention_weights_are_dropped_in_training_only() -> None:
    layer, present = transformer(), tf.ones([3, SLOTS], tf.bool)
    seed = tf.constant([1, 2])
    plain = layer(inputs(), present).numpy()
    dropped = layer(inputs(), present, None, Drops(attention=Dropout(0.5, seed))).numpy()
    again = layer(inputs(), present, None, Drops(attention=Dropout(0.5, seed))).numpy()
    assert np.abs(plain - dropped).max() > 0.01
    np.testing.assert_array_equal(dropped, again)
