"""Embedding tables of bfloat16: stochastic rounding, and steps that come out right on average."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

from models.rank_updates import exchange_gradients
from models.row_update import round_stochastically
from models.table_optimizers import TABLE_OPTIMIZERS
from models.table_storage import table_storage
from models.tables import EmbeddingTables, Part, TableConfig

ROWS, WIDTH, RATE = 40, 8, 0.01


def make(optimizer: str, dtype: str) -> EmbeddingTables:
    config = TableConfig("item", ROWS, (Part("vector", WIDTH, 0.5),), optimizer)
    with table_storage(dtype=dtype):
        tables = EmbeddingTables([config], {"item": "item"}, seed=3)
    tables.build_slots()
    return tables


def step(tables: EmbeddingTables, ids: np.ndarray, gradient: np.ndarray) -> None:
    found = tables.find({"item": tf.constant(ids, tf.int32)})
    of_rows = dict.fromkeys(found.rows, tf.constant(gradient, tf.float32))
    of_rows = exchange_gradients(tables, found, tables.gather_rows(found), of_rows)
    tables.apply_gradients(of_rows, tf.constant(RATE))


def test_rounding_goes_to_a_neighbour_and_is_right_on_average() -> None:
    rng = np.random.default_rng(0)
    values = tf.constant(np.repeat(rng.normal(size=(50, 1)), 4_000, axis=1), tf.float32)
    rounded = round_stochastically(values, tf.constant(7, tf.int64))
    rounded = tf.cast(rounded, tf.float32).numpy()
    exact = values.numpy()
    assert (np.abs(rounded - exact) < np.abs(exact) * 2.0**-7).all()
    assert all(len(np.unique(row)) <= 2 for row in rounded)
    # 4,000 draws: 5 standard deviations of their mean.
    bound = 5 * 0.5 * np.abs(exact[:, 0]) * 2.0**-7 / np.sqrt(4_000)
    assert (np.abs(rounded.mean(axis=1) - exact[:, 0]) < bound).all()


def test_values_of_bfloat16_stay_as_they_are() -> None:
    values = tf.constant([[0.0, -0.0, 1.0, -2.5, 3.140625, 1e-30, -1e30]], tf.float32)
    kept = tf.cast(tf.cast(values, tf.bfloat16), tf.float32)
    for seed in range(5):
        rounded = round_stochastically(kept, tf.constant(seed, tf.int64))
        np.testing.assert_array_equal(tf.cast(rounded, tf.float32), kept)


@pytest.mark.parametrize("optimizer", sorted(set(TABLE_OPTIMIZERS) - {"ftrl"}))
def test_steps_follow_those_of_float32(optimizer: str) -> None:
    tables = {dtype: make(optimizer, dtype) for dtype in ("float32", "bfloat16")}
    rng = np.random.default_rng(1)
    ids = np.arange(5, 25)
    starts = {dtype: kind.rows("item").numpy() for dtype, kind in tables.items()}
    for _ in range(100):
        gradient = rng.normal(0.2, 1.0, size=(len(ids), WIDTH))
        for kind in tables.values():
            step(kind, ids, gradient)
    ends = {dtype: kind.rows("item").numpy() for dtype, kind in tables.items()}
    moved = {dtype: ends[dtype] - starts[dtype] for dtype in tables}
    assert not np.delete(moved["bfloat16"], ids, 0).any()
    # A number below 2 is rounded by at most 2^-7, with a deviation of half that; 100 times: 0.039.
    assert np.abs(moved["bfloat16"] - moved["float32"]).max() < 4.5 * 0.039
    # Over 160 numbers, of about 0.4 each.
    assert moved["bfloat16"].mean() == pytest.approx(moved["float32"].mean(), abs=0.003)


@pytest.mark.parametrize("optimizer", ["adagrad", "adam"])
def test_steps_of_a_graph_equal_those_one_by_one(optimizer: str) -> None:
    """Their number differs from step to step, and graphs reorder what does not depend."""
    most = np.arange(2, 42).repeat(5)[:, None]  # ids of a step, so that it has ever more rows
    ids = tf.constant(np.random.default_rng(2).integers(0, ROWS, (200, 60)) % most, tf.int32)

    def take(tables: EmbeddingTables, index: tf.Tensor) -> None:
        found = tables.find({"item": ids[index]})
        value = tf.cast(index % 7 - 3, tf.float32)
        gradients = {k: tf.fill([tf.size(r), WIDTH], value) for k, r in found.rows.items()}
        of_rows = exchange_gradients(tables, found, tables.gather_rows(found), gradients)
        tables.apply_gradients(of_rows, tf.constant(RATE))

    single, together = make(optimizer, "bfloat16"), make(optimizer, "bfloat16")
    for index in range(len(ids)):
        take(single, tf.constant(index))

    @tf.function(autograph=False)
    def take_all() -> None:
        def one(index: tf.Tensor) -> tf.Tensor:
            take(together, index)
            return index + 1

        tf.while_loop(lambda index: index < len(ids), one, [tf.constant(0)])

    take_all()
    np.testing.assert_array_equal(together.rows("item"), single.rows("item"))


def test_steps_far_below_the_precision_are_not_lost() -> None:
    config = TableConfig("item", 1, (Part("vector", 4_000, 0.0),), "sgd")
    with table_storage(dtype="bfloat16"):
        tables = EmbeddingTables([config], {"item": "item"}, seed=3)
    tables.stacks[0].variable.assign(tf.ones([1, 4_000], tf.bfloat16))
    for _ in range(20):  # each a fortieth of the distance to the next number below
        step(tables, np.array([0]), np.full((1, 4_000), 2.0**-8 / 40 / RATE))
    assert float(tf.reduce_mean(tables.rows("item"))) == pytest.approx(1 - 2.0**-9, abs=2.0**-12)


def test_tables_take_half_the_memory_and_those_of_ftrl_stay_float32() -> None:
    assert (
        make("sgd", "bfloat16").stacks[0].row_bytes * 2
        == make("sgd", "float32").stacks[0].row_bytes
    )
    ftrl = make("ftrl", "bfloat16")
    assert ftrl.stacks[0].variable.dtype == tf.float32
    step(ftrl, np.arange(4), np.ones((4, WIDTH)))
