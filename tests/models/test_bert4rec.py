"""BERT4Rec and SASRec: training against scoring, tied weights, negatives."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from configs.bert4rec import tiny
from data.dataset import PreparedDataset
from data.errors import InputError
from data.pipeline import MASK, Batch, make_dataset
from data.sampling import NEGATIVES
from data.schema import FIRST_ID
from data.sequences import SEQUENCE, TARGET_WEIGHTS, TARGETS
from models.bert4rec import BERT4Rec
from models.bert4rec_config import BERT4RecConfig

either_variant = pytest.mark.parametrize("variant", ["bert", "sasrec"])


def make_model(data: PreparedDataset, **settings: Any) -> BERT4Rec:
    plain = {"dropout": 0.0, "max_length": 20, "crop": "last"}
    return BERT4Rec(replace(tiny().model, **{**plain, **settings}), data, seed=2)


def training_batch(model: BERT4Rec, data: PreparedDataset, size: int = 40) -> Batch:
    transforms = model.transforms(data, ("train",), True)
    return next(iter(make_dataset(data, model.reading(("train",), size), transforms, seed=1)))


def batch_of(model: BERT4Rec, data: PreparedDataset, items: list[int]) -> Batch:
    """Returns the training batch of one user with the given items."""
    batch = {
        "user": tf.constant([1]),
        "item": tf.constant([items]),
        "seen_item": tf.zeros([1, 1], tf.int32),
        MASK: tf.ones([1]),
    }
    for index, transform in enumerate(model.transforms(data, ("train",), True)):
        batch = transform(batch, tf.constant([4, index]))
    return batch


def stir(model: BERT4Rec) -> None:
    """Makes the weights so large that every part of the model shows in its scores."""
    for index, weight in enumerate(model.parameters()):
        weight.assign_add(tf.random.stateless_normal(weight.shape, [9, index], 0, 0.3))


def cross_entropy(scores: np.ndarray, item: int) -> float:
    real = scores[FIRST_ID:].astype(np.float64)
    return float(np.log(np.exp(real).sum()) - scores[item])


def scored(model: BERT4Rec, history: list[int]) -> np.ndarray:
    seen = tf.constant([history], tf.int32, [1, len(history)])
    return model.item_scores({"seen_item": seen}).numpy()[0]


@pytest.mark.parametrize("length", [2, 7, 20, 25])
def test_hiding_the_last_item_is_the_task_that_scoring_sets(
    length: int, checkerboard_data: PreparedDataset
) -> None:
    model = make_model(checkerboard_data, last_item_share=1.0)
    stir(model)
    items = np.random.default_rng(1).integers(2, 42, length).tolist()
    loss = model.training_loss(batch_of(model, checkerboard_data, items))[1]["per_target"]
    expected = cross_entropy(scored(model, items[:-1]), items[-1])
    assert float(loss) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("norm_first", [False, True])
def test_the_causal_loss_is_that_of_scoring_every_prefix(
    norm_first: bool, checkerboard_data: PreparedDataset
) -> None:
    """Of a full sequence, whose prefixes stand where they are trained, and of a short one."""
    model = make_model(checkerboard_data, variant="sasrec", norm_first=norm_first, max_length=4)
    stir(model)
    model.slots.assign(tf.tile(model.slots[:1], [4, 1]))  # as a prefix ends in another slot
    for items in ([7, 30, 11, 2, 9], [12, 5]):
        loss = model.training_loss(batch_of(model, checkerboard_data, items))[1]["per_target"]
        expected = [cross_entropy(scored(model, items[:n]), items[n]) for n in range(1, len(items))]
        assert float(loss) == pytest.approx(np.mean(expected), rel=1e-5)


@either_variant
def test_order_counts_and_padding_does_not(
    variant: str, checkerboard_data: PreparedDataset
) -> None:
    model = make_model(checkerboard_data, variant=variant)
    stir(model)
    scores = scored(model, [5, 9, 4])
    np.testing.assert_array_equal(scored(model, [5, 9, 4, 0, 0, 0, 0]), scores)
    np.testing.assert_array_equal(scored(model, [5, 1, 9, 4]), scores)  # 1: unknown to training
    assert np.abs(scored(model, [9, 5, 4]) - scores).max() > 0.01


@either_variant
def test_a_user_without_items_gets_numbers(
    variant: str, checkerboard_data: PreparedDataset
) -> None:
    model = make_model(checkerboard_data, variant=variant)
    assert np.isfinite(scored(model, [0, 0])).all()
    assert np.isfinite(scored(model, [])).all()


@either_variant
def test_scores_histories_of_any_number_and_length(
    variant: str, checkerboard_data: PreparedDataset
) -> None:
    """As the serving graph does, whose shapes are open."""
    model = make_model(checkerboard_data, variant=variant)
    score = tf.function(
        lambda seen: model.item_scores({"seen_item": seen}),
        input_signature=[tf.TensorSpec([None, None], tf.int32)],
    )
    for seen in ([[5, 9, 4], [7, 0, 0]], [[2] * 30]):
        expected = model.item_scores({"seen_item": tf.constant(seen)})
        np.testing.assert_allclose(score(tf.constant(seen)), expected, atol=1e-5)


@pytest.mark.parametrize(("variant", "output_bias"), [("bert", True), ("sasrec", False)])
def test_a_step_moves_the_tied_table_like_dense_gradients(
    variant: str, output_bias: bool, checkerboard_data: PreparedDataset
) -> None:
    data = checkerboard_data
    model = make_model(data, variant=variant, table_optimizer="sgd", output_bias=output_bias)
    batch = training_batch(model, data)
    table = model.tables.rows("item")
    with tf.GradientTape() as tape:
        tape.watch(table)
        vectors = {
            "input": tf.gather(table[:, : model.config.dim], batch[SEQUENCE]),
            "output": table[FIRST_ID : model.mask_id],
        }
        loss = model.loss_from_vectors(batch, vectors, training=True)["loss"]
    gradient = tf.convert_to_tensor(tape.gradient(loss, table))
    model.prepare_training(tf.keras.optimizers.SGD(0.5))
    model.train_step(batch)
    expected = table - 0.5 * gradient
    np.testing.assert_allclose(model.tables.rows("item"), expected, atol=1e-6)
    assert np.abs(gradient).max() > 1e-3


@pytest.mark.parametrize(
    ("variant", "loss", "crop"),
    [
        ("bert", "full", "last"),
        ("bert", "sampled", "random"),
        ("bert", "gbce", "last"),
        ("sasrec", "full", "random"),
        ("sasrec", "sampled", "last"),
        ("sasrec", "gbce", "random"),
    ],
)
def test_every_loss_starts_uninformed_and_falls(
    variant: str, loss: str, crop: str, checkerboard_data: PreparedDataset
) -> None:
    data = checkerboard_data
    model = make_model(
        data, variant=variant, crop=crop, loss=loss, max_length=10, max_targets=5, negatives=8
    )
    batch = training_batch(model, data)
    model.prepare_training(tf.keras.optimizers.Adam(0.01))
    step = tf.function(model.train_step)
    losses = [float(step(batch)["loss"]) for _ in range(40)]
    assert losses[0] == pytest.approx(model.uninformed_loss(batch), rel=0.03)
    assert losses[-1] < 0.8 * losses[0]


def test_targets_weigh_the_same_in_every_row(checkerboard_data: PreparedDataset) -> None:
    model = make_model(checkerboard_data)
    batch = training_batch(model, checkerboard_data)
    loss, losses = model.training_loss(batch)
    share = float(tf.reduce_mean(batch[TARGET_WEIGHTS]))
    assert 0 < share < 1
    assert float(loss) == pytest.approx(float(losses["per_target"]) * share, rel=1e-5)


def test_negatives_are_no_items_of_the_user(checkerboard_data: PreparedDataset) -> None:
    model = make_model(checkerboard_data, loss="sampled", negatives=15)
    batch = training_batch(model, checkerboard_data)
    items, negatives = batch["item"].numpy(), batch[NEGATIVES].numpy()
    clash = negatives[:, :, None] == items[:, None, :]
    assert not clash.any()
    allowed = make_model(checkerboard_data, loss="sampled", negatives=15, allow_positives=True)
    batch = training_batch(allowed, checkerboard_data)
    assert (batch[NEGATIVES].numpy()[:, :, None] == batch[TARGETS].numpy()[:, None, :]).any()


def test_the_validation_item_follows_the_training_items(
    checkerboard_data: PreparedDataset,
) -> None:
    data = checkerboard_data
    model = make_model(data, variant="sasrec", max_length=30)
    transforms = model.transforms(data, ("validation",), True)
    reading = model.reading(("validation",), 40)
    batch = next(iter(make_dataset(data, reading, transforms, seed=1)))
    validation = data.read("histories", "validation")
    last_seen = batch["seen_item"].numpy()[:, 17]  # 18 items are in training
    np.testing.assert_array_equal(batch[SEQUENCE].numpy()[:, -1], last_seen)
    np.testing.assert_array_equal(batch[TARGETS].numpy()[:, -1], batch["item"].numpy()[:, 0])
    assert sorted(batch["item"].numpy()[:, 0]) == sorted(validation["item"].values)  # type: ignore


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"dim": 65}, "model.dim must be a multiple of model.heads. Received: 65 and 2"),
        ({"mask_share": 0.0}, "model.mask_share must lie in (0, 1]. Received: 0.0"),
        ({"gbce_t": 1.5}, "model.gbce_t must lie in [0, 1]. Received: 1.5"),
        ({"max_targets": 201}, "model.max_targets must not exceed model.max_length"),
        ({"max_length": 1}, "model.max_length must be at least 2. Received: 1"),
        ({"dropout": 1.0}, "model.dropout must lie in [0, 1). Received: 1.0"),
    ],
)
def test_settings_are_checked(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError) as error:
        BERT4RecConfig(**settings)
    assert message in str(error.value)
