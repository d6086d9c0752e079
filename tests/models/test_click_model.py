"""What Wide&Deep and DLRM share: labels and choices, candidates, attributes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import tensorflow as tf

from data.dataset import PreparedDataset
from data.errors import InputError
from data.pipeline import make_dataset
from data.schema import FIRST_ID
from models.click_model import ClickModel
from models.dlrm import DLRM
from models.dlrm_config import DLRMConfig
from models.wide_deep import WideDeep
from models.wide_deep_config import WideDeepConfig
from tests.data.spec_tables import prepare_frame
from tests.models.mixed_data import training_batch

Make = Callable[..., ClickModel]

_WIDE_DEEP = WideDeepConfig(
    dim=4, hidden=(8, 4), stddev=0.3, buckets=4, bucket_use="both", table_optimizer="adam"
)
_DLRM = DLRMConfig(dim=4, bottom=(6,), top=(8, 4), stddev=0.3, buckets=4, table_optimizer="adam")


def wide_deep(data: PreparedDataset, **changes: Any) -> ClickModel:
    crosses = ("user*quality", "gender*genres") if "users" in data.schema.views else ()
    config = replace(_WIDE_DEEP, crosses=crosses, cross_buckets=50)
    return _with_noise(WideDeep(replace(config, **changes), data, 1))


def dot(data: PreparedDataset, **changes: Any) -> ClickModel:
    return _with_noise(DLRM(replace(_DLRM, **changes), data, 1))


def cross(data: PreparedDataset, **changes: Any) -> ClickModel:
    return _with_noise(DLRM(replace(_DLRM, interaction="cross", **changes), data, 1))


def _with_noise(model: ClickModel) -> ClickModel:
    """Moves the weights that start at 0, so that a forgotten one shows."""
    rng = np.random.default_rng(0)
    for variable in [*model.tables.variables_trained(), *model.trainable_variables]:
        variable.assign_add(rng.normal(0, 0.1, variable.shape))
    return model


every_model = pytest.mark.parametrize("make", [wide_deep, dot, cross])


def train(model: ClickModel, data: PreparedDataset, steps: int) -> float:
    """Trains on the batches of one epoch in turn. Returns the last loss."""
    model.prepare_training(tf.keras.optimizers.Adam(0.02))
    step = tf.function(model.train_step)
    transforms, reading = model.transforms(data, ("train",), True), model.reading(("train",), 256)
    batches = list(make_dataset(data, reading, transforms, seed=1))
    for number in range(steps):
        losses = step(batches[number % len(batches)])
    return float(losses["loss"])


@every_model
def test_candidates_score_as_rows_do(make: Make, pairs: PreparedDataset) -> None:
    model = make(pairs)
    users, items = tf.constant([2, 9, 1, 5]), tf.constant([[3, 8], [2, 2], [1, 20], [7, 0]])
    scores = model.scores({"user": users}, items)
    by_row = [model({"user": users, "item": items[:, c]}) for c in range(2)]
    np.testing.assert_allclose(scores, tf.stack(by_row, axis=1), atol=1e-5)
    every = model.item_scores({"user": users})
    np.testing.assert_allclose(scores, tf.gather(every, items, batch_dims=1), atol=1e-5)


@every_model
def test_items_are_scored_in_chunks(
    make: Make, pairs: PreparedDataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = make(pairs)
    batch = {"user": tf.constant([2, 9])}
    whole = model.item_scores(batch)
    monkeypatch.setattr("models.click_model._ITEM_CHUNK", 7)
    np.testing.assert_allclose(model.item_scores(batch), whole, atol=1e-5)


@every_model
def test_negatives_score_as_candidates_do(make: Make, implicit: PreparedDataset) -> None:
    model = make(implicit)
    batch = training_batch(model, implicit)
    items = tf.concat([batch["item"][:, None], batch["negative_item"]], axis=1)
    logits = model.scores({"user": batch["user"]}, items)
    labels = np.zeros(logits.shape, np.float32)
    labels[:, 0] = 1
    expected = tf.nn.sigmoid_cross_entropy_with_logits(labels, logits)
    expected = tf.reduce_mean(expected, axis=1) * batch["mask"]
    loss, _ = model.training_loss(batch)
    assert float(loss) == pytest.approx(float(tf.reduce_mean(expected)), rel=1e-5)


@every_model
def test_labels_are_learned(make: Make, clicks: PreparedDataset) -> None:
    model = make(clicks)
    assert train(model, clicks, 150) < 0.2  # the deep parts solve XOR; 0.69 knows nothing
    batch = training_batch(model, clicks)
    assert ((model(batch).numpy() > 0) == (batch["label"].numpy() > 0)).mean() > 0.95


@every_model
def test_the_loss_of_labels(make: Make, pairs: PreparedDataset) -> None:
    model = make(pairs)
    batch = training_batch(model, pairs, 32)
    expected = tf.nn.sigmoid_cross_entropy_with_logits(batch["label"], model(batch))
    loss, _ = model.training_loss(batch)
    assert float(loss) == pytest.approx(float(tf.reduce_mean(expected)), rel=1e-5)
    assert "negative_item" not in batch


@every_model
def test_an_item_attribute_that_decides_reaches_every_candidate(
    make: Make, implicit: PreparedDataset
) -> None:
    changes: dict[str, Any] = {"exclude": ("item", "price", "genres")}
    model = make(implicit, **changes | ({"crosses": ()} if make is wide_deep else {}))
    train(model, implicit, 60)
    raw = implicit.raw_ids("item")
    good = np.array([int(name[1:]) % 2 == 1 for name in raw])
    users = np.flatnonzero(implicit.raw_ids("user") != "u0") + FIRST_ID  # who alone took bad ones
    scores = model.item_scores({"user": tf.constant(users)}).numpy()[:, FIRST_ID:]
    assert (scores[:, good].min(axis=1) > scores[:, ~good].max(axis=1)).all()


@every_model
def test_l2_is_of_the_vectors_looked_up(make: Make, pairs: PreparedDataset) -> None:
    model = make(pairs, l2=0.5, buckets=0)
    batch = training_batch(model, pairs, 32)
    _, losses = model.training_loss(batch)
    tables = {n: model.tables.rows(f"deep/{n}").numpy() for n in model.features.plain}
    ids = model.features.row_ids(batch) | model.features.item_ids(batch["item"])
    genres = [tables["genres"][[g for g in row if g]] for row in ids.pop("genres").numpy()]
    total = sum((tables[name][part] ** 2).sum() for name, part in ids.items() if name in tables)
    total += sum((part.mean(axis=0) ** 2).sum() for part in genres if len(part))
    assert float(losses["l2"]) == pytest.approx(0.5 * total / 32, rel=1e-4)


@every_model
def test_dropout_is_of_training_only(make: Make, pairs: PreparedDataset) -> None:
    plain, dropping = make(pairs), make(pairs, dropout=0.5, input_dropout=0.5)
    batch = training_batch(dropping, pairs, 32)
    np.testing.assert_array_equal(plain(batch), dropping(batch))
    losses = [float(dropping.training_loss(batch)[0]) for _ in range(2)]
    assert losses[0] == losses[1] != float(plain.training_loss(batch)[0])


@every_model
def test_rows_without_items_cannot_be_ranked(make: Make, clicks: PreparedDataset) -> None:
    model = make(clicks)
    assert not model.recommends
    with pytest.raises(InputError, match=r"all that a score needs.*rows with hours"):
        model.item_scores({"user": tf.constant([2])})


@every_model
def test_rows_without_histories_are_scored_and_not_ranked(make: Make, tmp_path: Path) -> None:
    ids = [f"x{n % 5}" for n in range(40)]
    labels = [n % 2 for n in range(40)]
    split = ["train"] * 30 + ["test"] * 10
    frame = pl.DataFrame({"label": labels, "user": ids, "item": ids, "split": split})
    features = {name: {"kind": name} for name in ("label", "user", "item")}
    model = make(prepare_frame(frame, features, tmp_path / "data"))
    assert not model.recommends
    with pytest.raises(InputError, match="no user, item or history"):
        model.item_scores({"user": tf.constant([2])})


def test_unlabelled_rows_need_users_and_items(
    pairs: PreparedDataset, clicks: PreparedDataset
) -> None:
    view = clicks.schema.views["rows"]
    columns = tuple(column for column in view.columns if column.name != "label")
    bare = PreparedDataset(clicks.folder)
    bare.schema = replace(clicks.schema, views={"rows": replace(view, columns=columns)})
    with pytest.raises(InputError, match="must have a label, or users and items"):
        dot(bare)


@pytest.mark.parametrize(
    ("settings", "message"),
    [({"dim": 0}, "model.dim"), ({"buckets": 1}, "model.buckets"), ({"dropout": 1.0}, "dropout")],
)
def test_settings_out_of_range_are_refused(settings: dict[str, Any], message: str) -> None:
    for base in (_WIDE_DEEP, _DLRM):
        with pytest.raises(InputError, match=message):
            replace(base, **settings)
