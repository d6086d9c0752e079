"""DLRM's equations against NumPy, and its dot products against TensorFlow Recommenders'."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_recommenders as tfrs

from data.dataset import PreparedDataset
from data.errors import InputError
from models.dlrm import DLRM
from models.dlrm_config import DLRMConfig
from models.interactions import CrossNetwork, dot_interaction
from models.mlp import MLP
from tests.models.mixed_data import training_batch

SMALL = DLRMConfig(dim=4, bottom=(6,), top=(8, 5), stddev=0.5)


def make(data: PreparedDataset, **changes: Any) -> DLRM:
    """Returns a model whose every weight is random, so that a forgotten one shows."""
    model = DLRM(replace(SMALL, **changes), data, 3)
    _randomise([*model.tables.variables_trained(), *model.trainable_variables])
    return model


def _randomise(variables: list[tf.Variable]) -> None:
    rng = np.random.default_rng(3)
    for variable in variables:
        variable.assign(rng.normal(0, 0.4, variable.shape))


def numpy_mlp(mlp: MLP, values: np.ndarray) -> np.ndarray:
    layers = mlp.get_weights()  # kernels, then biases
    count = len(layers) // 2
    for kernel, bias in zip(layers[:count], layers[count:], strict=True):
        values = np.maximum(0, values @ kernel + bias)
    return values


def numpy_cross(cross: CrossNetwork, first: np.ndarray) -> np.ndarray:
    by_name = {w.name.rpartition("cross/")[2].partition(":")[0]: w.numpy() for w in cross.weights}
    values = first
    for layer in range(len(cross.weights) - sum("kernel" in name for name in by_name)):
        mixed = values
        for n in range(2):
            mixed = mixed @ by_name.get(f"{layer}/kernel_{n}", np.eye(mixed.shape[-1]))
        values = first * (mixed + by_name[f"{layer}/bias"]) + values
    return values


def vectors_of(model: DLRM, batch: dict[str, tf.Tensor], side: str) -> list[np.ndarray]:
    """Returns z, where the side has numbers, and the vectors of its categories, each (B, D)."""
    if side == "row":
        ids, numbers = model.features.row_ids(batch), model.features.row_numbers(batch)
    else:
        ids = model.features.item_ids(batch["item"])
        numbers = model.features.item_numbers(batch["item"])
    found = [numpy_mlp(model.bottoms[side], numbers.numpy())] if side in model.bottoms else []
    for name in model.features.ids:
        if model.features.ids[name].side != side:
            continue
        table, column = model.tables.rows(f"deep/{name}").numpy(), ids[name].numpy()
        if column.ndim == 2:
            lists = [table[row[row > 0]] for row in column]
            found.append(np.stack([v.mean(axis=0) if len(v) else 0 * table[0] for v in lists]))
        else:
            found.append(table[column])
    return found


def below(left: list[np.ndarray]) -> list[np.ndarray]:
    return [(left[i] * left[j]).sum(axis=1) for i in range(len(left)) for j in range(i)]


def test_dots_are_those_of_tensorflow_recommenders() -> None:
    vectors = tf.random.stateless_normal([5, 4, 3], [1, 2])
    theirs = tfrs.layers.feature_interaction.DotInteraction()(tf.unstack(vectors, axis=1))
    np.testing.assert_allclose(dot_interaction(vectors), theirs, rtol=1e-6)
    assert dot_interaction(vectors[None]).shape == (1, 5, 6)


@pytest.mark.parametrize("rank", [0, 2])
def test_the_cross_network_is_the_papers(rank: int) -> None:
    cross = CrossNetwork(5, 3, rank, seed=1)
    _randomise(cross.trainable_weights)
    first = np.random.default_rng(0).normal(size=(7, 5)).astype(np.float32)
    np.testing.assert_allclose(cross(tf.constant(first)), numpy_cross(cross, first), rtol=1e-4)
    assert sum(int(np.prod(w.shape)) for w in cross.weights) == 3 * (5 + (20 if rank else 25))


def test_logits_are_the_papers_without_items(clicks: PreparedDataset) -> None:
    model = make(clicks, buckets=4)
    batch = training_batch(model, clicks, 16)
    vectors = vectors_of(model, batch, "row")
    assert len(vectors) == 4  # z, colour, shape and the bucket of hours
    inputs = np.concatenate([vectors[0], np.stack(below(vectors), axis=1)], axis=1)
    expected = numpy_mlp(model.top, inputs) @ model.top_output.numpy() + model.output_bias.numpy()
    np.testing.assert_allclose(model(batch), expected, rtol=1e-4, atol=1e-5)


def test_logits_are_the_papers_with_items(pairs: PreparedDataset) -> None:
    model = make(pairs)
    batch = training_batch(model, pairs, 16)
    row, item = (vectors_of(model, batch, side) for side in ("row", "item"))
    assert (len(row), len(item)) == (3, 4)
    between = [(i * r).sum(axis=1) for i in item for r in row]
    dots = np.stack([*below(row), *between, *below(item)], axis=1)
    inputs = np.concatenate([row[0], dots, item[0]], axis=1)
    expected = numpy_mlp(model.top, inputs) @ model.top_output.numpy() + model.output_bias.numpy()
    np.testing.assert_allclose(model(batch), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("rank", [0, 3])
def test_crossed_logits_are_the_papers(pairs: PreparedDataset, rank: int) -> None:
    model = make(pairs, interaction="cross", cross_rank=rank)
    batch = training_batch(model, pairs, 16)
    sides = [vectors_of(model, batch, side) for side in ("row", "item")]
    first = np.concatenate([vector for side in sides for vector in side], axis=1)
    crossed = numpy_mlp(model.top, numpy_cross(model.cross, first))
    expected = crossed @ model.top_output.numpy() + model.output_bias.numpy()
    np.testing.assert_allclose(model(batch), expected, rtol=1e-4, atol=1e-4)


def test_the_bottoms_are_trained(pairs: PreparedDataset) -> None:
    model = make(pairs)
    model.prepare_training(tf.keras.optimizers.Adam(0.01))
    before = [weights for side in ("row", "item") for weights in model.bottoms[side].get_weights()]
    model.train_step(training_batch(model, pairs, 64))
    after = [weights for side in ("row", "item") for weights in model.bottoms[side].get_weights()]
    assert len(before) == 8
    assert all((old != new).any() for old, new in zip(before, after, strict=True))


def test_without_numbers_there_is_no_bottom(pairs: PreparedDataset) -> None:
    model = make(pairs, exclude=("income", "price"))
    assert not model.bottoms
    batch = training_batch(model, pairs, 16)
    row, item = (vectors_of(model, batch, side) for side in ("row", "item"))
    between = [(i * r).sum(axis=1) for i in item for r in row]
    dots = np.stack([*below(row), *between, *below(item)], axis=1)
    expected = numpy_mlp(model.top, dots) @ model.top_output.numpy() + model.output_bias.numpy()
    np.testing.assert_allclose(model(batch), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"top": ()}, "model.top"),
        ({"bottom": (0,)}, "model.bottom"),
        ({"cross_layers": 0}, "cross_"),
    ],
)
def test_settings_out_of_range_are_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        replace(SMALL, **settings)


@pytest.mark.parametrize("shape", [(4, 6, 5), (3, 2, 6, 5), (4, 1, 5), (4, 0, 5)])
def test_the_gradient_of_the_dots_is_that_of_their_sum(shape: tuple[int, ...]) -> None:
    rng = np.random.default_rng(0)
    vectors = tf.constant(rng.normal(size=shape), tf.float32)
    count = shape[-2]
    upstream = tf.constant(rng.normal(size=(*shape[:-2], count * (count - 1) // 2)), tf.float32)
    with tf.GradientTape(persistent=True) as tape:
        tape.watch(vectors)
        fast = tf.reduce_sum(dot_interaction(vectors) * upstream)
        dots = [
            tf.reduce_sum(vectors[..., i, :] * vectors[..., j, :], axis=-1)
            for i in range(count)
            for j in range(i)
        ]
        plain = tf.reduce_sum(tf.stack(dots, axis=-1) * upstream) if dots else tf.zeros([])
    expected = tape.gradient(plain, vectors, unconnected_gradients="zero")
    np.testing.assert_allclose(tape.gradient(fast, vectors), expected, atol=1e-5)
