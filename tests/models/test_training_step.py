"""The training step: batches taken in parts, and the loss scale of float16."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

from configs.overrides import apply_overrides
from configs.registry import build_model, recipe
from data.dataset import PreparedDataset
from data.pipeline import Batch, make_dataset
from models.loss_scale import LossScale
from models.recommender import Recommender
from models.training_step import StepOptions
from trainers.precision import precision

ROWS = 32
# Each part draws its own dropout, so the two would differ.
WITHOUT_DROPOUT = {"bert4rec": ["model.dropout=0"], "ncf": ["model.dropout=0"]}
MODELS = ["bert4rec", "dlrm", "ncf", "vae_cf", "wide_deep"]
every_model = pytest.mark.parametrize("name", MODELS)


def made(name: str, data: PreparedDataset, mixed_precision: str = "off") -> Recommender:
    with precision(mixed_precision):
        config = apply_overrides(recipe(name, "tiny"), WITHOUT_DROPOUT.get(name, []))
        return build_model(config, data)


def batches(model: Recommender, data: PreparedDataset, count: int) -> list[Batch]:
    reading = model.reading(("train",), ROWS)
    transforms = model.transforms(data, ("train",), True)
    return list(make_dataset(data, reading, transforms, seed=1).repeat().take(count))


def state(model: Recommender) -> list[np.ndarray]:
    """Returns all that a step may change: weights, tables, and the optimizers' slots."""
    slots = [slot for stack in model.tables.stacks for slot in stack.slots.values()]
    return [v.numpy() for v in (*model.parameters(), *slots, *model.optimizer.variables)]


@pytest.mark.parametrize(
    ("name", "xla"),
    [(name, False) for name in MODELS] + [("vae_cf", True)],
)
def test_a_batch_taken_in_parts_gives_the_same_step(
    name: str, xla: bool, checkerboard_data: PreparedDataset
) -> None:
    after, losses = {}, {}
    for parts in (1, 4):
        model = made(name, checkerboard_data)
        # SGD: Adam would divide differences in the last digits of tiny gradients by their size.
        model.prepare_training(tf.keras.optimizers.SGD(0.1), StepOptions(xla=xla, parts=parts))
        step = tf.function(model.train_step)
        logged = [step(batch) for batch in batches(model, checkerboard_data, 3)]
        losses[parts] = [float(scalars["loss"]) for scalars in logged]
        after[parts] = model.trainable_variables
    np.testing.assert_allclose(losses[4], losses[1], rtol=1e-5)
    for one, four in zip(after[1], after[4], strict=True):
        np.testing.assert_allclose(four, one, rtol=1e-4, atol=1e-6)


def test_parts_drop_different_values(checkerboard_data: PreparedDataset) -> None:
    config = apply_overrides(recipe("bert4rec", "tiny"), ["model.dropout=0.5"])
    losses = set()
    for parts in (1, 4):
        model = build_model(config, checkerboard_data)
        model.prepare_training(tf.keras.optimizers.SGD(0.1), StepOptions(parts=parts))
        batch = batches(model, checkerboard_data, 1)[0]
        repeated = {
            k: v if k == "dropout_seed" else tf.repeat(v[:8], 4, 0) for k, v in batch.items()
        }
        losses.add(float(model.train_step(repeated)["loss"]))
    assert len(losses) == 2


@every_model
def test_an_overflow_skips_tables_and_dense_weights_alike(
    name: str, checkerboard_data: PreparedDataset
) -> None:
    model = made(name, checkerboard_data, "float16")
    model.prepare_training(tf.keras.optimizers.Adam(0.01))
    assert model.loss_scale is not None
    first, second = batches(model, checkerboard_data, 2)
    step = tf.function(model.train_step)
    step(first)
    before, updates = state(model), int(model.tables.updates)
    model.loss_scale.variables[1].assign(3e38)  # whose product with any gradient is infinite
    scalars = step(second)
    assert float(scalars["loss_scale/overflow"]) == 1.0
    assert all(np.isfinite(float(value)) for value in scalars.values())
    assert float(model.loss_scale.value()) == pytest.approx(1.5e38)
    assert int(model.tables.updates) == updates
    for one, other in zip(before, state(model), strict=True):
        np.testing.assert_array_equal(one, other)


def test_the_scale_of_the_loss_does_not_scale_the_step(
    checkerboard_data: PreparedDataset,
) -> None:
    after = []
    for scale in (1.0, 1024.0):
        model = made("dlrm", checkerboard_data, "float16")
        model.prepare_training(tf.keras.optimizers.SGD(0.1))
        assert model.loss_scale is not None
        model.loss_scale.variables[1].assign(scale)
        scalars = model.train_step(batches(model, checkerboard_data, 1)[0])
        norms = [float(scalars[f"gradient_norm/{part}"]) for part in ("dense", "tables")]
        after.append((norms, [v.numpy() for v in model.trainable_variables]))
    np.testing.assert_allclose(after[0][0], after[1][0], rtol=1e-2)
    for one, other in zip(after[0][1], after[1][1], strict=True):
        np.testing.assert_allclose(one, other, atol=1e-4)


def test_the_scale_halves_on_an_overflow_and_doubles_after_2000_good_steps() -> None:
    scale = LossScale()
    first = float(scale.value())
    scale.update(tf.constant(False))
    assert float(scale.value()) == first / 2
    good = tf.function(lambda: scale.update(tf.constant(True)))
    for _ in range(1_999):
        good()
    assert float(scale.value()) == first / 2
    good()
    assert float(scale.value()) == first
    for _ in range(40):
        scale.update(tf.constant(False))
    assert float(scale.value()) == 1.0
