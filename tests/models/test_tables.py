"""Embedding tables: initial values, one fused update, parity with NumPy."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

from data.errors import InputError
from models.rank_updates import exchange_gradients
from models.table_optimizers import TABLE_OPTIMIZERS
from models.tables import Bag, EmbeddingTables, Part, TableConfig

RATE = 0.1


def make(optimizer: str, rows: int = 30, seed: int = 1) -> EmbeddingTables:
    """Returns two tables of one width, so that they share a variable."""
    parts = (Part("left", 3, 0.5), Part("right", 1, 0.0))
    configs = [TableConfig(n, r, parts, optimizer) for n, r in (("user", 10), ("item", rows))]
    tables = EmbeddingTables(configs, {"user": "user", "item": "item"}, seed)
    tables.build_slots()
    return tables


def numpy_step(
    optimizer: str, table: np.ndarray, slots: dict[str, np.ndarray], gradient: np.ndarray, t: int
) -> None:
    """Takes a dense step on the rows whose gradient is not zero."""
    rows = np.abs(gradient).sum(1) > 0
    g = gradient[rows]
    if optimizer == "sgd":
        step = g
    elif optimizer == "adagrad":
        slots["a"][rows] += g**2
        step = g / (np.sqrt(slots["a"][rows]) + 1e-7)
    elif optimizer == "rowwise_adagrad":
        slots["r"][rows] += (g**2).mean(1, keepdims=True)
        step = g / (np.sqrt(slots["r"][rows]) + 1e-7)
    elif optimizer == "ftrl":
        before, w = slots["a"][rows], table[rows]
        slots["a"][rows] += g**2
        root = np.sqrt(slots["a"][rows])
        slots["z"][rows] += g - (root - np.sqrt(before)) / RATE * w
        step = (w + slots["z"][rows] * RATE / root) / RATE
    else:
        slots["m"][rows] += 0.1 * (g - slots["m"][rows])
        slots["v"][rows] += 0.001 * (g**2 - slots["v"][rows])
        correction = np.sqrt(1 - 0.999**t) / (1 - 0.9**t)
        step = correction * slots["m"][rows] / (np.sqrt(slots["v"][rows]) + 1e-7)
    table[rows] -= RATE * step


def step(
    tables: EmbeddingTables, ids: dict[str, np.ndarray], gradients: dict[str, np.ndarray]
) -> None:
    """Takes a step that has the given gradients of the looked-up vectors."""
    found = tables.find({name: tf.constant(part, tf.int32) for name, part in ids.items()})
    rows = tables.gather_rows(found)
    with tf.GradientTape() as tape:
        tape.watch(rows)
        vectors = tables.expand(rows, found.places)
        loss = sum(tf.reduce_sum(vectors[name] * gradients[name]) for name in ids)
    of_rows = {k: tf.convert_to_tensor(v) for k, v in tape.gradient(loss, rows).items()}
    tables.apply_gradients(exchange_gradients(tables, found, rows, of_rows), tf.constant(RATE))


@pytest.mark.parametrize("optimizer", sorted(TABLE_OPTIMIZERS))
def test_fused_update_equals_a_dense_numpy_step(optimizer: str) -> None:
    tables = make(optimizer)
    expected = np.concatenate([tables.rows("user"), tables.rows("item")]).astype(np.float64)
    slots = {
        "a": np.full((40, 4), 0.1),
        "r": np.zeros((40, 1)),
        "z": np.zeros((40, 4)),
        "m": np.zeros((40, 4)),
        "v": np.zeros((40, 4)),
    }
    rng = np.random.default_rng(0)
    for t in range(1, 4):
        # Duplicate ids, within a feature and within a row.
        ids = {"user": rng.integers(0, 10, 5), "item": rng.integers(0, 8, (5, 3))}
        gradients = {
            "user": rng.normal(size=(5, 4)).astype(np.float32),
            "item": rng.normal(size=(5, 3, 4)).astype(np.float32),
        }
        dense = np.zeros((40, 4))
        np.add.at(dense, ids["user"], gradients["user"])
        np.add.at(dense, ids["item"].ravel() + 10, gradients["item"].reshape(-1, 4))
        numpy_step(optimizer, expected, slots, dense, t)
        step(tables, ids, gradients)
    found = np.concatenate([tables.rows("user"), tables.rows("item")])
    np.testing.assert_allclose(found, expected, rtol=2e-5, atol=2e-6)


@pytest.mark.parametrize("optimizer", sorted(TABLE_OPTIMIZERS))
def test_a_step_touches_only_the_batch_rows(optimizer: str) -> None:
    tables = make(optimizer)
    before = tables.rows("item").numpy()
    ids = {"item": np.array([3, 5])}
    step(tables, ids, {"item": np.ones([2, 4], np.float32)})
    changed = np.flatnonzero((tables.rows("item").numpy() != before).any(1))
    np.testing.assert_array_equal(changed, [3, 5])


def test_a_hot_row_gets_the_sum_of_all_its_gradients() -> None:
    tables = make("sgd")
    before = tables.rows("item").numpy()
    rng = np.random.default_rng(0)
    # Three of four places of a large batch ask for one row, as the most popular item's.
    ids = np.where(rng.random(40_000) < 0.75, 3, rng.integers(0, 30, 40_000))
    gradients = (1 + rng.normal(size=(40_000, 4))).astype(np.float32)
    step(tables, {"item": ids}, {"item": gradients})
    sums = np.zeros((30, 4))
    np.add.at(sums, ids, gradients.astype(np.float64))
    assert sums[3].min() > 29_000
    moved = (before - tables.rows("item").numpy()) / RATE
    np.testing.assert_allclose(moved, sums, rtol=1e-4)


def test_gather_keeps_shapes_and_tables_apart() -> None:
    tables = make("sgd")
    ids = {"user": tf.constant([1, 2]), "item": tf.constant([[0, 4, 29], [7, 7, 7]])}
    vectors = tables.gather(ids)
    np.testing.assert_array_equal(vectors["user"], tables.rows("user").numpy()[[1, 2]])
    np.testing.assert_array_equal(vectors["item"], tables.rows("item").numpy()[ids["item"]])
    for padded, rows in ((False, 6), (True, 8)):
        found = tables.find(ids, padded)
        expanded = tables.expand(tables.gather_rows(found), found.places)
        for name, expected in vectors.items():
            np.testing.assert_array_equal(expanded[name], expected)
        assert {k: v.shape for k, v in found.rows.items()} == {"sgd_4_1": (rows,)}
        assert int(found.counts["sgd_4_1"]) == 6


def test_columns_of_a_feature_look_into_their_own_tables_wherever_these_are() -> None:
    part = (Part("vector", 4, 0.1),)
    configs = [
        TableConfig(name, rows, part, optimizer)
        for name, rows, optimizer in (("a", 5, "sgd"), ("b", 7, "adagrad"), ("c", 6, "sgd"))
    ]
    tables = EmbeddingTables(configs, {"both": ("a", "c"), "all": ("a", "b", "c")}, seed=1)
    both, everything = np.array([[1, 2], [4, 5]]), np.array([[[1, 6, 2], [0, 3, 5]]])
    ids = {"both": tf.constant(both), "all": tf.constant(everything)}
    whole = {name: tables.rows(name).numpy() for name in "abc"}
    expected = {
        "both": np.stack([whole["a"][both[:, 0]], whole["c"][both[:, 1]]], axis=1),
        "all": np.stack([whole[n][everything[..., i]] for i, n in enumerate("abc")], axis=-2),
    }
    found = tables.find(ids)
    rows = tables.gather_rows(found)
    with tf.GradientTape() as tape:
        tape.watch(rows)
        expanded = tables.expand(rows, found.places)
        total = tf.reduce_sum(expanded["all"][..., 1, :])
    for name, vectors in expected.items():
        np.testing.assert_array_equal(tables.gather(ids)[name], vectors)
        np.testing.assert_array_equal(expanded[name], vectors)
    gradients = tape.gradient(total, rows, unconnected_gradients="zero")
    assert {key: float(tf.reduce_sum(g)) for key, g in gradients.items()} == {
        tables.stacks[0].key: 0.0,
        tables.stacks[1].key: 8.0,
    }


def test_a_bag_sums_weighted_vectors_and_hands_its_gradient_to_the_rows() -> None:
    tables = make("sgd")
    before = tables.rows("item").numpy()
    ids = np.array([[3, 5, 3], [7, 0, 0], [0, 0, 0]], np.int32)
    weights = np.array([[0.5, 2.0, 1.0], [3.0, 9.0, 9.0], [1.0, 1.0, 1.0]], np.float32)
    bag = Bag(tf.constant(ids), tf.constant(weights))
    expected = np.stack([1.5 * before[3] + 2 * before[5], 3 * before[7], np.zeros(4)])
    np.testing.assert_allclose(tables.gather({"item": bag})["item"], expected, rtol=1e-6)
    plain = {"item": tf.constant([[3, 4]])}
    mean = Bag(tf.constant(ids)).mean().weights
    assert mean is not None
    np.testing.assert_allclose(mean[0], np.full(3, 1 / 3), rtol=1e-6)

    for lookups in ({"bag": bag}, {"bag": bag, **plain}):  # alone, and beside a plain lookup
        both = EmbeddingTables(
            [TableConfig("item", 30, (Part("left", 4, 0.5),), "sgd")],
            {"item": "item", "bag": "item"},
            1,
        )
        before = both.rows("item").numpy()
        found = both.find(lookups)
        rows = both.gather_rows(found)
        sums = both.sum_bags(rows, found)["bag"]
        expected = np.stack([1.5 * before[3] + 2 * before[5], 3 * before[7], np.zeros(4)])
        np.testing.assert_allclose(sums, expected, rtol=1e-6)
        upstream = np.arange(12, dtype=np.float32).reshape(3, 4)
        of_rows = both.add_bag_gradients(found, {}, {"bag": tf.constant(upstream)})
        both.apply_gradients(exchange_gradients(both, found, rows, of_rows), tf.constant(RATE))
        moved = before.copy()
        moved[3] -= RATE * 1.5 * upstream[0]
        moved[5] -= RATE * 2 * upstream[0]
        moved[7] -= RATE * 3 * upstream[1]
        np.testing.assert_allclose(both.rows("item"), moved, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("table_rows", [40, 4_000])
def test_rows_for_xla_follow_the_batch_and_not_the_table(table_rows: int) -> None:
    part = (Part("vector", 4, 0.5),)
    tables = EmbeddingTables(
        [TableConfig("item", table_rows, part, "sgd")], {"item": "item", "bag": "item"}, 1
    )
    bag = Bag(tf.constant([[3, 5, 3], [7, 0, 0]]))
    ids = {"item": tf.constant([[3], [9]]), "bag": bag}
    found = tables.find(ids, padded=True)
    rows = tables.gather_rows(found)
    assert rows[tables.stacks[0].key].shape == (2 + 6, 4)
    expected = tables.gather(ids)
    np.testing.assert_allclose(tables.sum_bags(rows, found)["bag"], expected["bag"], rtol=1e-6)
    np.testing.assert_array_equal(tables.expand(rows, found.places)["item"], expected["item"])


def test_bags_without_any_id_have_sums_of_zero_and_no_gradients() -> None:
    tables = make("adam")
    before = tables.rows("item").numpy()
    found = tables.find({"item": Bag(tf.zeros([3, 2], tf.int32))})
    rows = tables.gather_rows(found)
    np.testing.assert_array_equal(tables.sum_bags(rows, found)["item"], np.zeros((3, 4)))
    of_rows = tables.add_bag_gradients(found, {}, {"item": tf.ones([3, 4])})
    tables.apply_gradients(exchange_gradients(tables, found, rows, of_rows), tf.constant(RATE))
    np.testing.assert_array_equal(tables.rows("item"), before)


@pytest.mark.parametrize("shape", [(0, 3), (0, 0), (2, 0)])
def test_bags_of_no_rows_or_no_places_end_no_process(shape: tuple[int, int]) -> None:
    tables = make("sgd")

    @tf.function(input_signature=[tf.TensorSpec([None, None], tf.int32)])
    def sums(ids: tf.Tensor) -> tf.Tensor:
        return tables.gather({"item": Bag(ids)})["item"]

    np.testing.assert_array_equal(sums(tf.zeros(shape, tf.int32)), np.zeros((shape[0], 4)))


def test_tables_of_unlike_rates_take_steps_of_their_own() -> None:
    parts = (Part("all", 2, 0.1),)
    configs = [TableConfig("slow", 5, parts, "sgd"), TableConfig("fast", 5, parts, "sgd", 3.0)]
    tables = EmbeddingTables(configs, {"slow": "slow", "fast": "fast"}, 0)
    tables.build_slots()
    before = {name: tables.rows(name).numpy() for name in ("slow", "fast")}
    ids = {name: np.array([2]) for name in before}
    step(tables, ids, {name: np.ones([1, 2], np.float32) for name in before})
    moved = {name: (before[name] - tables.rows(name).numpy())[2] for name in before}
    np.testing.assert_allclose(moved["slow"], RATE, rtol=1e-5)
    np.testing.assert_allclose(moved["fast"], 3 * RATE, rtol=1e-5)


def test_ftrl_with_l1_keeps_weak_weights_at_zero() -> None:
    config = TableConfig("wide", 4, (Part("weight", 1, 0.0),), "ftrl", l1=1.0)
    tables = EmbeddingTables([config], {"wide": "wide"}, 0)
    tables.build_slots()
    for _ in range(3):
        step(tables, {"wide": np.array([1, 2])}, {"wide": np.array([[0.1], [-2.0]], np.float32)})
    weights = tables.rows("wide").numpy()[:, 0]
    assert weights[1] == 0.0
    assert weights[2] > 0.1


def test_only_ftrl_is_regularised_by_its_table() -> None:
    with pytest.raises(InputError, match="'ftrl' takes l1 and l2"):
        EmbeddingTables([TableConfig("a", 3, (Part("p", 1, 0.0),), "adam", l1=0.1)], {}, 0)


def test_initial_values_depend_on_seed_table_and_row_only() -> None:
    few, many = make("sgd", rows=30), make("adam", rows=70_000)
    np.testing.assert_array_equal(few.rows("item"), many.rows("item")[:30])
    assert (few.rows("item").numpy()[:10, :3] != few.rows("user").numpy()[:, :3]).all()
    other = make("sgd", seed=2).rows("item").numpy()
    assert (other[:, :3] != few.rows("item").numpy()[:, :3]).all()
    left = many.part("item", "left").numpy()
    assert abs(left.std() - 0.5) < 0.01
    assert not many.part("item", "right").numpy().any()


def test_a_feature_must_point_at_a_declared_table() -> None:
    config = TableConfig("item", 3, (Part("all", 2, 0.1),), "sgd")
    with pytest.raises(InputError, match="declared table"):
        EmbeddingTables([config], {"item": "items"}, 0)


def test_an_unknown_optimizer_names_the_nearest() -> None:
    with pytest.raises(InputError, match="'adagrad'"):
        make("adagrat")
