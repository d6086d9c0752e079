"""VAE-CF's encoder, loss and annealing against NumPy, and its input pipeline."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from configs.base import RunConfig, TrainerConfig
from data import item_sets
from data.dataset import PreparedDataset
from data.errors import InputError
from data.item_sets import ITEM_SET, KEPT_ITEMS, DropItems, add_item_set
from data.pipeline import make_dataset
from data.schema import FIRST_ID, OOV_ID, PAD_ID
from models.communicator import Communicator
from models.vae_cf import NOISE, VAECF
from models.vae_cf_config import VAECFConfig
from models.vae_losses import kl_to_standard_normal, multinomial_loss
from trainers.loop import Trainer

SMALL = VAECFConfig(hidden=(7, 6), latent=5, dropout=0.0, stddev=0.5)
SETS = np.array([[2, 5, 9, 0, 0], [3, 0, 40, 41, 7], [0, 0, 0, 0, 0]], np.int32)


def make(data: PreparedDataset, **changes: Any) -> VAECF:
    """Returns a model none of whose dense weights is zero, so that a forgotten one shows."""
    model = VAECF(replace(SMALL, **changes), data, 3)
    rng = np.random.default_rng(3)
    for variable in model.trainable_variables:
        variable.assign(rng.normal(0, 0.5, variable.shape))
    return model


def train_batch(**more: Any) -> dict[str, tf.Tensor]:
    return {ITEM_SET: tf.constant(SETS), "mask": tf.constant([1.0, 1.0, 0.0]), **more}


def multi_hot(sets: np.ndarray, cardinality: int) -> np.ndarray:
    """Returns users by real items, with ones where a set has the item."""
    dense = np.zeros((len(sets), cardinality))
    for row, items in zip(dense, sets, strict=True):
        row[items[items >= FIRST_ID]] = 1.0
    return dense[:, FIRST_ID:]


def layers(values: np.ndarray, mlp: Any) -> np.ndarray:
    for n, (kernel, bias) in enumerate(zip(mlp.kernels, mlp.biases, strict=True)):
        values = (np.tanh(values) if n else values) @ kernel.numpy() + bias.numpy()
    return values


def numpy_encoded(model: VAECF, dense: np.ndarray) -> np.ndarray:
    """The encoder as the paper has it: users by items times a kernel, x scaled to length 1."""
    scaled = dense / np.maximum(np.linalg.norm(dense, axis=1, keepdims=True), 1e-12)
    first = scaled @ model.tables.rows("item").numpy()[FIRST_ID:] + model.input_bias.numpy()
    return layers(np.tanh(first), model.encoder) if model.config.hidden else first


def log_softmax(logits: np.ndarray) -> np.ndarray:
    return logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))


@pytest.mark.parametrize("hidden", [(7, 6), (7,), ()])
@pytest.mark.parametrize("variant", ["vae", "dae"])
def test_scores_equal_a_dense_autoencoder(
    variant: str, hidden: tuple[int, ...], checkerboard_data: PreparedDataset
) -> None:
    model = make(checkerboard_data, variant=variant, hidden=hidden)
    dense = multi_hot(SETS, checkerboard_data.schema.cardinality("item"))
    encoded = numpy_encoded(model, dense)
    latent = encoded[:, :5] if variant == "vae" else np.tanh(encoded)
    scores = model.item_scores({"seen_item": tf.constant(SETS)}).numpy()
    np.testing.assert_allclose(scores[:, FIRST_ID:], layers(latent, model.decoder), atol=1e-5)


def test_the_vae_loss_is_the_annealed_lower_bound(checkerboard_data: PreparedDataset) -> None:
    model = make(checkerboard_data, beta_cap=0.3, anneal_steps=0, l2=0.01)
    noise = np.random.default_rng(0).normal(size=(3, 5)).astype("f4")
    loss, logged = model.training_loss(train_batch(**{NOISE: tf.constant(noise)}))
    dense = multi_hot(SETS, checkerboard_data.schema.cardinality("item"))
    mean, log_variance = np.split(numpy_encoded(model, dense), 2, axis=1)
    logits = layers(mean + np.exp(log_variance / 2) * noise, model.decoder)
    # Sums over real rows are divided by the static batch size, padding included.
    multinomial = -(dense * log_softmax(logits))[:2].sum() / 3
    kl = 0.5 * (np.exp(log_variance) + mean**2 - 1 - log_variance)[:2].sum() / 3
    kernels = [*model.encoder.kernels, *model.decoder.kernels]
    l2 = 0.01 * sum((kernel.numpy() ** 2).sum() for kernel in kernels)
    np.testing.assert_allclose(logged["multinomial"], multinomial, rtol=1e-5)
    np.testing.assert_allclose(logged["kl"], kl, rtol=1e-5)
    np.testing.assert_allclose(logged["l2"], l2, rtol=1e-5)
    np.testing.assert_allclose(loss, multinomial + 0.3 * kl + l2, rtol=1e-5)


def test_the_dae_has_neither_noise_nor_kl(checkerboard_data: PreparedDataset) -> None:
    model = make(checkerboard_data, variant="dae")
    batch = next(iter(make_training_data(model, checkerboard_data)))
    assert NOISE not in batch
    loss, logged = model.training_loss(train_batch())
    dense = multi_hot(SETS, checkerboard_data.schema.cardinality("item"))
    logits = layers(np.tanh(numpy_encoded(model, dense)), model.decoder)
    np.testing.assert_allclose(loss, -(dense * log_softmax(logits))[:2].sum() / 3, rtol=1e-5)
    assert set(logged) == {"loss", "multinomial"}


def make_training_data(model: VAECF, data: PreparedDataset, epoch: int = 0) -> tf.data.Dataset:
    transforms = model.transforms(data, ("train",), True)
    return make_dataset(data, model.reading(("train",), 16), transforms, seed=1, epoch=epoch)


def test_multinomial_loss_of_known_probabilities() -> None:
    logits = tf.math.log([[0.5, 0.25, 0.125, 0.125]])
    loss = multinomial_loss(logits + 7.0, tf.constant([[1.0, 1.0, 0.0, 0.0]]))
    np.testing.assert_allclose(loss, [3 * np.log(2)], rtol=1e-5)


def test_kl_agrees_with_sampling() -> None:
    mean, log_variance = np.array([[0.7, -1.2]]), np.array([[0.3, -0.8]])
    z = mean + np.exp(log_variance / 2) * np.random.default_rng(0).normal(size=(400_000, 2))
    log_ratio = 0.5 * (z**2 - (z - mean) ** 2 / np.exp(log_variance) - log_variance)
    found = kl_to_standard_normal(tf.constant(mean), tf.constant(log_variance))
    np.testing.assert_allclose(found, [log_ratio.sum(axis=1).mean()], rtol=0.01)


@pytest.mark.parametrize(("step", "beta"), [(0, 0.0), (10, 0.1), (20, 0.2), (21, 0.2), (900, 0.2)])
def test_beta_rises_by_step_up_to_its_cap(
    step: int, beta: float, checkerboard_data: PreparedDataset
) -> None:
    model = make(checkerboard_data, beta_cap=0.2, anneal_steps=100)
    model.tables.updates.assign(step)
    assert float(model.beta()) == pytest.approx(beta)


def test_beta_goes_on_after_a_restart(checkerboard_data: PreparedDataset, tmp_path: Path) -> None:
    def train(epochs: int, folder: Path) -> VAECF:
        model = VAECF(replace(SMALL, anneal_steps=100, dropout=0.5), checkerboard_data, 1)
        trainer = TrainerConfig(fit_on=("train", "validation"), epochs=epochs, batch_size=16)
        config = RunConfig("vae_cf", "tiny", model.config, trainer)
        Trainer(config, checkerboard_data, model, folder, Communicator()).train()
        return model

    train(1, tmp_path / "stopped")
    resumed, whole = train(2, tmp_path / "stopped"), train(2, tmp_path / "whole")
    steps = 2 * 5  # 80 rows of two splits, 16 a batch
    assert float(resumed.beta()) == pytest.approx(steps / 100)
    for found, expected in zip(resumed.parameters(), whole.parameters(), strict=True):
        np.testing.assert_array_equal(found, expected)


def test_padding_and_unknown_items_change_no_score(checkerboard_data: PreparedDataset) -> None:
    model = make(checkerboard_data)
    plain = model.item_scores({"seen_item": tf.constant([[5, 9, 3]])})
    disguised = model.item_scores(
        {"seen_item": tf.constant([[5, OOV_ID, PAD_ID, 9, 3, OOV_ID, PAD_ID]])}
    )
    np.testing.assert_allclose(disguised, plain, rtol=1e-5, atol=1e-6)
    nobody = model.item_scores({"seen_item": tf.constant([[PAD_ID, PAD_ID], [OOV_ID, PAD_ID]])})
    assert np.isfinite(nobody).all()
    np.testing.assert_array_equal(nobody[0], nobody[1])
    assert not np.allclose(plain[0], nobody[0])


def test_scores_do_not_look_at_the_targets(checkerboard_data: PreparedDataset) -> None:
    model = make(checkerboard_data)
    batch = {"seen_item": tf.constant([[5, 9]])}
    with_targets = model.item_scores({**batch, "item": tf.constant([[7, 8]])})
    np.testing.assert_array_equal(with_targets, model.item_scores(batch))


def test_a_row_of_validation_is_trained_on_with_its_past(
    checkerboard_data: PreparedDataset,
) -> None:
    model = make(checkerboard_data)
    splits = ("train", "validation")
    transforms = model.transforms(checkerboard_data, splits, True)
    reading = model.reading(splits, 80)
    batch = next(iter(make_dataset(checkerboard_data, reading, transforms)))
    sizes = np.sort(np.sum(batch[ITEM_SET].numpy() > 0, axis=1))
    assert sizes.tolist() == [18] * 40 + [19] * 40


def test_max_history_keeps_the_newest(checkerboard_data: PreparedDataset) -> None:
    model = make(checkerboard_data, max_history=3)
    kept = {}
    for batch in make_training_data(model, checkerboard_data):
        rows = zip(batch["user"].numpy(), batch[ITEM_SET].numpy(), strict=True)
        kept.update({int(user): items.tolist() for user, items in rows if user})
    histories = checkerboard_data.read("histories", "train")
    newest = histories["item"].values.reshape(40, 18)[:, -3:]  # type: ignore[union-attr]
    users: np.ndarray = histories["user"]  # type: ignore[assignment]
    assert kept == {int(u): items.tolist() for u, items in zip(users, newest, strict=True)}


def test_dropout_keeps_the_expected_input(checkerboard_data: PreparedDataset) -> None:
    model = make(checkerboard_data, variant="dae", hidden=(), dropout=0.4)
    items = tf.constant(np.tile(SETS[:2], (4000, 1)))
    batch = DropItems(0.4)({ITEM_SET: items}, tf.constant([1, 2]))
    kept = batch[KEPT_ITEMS].numpy()
    assert set(np.unique(kept)) == set(np.unique(SETS))
    assert np.mean(kept[items.numpy() > 0] > 0) == pytest.approx(0.6, abs=0.01)
    seen = []
    model.encode = lambda sums, count: seen.append(sums) or tf.zeros([8000, 5])  # type: ignore
    model.training_loss({**batch, "mask": tf.ones(8000)})
    table = model.tables.rows("item").numpy()
    expected = multi_hot(SETS[:2], len(table)) @ table[FIRST_ID:]
    np.testing.assert_allclose(
        seen[0].numpy().reshape(4000, 2, 5).mean(axis=0), expected, atol=0.06
    )


def test_dropout_and_noise_are_drawn_anew_and_by_seed(checkerboard_data: PreparedDataset) -> None:
    model = make(checkerboard_data, dropout=0.5)
    first, again, other = (
        next(iter(make_training_data(model, checkerboard_data, epoch))) for epoch in (0, 0, 1)
    )
    for name in (KEPT_ITEMS, NOISE):
        np.testing.assert_array_equal(first[name], again[name])
    assert not np.allclose(first[NOISE], other[NOISE])
    assert abs(float(tf.math.reduce_std(first[NOISE])) - 1) < 0.2


def test_an_item_counts_as_often_as_a_list_holds_it() -> None:
    lists = np.array([[2, 5, 0, 2, 0], [0, 0, 0, 0, 0], [6, 6, 1, 4, 3]], np.int32)
    expected = np.zeros((3, 5))
    for row, items in zip(expected, lists, strict=True):
        np.add.at(row, items[items >= FIRST_ID] - FIRST_ID, 1)
    np.testing.assert_array_equal(item_sets.multi_hot(tf.constant(lists), 7), expected)


def test_unknown_items_leave_the_set() -> None:
    batch = {"item": tf.constant([[4, OOV_ID, 0]]), "seen_item": tf.constant([[OOV_ID, 9]])}
    np.testing.assert_array_equal(
        add_item_set(batch, tf.constant([0, 0]))[ITEM_SET], [[4, 0, 0, 0, 9]]
    )


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"latent": 0}, "model.latent must be at least 1"),
        ({"hidden": (8, 0)}, "model.hidden must hold widths of at least 1"),
        ({"dropout": 1.0}, r"model.dropout must lie in \[0, 1\)"),
        ({"beta_cap": -0.1}, "model.beta_cap must not be below 0, and finite"),
        ({"l2": float("inf")}, "model.l2 must not be below 0, and finite"),
        ({"anneal_steps": -1}, "model.anneal_steps must not be below 0"),
    ],
)
def test_settings_are_checked(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        replace(SMALL, **changes)
