"""Wide&Deep's equations against NumPy, sparse wide weights, and what only a cross can learn."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from data.dataset import PreparedDataset
from data.errors import InputError
from data.pipeline import make_dataset
from data.reading import Reading
from models.wide_deep import WideDeep
from models.wide_deep_config import WideDeepConfig
from tests.models.mixed_data import training_batch

SMALL = WideDeepConfig(
    dim=3,
    hidden=(8, 4),
    stddev=0.5,
    buckets=4,
    crosses=("gender*income_bucket", "user*quality", "gender*genres"),
    cross_buckets=40,
)


def make(data: PreparedDataset, **changes: Any) -> WideDeep:
    """Returns a model whose every weight is random, so that a forgotten one shows."""
    model = WideDeep(replace(SMALL, **changes), data, 3)
    rng = np.random.default_rng(3)
    for variable in [*model.tables.variables_trained(), *model.trainable_variables]:
        variable.assign(rng.normal(0, 0.5, variable.shape))
    return model


def ids_of(model: WideDeep, batch: dict[str, tf.Tensor]) -> dict[str, np.ndarray]:
    """Returns the ids of rows by name: (B,), or (B, L)."""
    row, item = model.features.row_ids(batch), model.features.item_ids(batch["item"][:, None])
    pair = model.features.pair_ids(row, item)
    columns = {name: part[:, 0] for name, part in (item | pair).items()}
    return {name: part.numpy() for name, part in (row | columns).items()}


def numpy_wide(model: WideDeep, ids: dict[str, np.ndarray], row: int) -> float:
    total = 0.0
    for name, column in ids.items():
        weights = model.tables.rows(f"wide/{name}").numpy()[:, 0]
        is_bag = model.features.ids[name].is_bag
        total += sum(weights[i] for i in column[row] if i) if is_bag else weights[column[row]]
    return total


def numpy_deep(
    model: WideDeep, ids: dict[str, np.ndarray], numbers: dict[str, np.ndarray], row: int
) -> float:
    parts = []
    for side in ("row", "item"):
        for name in model.features.plain:
            if model.features.ids[name].side == side:
                vectors = model.tables.rows(f"deep/{name}").numpy()
                found = ids[name][row]
                if model.features.ids[name].is_bag:
                    found = vectors[found[found > 0]]
                    parts.append(found.mean(axis=0) if len(found) else np.zeros(SMALL.dim))
                else:
                    parts.append(vectors[found])
        parts.append(numbers[side][row])
    hidden = np.concatenate(parts)
    layers = model.mlp.get_weights()  # kernels, then biases
    for kernel, bias in zip(layers[:2], layers[2:], strict=True):
        hidden = np.maximum(0, hidden @ kernel + bias)
    return float(model.deep_output.numpy() @ hidden)


@pytest.mark.parametrize("variant", ["wide", "deep", "wide_deep"])
def test_logits_are_the_papers(pairs: PreparedDataset, variant: str) -> None:
    model = make(pairs, variant=variant, crosses=() if variant == "deep" else SMALL.crosses)
    batch = training_batch(model, pairs, 16)
    ids = ids_of(model, batch)
    numbers = {
        "row": model.features.row_numbers(batch).numpy(),
        "item": model.features.item_numbers(batch["item"]).numpy(),
    }
    expected = np.full(16, model.output_bias.numpy()[0])
    if variant != "deep":
        expected += [numpy_wide(model, ids, row) for row in range(16)]
    if variant != "wide":
        expected += [numpy_deep(model, ids, numbers, row) for row in range(16)]
    np.testing.assert_allclose(model(batch), expected, rtol=1e-4, atol=1e-5)


def test_buckets_go_where_they_are_told(pairs: PreparedDataset) -> None:
    buckets = {"income_bucket", "price_bucket"}
    for use in ("wide", "deep", "both"):
        model = make(pairs, bucket_use=use)
        for part in ("wide", "deep"):
            keys = [k for s in ("row", "item") for k in model.sides.keys(f"{part}/", s)]
            found = {key.partition("/")[2] for key in keys} & buckets
            assert found == (buckets if use in (part, "both") else set())


def accuracy(model: WideDeep, data: PreparedDataset, steps: int) -> float:
    """Returns the accuracy on test after training on all rows at once."""
    model.prepare_training(tf.keras.optimizers.Adam(0.05))
    step = tf.function(model.train_step)
    batch = training_batch(model, data, data.split("rows", "train").rows)
    for _ in range(steps):
        step(batch)
    test = next(iter(make_dataset(data, Reading("rows", ("test",), 400))))
    return float(((model(test).numpy() > 0) == (test["label"].numpy() > 0)).mean())


WIDE = WideDeepConfig(variant="wide", buckets=8, wide_rate_scale=10.0, cross_buckets=500)


def test_only_the_right_cross_lets_the_wide_part_solve_xor(clicks: PreparedDataset) -> None:
    assert accuracy(WideDeep(WIDE, clicks, 1), clicks, 100) < 0.6
    crossed = replace(WIDE, crosses=("colour*shape",))
    assert accuracy(WideDeep(crossed, clicks, 1), clicks, 100) == 1.0
    wrong = replace(WIDE, crosses=("colour*hours_bucket",))
    assert accuracy(WideDeep(wrong, clicks, 1), clicks, 100) < 0.6


def test_l1_leaves_useless_weights_at_exactly_zero(clicks: PreparedDataset) -> None:
    crossed = replace(WIDE, crosses=("colour*shape",))
    sparse = WideDeep(replace(crossed, wide_l1=0.5), clicks, 1)
    assert accuracy(sparse, clicks, 100) == 1.0
    cells = sparse.tables.rows("wide/colour*shape").numpy()
    assert np.count_nonzero(cells) == 16  # 4 colours by 4 shapes; all other rows were never seen
    assert not sparse.tables.rows("wide/hours_bucket").numpy().any()
    free = WideDeep(crossed, clicks, 1)
    accuracy(free, clicks, 1)
    assert free.tables.rows("wide/hours_bucket").numpy().all()


def test_both_parts_learn_in_one_step(pairs: PreparedDataset) -> None:
    model = make(pairs)
    batch = training_batch(model, pairs)
    before = {k: model.tables.rows(k).numpy() for k in ("wide/user*quality", "deep/genres")}
    dense = [variable.numpy() for variable in model.trainable_variables]
    model.prepare_training(tf.keras.optimizers.Adam(0.01))
    model.train_step(batch)
    for key, values in before.items():
        assert (model.tables.rows(key).numpy() != values).any(), key
    for variable, values in zip(model.trainable_variables, dense, strict=True):
        assert (variable.numpy() != values).any(), variable.name


def test_settings_that_do_not_fit_are_refused(clicks: PreparedDataset) -> None:
    with pytest.raises(InputError, match="belong to the wide part"):
        WideDeepConfig(variant="deep", crosses=("a*b",))
    with pytest.raises(InputError, match=r"model\.hidden"):
        WideDeepConfig(hidden=())
    with pytest.raises(InputError, match="Only the table optimizer 'ftrl'"):
        WideDeep(WideDeepConfig(wide_optimizer="adagrad", wide_l1=0.1), clicks, 1)
