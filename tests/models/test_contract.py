"""What every registered model must do; a new model is covered by registering it."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from configs.base import RunConfig
from configs.overrides import apply_overrides
from configs.registry import MODELS, build_model, recipe
from data.dataset import PreparedDataset
from data.pipeline import make_dataset
from data.schema import FIRST_ID
from models.closed_form import ClosedForm
from models.communicator import Communicator
from models.dropout import DROPOUT_SEED
from models.recommender import Recommender
from models.saving import load_weights, save_weights
from models.training_step import StepOptions
from trainers.loop import Trainer
from trainers.precision import precision

STEPS = 300  # enough for every tiny recipe to learn the checkerboard, most in fewer
BETWEEN_LOOKS = 50  # steps


def is_closed_form(name: str) -> bool:
    model = MODELS[name].model
    return isinstance(model, type) and issubclass(model, ClosedForm)


every_model = pytest.mark.parametrize("name", sorted(MODELS))
# Popularity gives everybody the same list, so no user's own items can come first.
every_personal_model = pytest.mark.parametrize("name", sorted(set(MODELS) - {"popularity"}))
every_trained_model = pytest.mark.parametrize(
    "name", sorted(name for name in MODELS if not is_closed_form(name))
)


def tiny(name: str, data: PreparedDataset) -> tuple[RunConfig, Recommender]:
    config = recipe(name, "tiny")
    return config, build_model(config, data)


def first_batch(model: Recommender, data: PreparedDataset, size: int = 64) -> dict[str, tf.Tensor]:
    reading = model.reading(("train",), size)
    transforms = model.transforms(data, ("train",), True)
    return next(iter(make_dataset(data, reading, transforms, seed=1)))


def held_out_batch(data: PreparedDataset, rows: int) -> dict[str, tf.Tensor]:
    """Returns what a model may score by: users, and their items in training."""
    histories = data.read("histories", "validation")
    seen = histories["seen_item"]
    ragged = tf.RaggedTensor.from_row_lengths(seen.values, seen.lengths)  # type: ignore[union-attr]
    user = tf.constant(histories["user"][:rows])  # type: ignore[index]
    return {"user": user, "seen_item": ragged.to_tensor()[:rows]}


def train(model: Recommender, data: PreparedDataset) -> Iterator[int]:
    """Trains on the data, and yields the steps taken every now and then, and at the end."""
    if isinstance(model, ClosedForm):
        model.solve(data, ("train",))
        yield 0
        return
    model.prepare_training(tf.keras.optimizers.Adam(0.005))
    step = tf.function(model.train_step)
    # A history is a row: of few users, a large batch would be an epoch, with its start-up cost.
    reading = model.reading(("train",), 128 if model.view == "rows" else 16)
    transforms = model.transforms(data, ("train",), True)
    taken = 0
    for epoch in itertools.count():
        for batch in make_dataset(data, reading, transforms, seed=1, epoch=epoch):
            step(batch)
            taken += 1
            if taken % BETWEEN_LOOKS == 0:
                yield taken
            if taken == STEPS:
                return


@every_trained_model
def test_loss_starts_near_that_of_knowing_nothing(
    name: str, checkerboard_data: PreparedDataset
) -> None:
    _, model = tiny(name, checkerboard_data)
    batch = first_batch(model, checkerboard_data)
    loss, _ = model.training_loss(batch)
    assert float(loss) == pytest.approx(model.uninformed_loss(batch), rel=0.03)


@every_trained_model
def test_overfits_one_batch(name: str, checkerboard_data: PreparedDataset) -> None:
    _, model = tiny(name, checkerboard_data)
    batch = first_batch(model, checkerboard_data)
    model.prepare_training(tf.keras.optimizers.Adam(0.02))
    step = tf.function(model.train_step)
    losses = [float(step(batch)["loss"]) for _ in range(150)]
    least = model.smallest_loss(batch)
    assert min(losses) >= least
    assert losses[-1] - least < 0.1 * (losses[0] - least)


@every_personal_model
def test_the_withheld_checkerboard_item_is_first(
    name: str, checkerboard_data: PreparedDataset
) -> None:
    _, model = tiny(name, checkerboard_data)
    users = checkerboard_data.split("histories", "validation").rows
    assert any(
        users_with_their_colour_first(model, checkerboard_data) == users
        for _ in train(model, checkerboard_data)
    )


def users_with_their_colour_first(model: Recommender, data: PreparedDataset) -> int:
    """Returns how many users' two best new items are the two of their colour."""
    held_out = data.read("histories", "validation")["user"]
    batch = held_out_batch(data, len(held_out))
    scores = model.item_scores(batch).numpy()
    raw = data.raw_ids("item")
    user_raw = data.raw_ids("user")[held_out - FIRST_ID]  # type: ignore[operator]
    hits = 0
    for row, seen in enumerate(batch["seen_item"].numpy()):
        scores[row, seen] = scores[row, :FIRST_ID] = -np.inf
        best = np.argsort(-scores[row])[:2] - FIRST_ID
        colour = int(user_raw[row][1:]) % 2
        hits += all(int(raw[b][1:]) % 2 == colour for b in best)
    return hits


@every_trained_model
def test_padding_changes_nothing(name: str, checkerboard_data: PreparedDataset) -> None:
    _, model = tiny(name, checkerboard_data)
    batch = first_batch(model, checkerboard_data, 32)
    mask = tf.concat([tf.ones([16]), tf.zeros([16])], 0)
    half = {**batch, "mask": mask}
    rows = {k for k, v in batch.items() if v.shape.rank and v.shape[0] == 32}
    other = {
        k: tf.concat([v[:16], tf.ones_like(v[16:])], 0) if k in rows else v for k, v in half.items()
    }
    other["mask"] = mask
    losses = [float(model.training_loss(b)[0]) for b in (half, other)]
    assert losses[0] == pytest.approx(losses[1], rel=1e-6)


@every_model
def test_scores_agree_with_item_scores(name: str, checkerboard_data: PreparedDataset) -> None:
    _, model = tiny(name, checkerboard_data)
    if isinstance(model, ClosedForm):
        model.solve(checkerboard_data, ("train",))
    batch = held_out_batch(checkerboard_data, 4)
    items = tf.constant([[2, 7, 30], [4, 4, 5], [10, 11, 12], [3, 2, 41]])
    every = model.item_scores(batch)
    assert every.shape == (4, checkerboard_data.schema.cardinality("item"))
    assert every.dtype == tf.float32
    found = model.scores(batch, items)
    np.testing.assert_allclose(found, tf.gather(every, items, batch_dims=1), atol=1e-5)


@pytest.mark.parametrize("mixed_precision", ["bfloat16", "float16"])
@every_trained_model
def test_mixed_precision_trains_with_float32_logits(
    name: str, mixed_precision: str, checkerboard_data: PreparedDataset
) -> None:
    with precision(mixed_precision):
        _, model = tiny(name, checkerboard_data)
    batch = first_batch(model, checkerboard_data)
    model.prepare_training(
        tf.keras.optimizers.Adam(0.02), StepOptions(xla=mixed_precision == "bfloat16")
    )
    step = tf.function(model.train_step)
    losses = [float(step(batch)["loss"]) for _ in range(60)]
    least = model.smallest_loss(batch)
    assert model.item_scores(held_out_batch(checkerboard_data, 1)).dtype == tf.float32
    assert np.isfinite(losses).all()
    assert losses[-1] - least < 0.5 * (losses[0] - least)


@every_trained_model
def test_xla_takes_the_same_step(name: str, checkerboard_data: PreparedDataset) -> None:
    losses = {}
    for xla in (False, True):
        _, model = tiny(name, checkerboard_data)
        batch = first_batch(model, checkerboard_data)
        if name == "bert4rec":  # computes padding for XLA, so that other values would be dropped
            del batch[DROPOUT_SEED]
        model.prepare_training(tf.keras.optimizers.Adam(0.02), StepOptions(xla=xla))
        losses[xla] = [float(model.train_step(batch)["loss"]) for _ in range(10)]
    np.testing.assert_allclose(losses[True], losses[False], rtol=1e-3)


@every_model
def test_save_and_load_give_equal_scores(
    name: str, checkerboard_data: PreparedDataset, tmp_path: Path
) -> None:
    config, model = tiny(name, checkerboard_data)
    if isinstance(model, ClosedForm):
        model.solve(checkerboard_data, ("train",))
    else:
        model.prepare_training(tf.keras.optimizers.Adam(0.02))
        model.train_step(first_batch(model, checkerboard_data))
    save_weights(model, tmp_path)
    other = build_model(config, checkerboard_data)
    batch = held_out_batch(checkerboard_data, 2)
    assert (other.item_scores(batch).numpy() != model.item_scores(batch).numpy()).any()
    load_weights(other, tmp_path)
    np.testing.assert_array_equal(other.item_scores(batch), model.item_scores(batch))


@every_trained_model
def test_keras_fit_takes_the_same_steps_as_the_trainer(
    name: str, checkerboard_data: PreparedDataset, tmp_path: Path
) -> None:
    config, by_trainer = tiny(name, checkerboard_data)
    config = apply_overrides(config, ["trainer.epochs=3", "trainer.patience=0"])
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
    batch = held_out_batch(checkerboard_data, 2)
    np.testing.assert_allclose(by_fit.item_scores(batch), by_trainer.item_scores(batch), atol=1e-5)
