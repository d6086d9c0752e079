"""The Transformer against NumPy, and what its slots may see."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

from models.dropout import Dropout
from models.packing import Packing
from models.transformer import Asked, Attention, Drops, Transformer
from models.vector_layers import Linear, Norm

DIM, HEADS, SLOTS = 8, 2, 6

either_norm = pytest.mark.parametrize("norm_first", [False, True])
either_direction = pytest.mark.parametrize("is_causal", [False, True])
packed_or_not = pytest.mark.parametrize("is_static", [False, True])


def transformer(*, is_causal: bool = False, norm_first: bool = False) -> Transformer:
    # A large stddev, so that slots have something to say to each other.
    return Transformer(
        DIM, 2, HEADS, 12, is_causal=is_causal, norm_first=norm_first, stddev=0.4, seed=1
    )


def inputs(rows: int = 3, slots: int = SLOTS) -> np.ndarray:
    return np.random.default_rng(0).normal(size=(rows, slots, DIM)).astype(np.float32)


def run(
    layer: Transformer,
    x: np.ndarray | tf.Tensor,
    present: np.ndarray,
    *,
    is_static: bool,
    slots: np.ndarray | None = None,
    drops: Drops | None = None,
) -> tf.Tensor:
    """Returns (B, L, D), or (B, Q, D) of the slots asked for; in padding it means nothing."""
    tokens = looking = Packing(tf.constant(present), is_static)
    asked = None
    if slots is not None:
        looking = Packing(tf.constant(np.take_along_axis(present, slots, axis=1)), is_static)
        asked = Asked(tf.constant(slots, tf.int32), looking)
    output = layer(tokens.pack(tf.convert_to_tensor(x)), tokens, asked, drops)
    return looking.unpack(output)


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


@packed_or_not
@either_norm
@either_direction
def test_equals_numpy_with_padding(is_causal: bool, norm_first: bool, is_static: bool) -> None:
    layer = transformer(is_causal=is_causal, norm_first=norm_first)
    for index, weight in enumerate(layer.trainable_variables):  # biases and gains that matter
        weight.assign_add(tf.random.stateless_normal(weight.shape, [7, index], 0, 0.1))
    present = np.ones((3, SLOTS), bool)
    present[1, :2] = present[2, :4] = False
    found = run(layer, inputs(), present, is_static=is_static).numpy()
    expected = encode(layer, inputs(), present, is_causal=is_causal, norm_first=norm_first)
    np.testing.assert_allclose(found[present], expected[present], atol=2e-5)


@packed_or_not
@either_norm
@either_direction
def test_asking_for_some_slots_gives_those_of_all(
    is_causal: bool, norm_first: bool, is_static: bool
) -> None:
    layer = transformer(is_causal=is_causal, norm_first=norm_first)
    present = np.arange(SLOTS) >= np.array([[0], [2], [4]])
    slots = np.array([[5, 0, 3], [2, 5, 5], [4, 0, 4]])
    everything = run(layer, inputs(), present, is_static=is_static).numpy()
    some = run(layer, inputs(), present, slots=slots, is_static=is_static).numpy()
    known = np.take_along_axis(present, slots, axis=1)
    expected = np.take_along_axis(everything, slots[..., None], axis=1)
    np.testing.assert_allclose(some[known], expected[known], atol=1e-5)


@either_norm
@either_direction
def test_leaving_padding_out_changes_no_gradient(is_causal: bool, norm_first: bool) -> None:
    layer = transformer(is_causal=is_causal, norm_first=norm_first)
    present = np.arange(SLOTS) >= np.array([[3], [0], [SLOTS]])  # the last row is padding alone
    slots = np.array([[5, 4], [5, 1], [5, 0]])
    weights = np.take_along_axis(present, slots, axis=1)[..., None] * inputs(3, 2)
    found = []
    for is_static in (False, True):
        x = tf.constant(inputs())
        with tf.GradientTape() as tape:
            tape.watch(x)
            output = run(layer, x, present, slots=slots, is_static=is_static)
            total = tf.reduce_sum(output * weights)
        found.append(tape.gradient(total, [x, *layer.trainable_variables]))
    for packed, padded in zip(*found, strict=True):
        np.testing.assert_allclose(packed, padded, atol=2e-5)
    assert not np.asarray(found[0][0])[~present].any()


@packed_or_not
@either_direction
def test_who_sees_whom(is_causal: bool, is_static: bool) -> None:
    layer, present = transformer(is_causal=is_causal), np.ones([1, SLOTS], bool)
    before = run(layer, inputs(1), present, is_static=is_static).numpy()[0]
    changed = inputs(1)
    changed[0, 3] += np.linspace(-1, 1, DIM)
    after = run(layer, changed, present, is_static=is_static).numpy()[0]
    moved = np.abs(after - before).max(axis=1) > 1e-4
    expected = [False] * 3 + [True] * 3 if is_causal else [True] * SLOTS
    assert moved.tolist() == expected


@packed_or_not
@either_direction
def test_what_stands_in_padding_changes_nothing(is_causal: bool, is_static: bool) -> None:
    layer = transformer(is_causal=is_causal)
    present = np.array([[False, False, True, True, True, True]])
    changed = inputs(1)
    changed[0, :2] *= 100
    before, after = (run(layer, x, present, is_static=is_static) for x in (inputs(1), changed))
    np.testing.assert_array_equal(before[0, 2:], after[0, 2:])
    shorter = run(layer, inputs(1)[:, 2:], present[:, 2:], is_static=is_static)
    np.testing.assert_allclose(before[0, 2:], shorter[0], atol=1e-5)


@packed_or_not
@either_direction
def test_a_row_of_padding_alone_stays_a_number(is_causal: bool, is_static: bool) -> None:
    layer = transformer(is_causal=is_causal)
    values = tf.constant(inputs(1))
    with tf.GradientTape() as tape:
        tape.watch(values)
        output = run(layer, values, np.zeros([1, SLOTS], bool), is_static=is_static)
        total = tf.reduce_sum(output * inputs(1))
    assert np.isfinite(output).all()
    assert np.isfinite(tape.gradient(total, values)).all()


@packed_or_not
def test_attention_weights_are_dropped_in_training_only(is_static: bool) -> None:
    layer, present = transformer(), np.ones([3, SLOTS], bool)
    drops = [None] + [Drops(attention=Dropout(0.5, tf.constant([1, 2]))) for _ in range(2)]
    plain, dropped, again = (
        run(layer, inputs(), present, is_static=is_static, drops=drop).numpy() for drop in drops
    )
    assert np.abs(plain - dropped).max() > 0.01
    np.testing.assert_array_equal(dropped, again)
