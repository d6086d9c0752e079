"""What every registered model must do; a new model is covered by registering it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from configs.base import RunConfig
from configs.registry import MODELS, build_model, recipe
from data.dataset import PreparedDataset
from data.pipeline import make_dataset
from data.schema import FIRST_ID
from models.communicator import Communicator
from models.recommender import Recommender
from models.saving import load_weights, save_weights
from trainers.loop import Trainer
from trainers.precision import precision

pytestmark = pytest.mark.parametrize("name", sorted(MODELS))


def tiny(name: str, data: PreparedDataset) -> tuple[RunConfig, Recommender]:
    config = recipe(name, "tiny")
    return config, build_model(config, data.schema)


def first_batch(model: Recommender, data: PreparedDataset, size: int = 64) -> dict[str, tf.Tensor]:
    reading = model.reading(("train",), size)
    transforms = model.transforms(data, ("train",), True)
    return next(iter(make_dataset(data, reading, transforms, seed=1)))


def test_loss_starts_at_ln_2(name: str, checkerboard_data: PreparedDataset) -> None:
    _, model = tiny(name, checkerboard_data)
    loss, _ = model.training_loss(first_batch(model, checkerboard_data))
    assert float(loss) == pytest.approx(np.log(2), abs=0.02)


def test_overfits_one_batch(name: str, checkerboard_data: PreparedDataset) -> None:
    _, model = tiny(name, checkerboard_data)
    batch = first_batch(model, checkerboard_data)
    model.prepare_training(tf.keras.optimizers.Adam(0.02))
    step = tf.function(model.train_step)
    losses = [float(step(batch)["loss"]) for _ in range(150)]
    assert losses[-1] < 0.1 * losses[0]


def test_the_withheld_checkerboard_item_is_first(
    name: str, checkerboard_data: PreparedDataset, tmp_path: Path
) -> None:
    data = checkerboard_data
    _, model = tiny(name, data)
    model.prepare_training(tf.keras.optimizers.Adam(0.005))
    step = tf.function(model.train_step)
    transforms = model.transforms(data, ("train",), True)
    for epoch in range(20):
        for batch in make_dataset(
            data, model.reading(("train",), 128), transforms, seed=1, epoch=epoch
        ):
            step(batch)
    held_out = data.read("histories", "validation")
    scores = model.item_scores({"user": tf.constant(held_out["user"])}).numpy()
    raw = data.raw_ids("item")
    user_raw = data.raw_ids("user")[held_out["user"] - FIRST_ID]  # type: ignore[operator]
    seen = data.positives(["train"])
    hits = 0
    for row, user in enumerate(held_out["user"]):  # type: ignore[arg-type]
        own = seen.items[seen.starts[user] : seen.starts[user + 1]]
        scores[row, own] = scores[row, :FIRST_ID] = -np.inf
        best = np.argsort(-scores[row])[:2] - FIRST_ID
        colour = int(user_raw[row][1:]) % 2
        hits += all(int(raw[b][1:]) % 2 == colour for b in best)
    assert hits == len(scores)


def test_padding_changes_nothing(name: str, checkerboard_data: PreparedDataset) -> None:
    _, model = tiny(name, checkerboard_data)
    batch = first_batch(model, checkerboard_data, 64)
    half = {**batch, "mask": tf.concat([tf.ones([32]), tf.zeros([32])], 0)}
    other = {k: tf.concat([v[:32], tf.ones_like(v[32:])], 0) for k, v in half.items()}
    other["mask"] = half["mask"]
    assert float(model.training_loss(half)[0]) == float(model.training_loss(other)[0])


def test_scores_agree_with_item_scores(name: str, checkerboard_data: PreparedDataset) -> None:
    _, model = tiny(name, checkerboard_data)
    users = tf.constant([2, 3, 9, 5])
    items = tf.constant([[2, 7, 30], [4, 4, 5], [10, 11, 12], [3, 2, 41]])
    every = model.item_scores({"user": users})
    assert every.shape == (4, checkerboard_data.schema.cardinality("item"))
    found = model.scores({"user": users}, items)
    np.testing.assert_allclose(found, tf.gather(every, items, batch_dims=1), atol=1e-6)


def test_bfloat16_trains_with_float32_logits(name: str, checkerboard_data: PreparedDataset) -> None:
    with precision("bfloat16"):
        _, model = tiny(name, checkerboard_data)
    batch = first_batch(model, checkerboard_data)
    model.prepare_training(tf.keras.optimizers.Adam(0.02), xla=True)
    losses = [float(model.train_step(batch)["loss"]) for _ in range(60)]
    assert model.item_scores({"user": tf.constant([2])}).dtype == tf.float32
    assert np.isfinite(losses).all()
    assert losses[-1] < 0.5 * losses[0]


def test_xla_takes_the_same_step(name: str, checkerboard_data: PreparedDataset) -> None:
    losses = {}
    for xla in (False, True):
        _, model = tiny(name, checkerboard_data)
        batch = first_batch(model, checkerboard_data)
        model.prepare_training(tf.keras.optimizers.Adam(0.02), xla=xla)
        losses[xla] = [float(model.train_step(batch)["loss"]) for _ in range(10)]
    np.testing.assert_allclose(losses[True], losses[False], rtol=1e-4)


def test_save_and_load_give_equal_scores(
    name: str, checkerboard_data: PreparedDataset, tmp_path: Path
) -> None:
    config, model = tiny(name, checkerboard_data)
    model.prepare_training(tf.keras.optimizers.Adam(0.02))
    model.train_step(first_batch(model, checkerboard_data))
    save_weights(model, tmp_path)
    other = build_model(config, checkerboard_data.schema)
    users = {"user": tf.constant([2, 3])}
    assert (other.item_scores(users).numpy() != model.item_scores(users).numpy()).any()
    load_weights(other, tmp_path)
    np.testing.assert_array_equal(other.item_scores(users), model.item_scores(users))


def test_keras_fit_takes_the_same_steps_as_the_trainer(
    name: str, checkerboard_data: PreparedDataset, tmp_path: Path
) -> None:
    config, by_trainer = tiny(name, checkerboard_data)
    _, by_fit = tiny(name, checkerboard_data)
    rate = config.trainer.learning_rate
    trainer = Trainer(config, checkerboard_data, by_trainer, tmp_path, Communicator())
    trainer.train()
    by_fit.compile(tf.keras.optimizers.Adam(rate))
    transforms = by_fit.transforms(checkerboard_data, ("train",), True)
    for epoch in range(config.trainer.epochs):
        reading = by_fit.reading(("train",), config.trainer.batch_size)
        seed = config.trainer.seed
        dataset = make_dataset(checkerboard_data, reading, transforms, seed=seed, epoch=epoch)
        by_fit.fit(dataset, epochs=1, verbose=0)
    users = {"user": tf.constant([2, 3])}
    np.testing.assert_allclose(by_fit.item_scores(users), by_trainer.item_scores(users), atol=1e-5)
