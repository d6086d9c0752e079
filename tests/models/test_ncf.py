"""NCF's equations against NumPy, its loss, and starting NeuMF from trained halves."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from data.dataset import PreparedDataset
from data.errors import InputError
from data.sampling import NEGATIVES
from models.dropout import DROPOUT_SEED
from models.ncf import NCF
from models.ncf_config import NCFConfig

VARIANTS = ("neumf", "gmf", "mlp", "mf")
SMALL = NCFConfig(gmf_dim=6, mlp_dim=5, hidden=(8, 4), stddev=0.5)


def make(data: PreparedDataset, variant: str, seed: int = 3, **changes: Any) -> NCF:
    """Returns a model whose biases are not zero, so that a forgotten one shows."""
    model = NCF(replace(SMALL, **{"variant": variant, **changes}), data, seed)
    rng = np.random.default_rng(seed)
    for variable in model.trainable_variables:
        variable.assign(rng.normal(0, 0.5, variable.shape))
    if variant == "mf":
        for table in ("user", "item"):
            start = model.tables.part(table, "bias")
            model.tables.assign_part(table, "bias", rng.normal(size=start.shape).astype("f4"))
    return model


def numpy_logits(model: NCF, user: int, item: int) -> float:
    """The equations of the module's docstring, for one pair."""
    p, q = ({k: v[r].numpy() for k, v in parts(model, t).items()} for t, r in pair(user, item))
    names = {v.name.partition(":")[0]: v.numpy() for v in model.trainable_variables}
    bias = float(names["output/bias"][0])
    if model.config.variant == "mf":
        return bias + float(p["bias"][0] + q["bias"][0] + p["gmf"] @ q["gmf"])
    logit = bias
    if model.config.has_gmf:
        logit += float(names["gmf/output"] @ (p["gmf"] * q["gmf"]))
    if model.config.has_mlp:
        hidden = np.concatenate([p["mlp"], q["mlp"]])
        layers = model.mlp.get_weights()  # kernels, then biases
        count = len(layers) // 2
        for kernel, shift in zip(layers[:count], layers[count:], strict=True):
            hidden = np.maximum(0, hidden @ kernel + shift)
        logit += float(names["mlp/output"] @ hidden)
    return logit


def pair(user: int, item: int) -> tuple[tuple[str, int], tuple[str, int]]:
    return ("user", user), ("item", item)


def parts(model: NCF, table: str) -> dict[str, tf.Tensor]:
    return model.tables.split(table, model.tables.rows(table))


@pytest.mark.parametrize("variant", VARIANTS)
def test_logits_follow_the_equations(variant: str, checkerboard_data: PreparedDataset) -> None:
    model = make(checkerboard_data, variant)
    users, items = np.array([2, 7, 11]), np.array([[3, 5], [2, 9], [4, 4]])
    expected = [
        [numpy_logits(model, u, i) for i in row] for u, row in zip(users, items, strict=True)
    ]
    batch = {"user": tf.constant(users, tf.int32), "item": tf.constant(items, tf.int32)}
    np.testing.assert_allclose(model(batch), expected, rtol=1e-4, atol=1e-5)
    of_all = model.item_scores(batch).numpy()
    found = np.take_along_axis(of_all, items, axis=1)
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)
    assert model.freeze_items()
    np.testing.assert_allclose(model.item_scores(batch), of_all, rtol=1e-6)


@pytest.mark.parametrize("variant", ["neumf", "mf"])
def test_loss_is_logistic_over_positive_and_negatives_plus_l2(
    variant: str, checkerboard_data: PreparedDataset
) -> None:
    model = make(checkerboard_data, variant, gmf_l2=0.1, mlp_l2=0.3, negatives=2)
    users, items = [2, 7, 0], [[3, 5, 8], [2, 9, 6], [0, 0, 0]]
    batch = {
        "user": tf.constant(users),
        "item": tf.constant([row[0] for row in items]),
        NEGATIVES: tf.constant([row[1:] for row in items]),
        "mask": tf.constant([1.0, 1.0, 0.0]),
    }
    logistic, penalty = 0.0, 0.0
    weights = {"gmf": 0.1, "mlp": 0.3, "bias": 0.0}
    for user, row in zip(users[:2], items[:2], strict=True):
        for position, item in enumerate(row):
            sign = 1 if position == 0 else -1
            logistic += np.log1p(np.exp(-sign * numpy_logits(model, user, item))) / 3
            penalty += sum(
                weights[name] * (values[r].numpy() ** 2).sum() / 3
                for table, r in pair(user, item)
                for name, values in parts(model, table).items()
            )
    loss, logged = model.training_loss(batch)
    # Sums over rows are divided by the static batch size, padding included.
    np.testing.assert_allclose(logged["logistic"], logistic / 3, rtol=1e-5)
    np.testing.assert_allclose(loss, logistic / 3 + penalty / 3, rtol=1e-5)


def test_dropout_follows_the_seed_of_the_batch(checkerboard_data: PreparedDataset) -> None:
    model = make(checkerboard_data, "mlp", dropout=0.5)
    batch = {"user": tf.range(2, 6), "item": tf.range(2, 6), "mask": tf.ones(4)}

    def loss(seed: int) -> float:
        return float(model.training_loss({**batch, DROPOUT_SEED: tf.constant([seed, 0])})[0])

    assert loss(1) == loss(1)
    assert loss(1) != loss(2)
    calm = float(model.test_step({**batch, DROPOUT_SEED: tf.constant([1, 0])})["loss"])
    assert calm == float(model.test_step(batch)["loss"])


def test_neumf_starts_as_the_weighted_sum_of_its_halves(checkerboard_data: PreparedDataset) -> None:
    gmf, mlp = (make(checkerboard_data, name, seed) for name, seed in (("gmf", 4), ("mlp", 5)))
    config = replace(SMALL, pretrained_gmf="g", pretrained_mlp="m", pretrained_alpha=0.3)
    neumf = NCF(config, checkerboard_data, 6)
    neumf.adopt("gmf", gmf)
    neumf.adopt("mlp", mlp)
    batch = {"user": tf.range(2, 20)}
    expected = 0.3 * gmf.item_scores(batch) + 0.7 * mlp.item_scores(batch)
    np.testing.assert_allclose(neumf.item_scores(batch), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("name", "variant", "changes"),
    [("gmf", "mlp", {}), ("gmf", "gmf", {"gmf_dim": 7}), ("mlp", "mlp", {"hidden": (8, 5)})],
)
def test_another_variant_or_width_cannot_be_adopted(
    name: str, variant: str, changes: dict[str, Any], checkerboard_data: PreparedDataset
) -> None:
    trained = make(checkerboard_data, variant, **changes)
    with pytest.raises(InputError, match=f"must be a run of variant '{name}' with the same widths"):
        make(checkerboard_data, "neumf").adopt(name, trained)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"negatives": 0}, "model.negatives must be at least 1"),
        ({"hidden": ()}, "model.hidden must have a layer"),
        ({"hidden": (8, 0)}, "model.hidden must hold widths of at least 1"),
        ({"stddev": -0.1}, "model.stddev must not be below 0"),
        ({"gmf_l2": float("inf")}, "model.gmf_l2 must not be below 0, and finite"),
        ({"dropout": 1.0}, r"model.dropout must lie in \[0, 1\)"),
        ({"pretrained_alpha": 1.5}, r"model.pretrained_alpha must lie in \[0, 1\]"),
        ({"pretrained_gmf": "run"}, "go together"),
        (
            {"variant": "mf", "pretrained_gmf": "a", "pretrained_mlp": "b"},
            "Only variant 'neumf' starts from trained runs",
        ),
    ],
)
def test_settings_are_checked_against_each_other(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        replace(SMALL, **changes)
