"""What training tells of its steps, against plain NumPy and known delays."""

from __future__ import annotations

import time
from collections.abc import Iterator

import numpy as np
import pytest
import tensorflow as tf

from data.dataset import PreparedDataset
from data.pipeline import Batch
from models.tables import EmbeddingTables, Part, TableConfig
from trainers.board import table_norms
from trainers.board.calls import of_call
from trainers.board.table_norms import MOST_ROWS, TableNorms
from trainers.board.tags import of_evaluation, of_step
from trainers.steps import Call
from trainers.unknown_ids import UnknownIds
from trainers.waiting import wait_for_next

STEPS, DELAY = 10, 0.03


def delayed(seconds: float) -> tf.data.Dataset:
    """Returns batches each of which takes some time."""

    def batches() -> Iterator[dict[str, float]]:
        for _ in range(STEPS):
            time.sleep(seconds)
            yield {"x": 1.0}

    return tf.data.Dataset.from_generator(batches, output_signature={"x": tf.TensorSpec([])})


@pytest.mark.parametrize("seconds", [0.0, DELAY])
def test_waiting_is_what_the_input_takes(seconds: float) -> None:
    received = tf.Variable(0, dtype=tf.int64)

    @tf.function
    def take(batches: Iterator[Batch]) -> tuple[tf.Tensor, tf.Tensor]:
        batch, waited = wait_for_next(batches, [], received)
        total = batch["x"]
        for _ in tf.range(1, STEPS):
            batch, more = wait_for_next(batches, [total], received)
            total, waited = total + batch["x"], waited + more
        return total, waited

    batches = iter(delayed(seconds))
    began = time.perf_counter()
    total, waited = take(batches)
    assert float(total) == int(received) == STEPS
    assert seconds * (STEPS - 1) <= float(waited) <= time.perf_counter() - began


def test_unknown_ids_are_counted_without_padding(checkerboard_data: PreparedDataset) -> None:
    ids = UnknownIds(checkerboard_data.schema, "rows")
    batch = {
        "user": tf.constant([1, 3, 1, 0]),
        "item": tf.constant([2, 3, 2, 0]),
        "time": tf.constant([1, 1, 1, 0], tf.int64),
        "mask": tf.constant([1.0, 1.0, 1.0, 0.0]),
    }
    counts = ids.counts(batch).numpy().tolist()
    assert dict(zip(ids.columns, counts, strict=True)) == {"user": [2, 3], "item": [0, 3]}
    assert ids.counts({"mask": batch["mask"]}).shape == (0, 2)


def test_scalars_of_a_call() -> None:
    call = Call(
        count=4,
        seconds=3.0,
        rows=600.0,
        means={"loss": 0.5, "kl": 0.1, "gradient_norm/dense": 2.0},
        first_bad={},
        is_traced=True,
        waited=1.0,
        outside=1.0,
        id_counts={"user": (2, 3), "item": (0, 5)},
    )
    assert of_call(call, 5) == {
        "1_quality/loss": 0.5,
        "4_loss_parts/kl": 0.1,
        "2_training/gradient_norm/dense": 2.0,
        "2_training/examples_per_second": 1_000.0,
        "2_training/time_share/waiting_for_input": 0.25,
        "2_training/time_share/outside_steps": 0.25,
        "2_training/unknown_ids": 0.25,
        "6_unknown_ids/user": pytest.approx(2 / 3),
        "6_unknown_ids/item": 0.0,
    }
    assert of_step("loss_scale/scale") == "2_training/loss_scale/scale"


def test_scalars_of_an_evaluation() -> None:
    metrics = {"ndcg@10/sampled99": 0.3, "ndcg@10/full": 0.1, "hr@10/full": 0.2}
    found = of_evaluation(metrics, "ndcg@10/full", 0.4)
    assert found == {
        "1_quality/validation/ndcg@10/sampled99": 0.3,
        "1_quality/validation/ndcg@10/full": 0.1,
        "1_quality/validation_best/ndcg@10/full": 0.4,
        **{f"3_validation/{name}": value for name, value in metrics.items()},
    }
    assert "1_quality/validation_best/auc" not in of_evaluation({"auc": 0.5}, "auc", float("-inf"))


def test_norms_are_of_evenly_spread_rows_and_seldom(monkeypatch: pytest.MonkeyPatch) -> None:
    configs = [
        TableConfig("small", 50, (Part("vector", 4, 0.5),), "adam"),
        TableConfig("large", 3 * MOST_ROWS, (Part("vector", 4, 2.0),), "adam"),
        TableConfig("narrow", 7, (Part("weight", 1, 1.0),), "adam"),
    ]
    tables = EmbeddingTables(configs, {config.name: config.name for config in configs}, 3)
    monkeypatch.setattr(table_norms, "_SHARE_OF_TIME", 1e-9)
    norms = TableNorms(tables)
    found = norms.scalars()
    squares = {}
    for config in configs:
        rows = tables.rows(config.name).numpy()
        some = np.linspace(0, len(rows) - 1, min(len(rows), MOST_ROWS), dtype=np.int64)
        squares[config.name] = np.square(rows[some]).sum(axis=1).mean()
        assert found[f"5_table_norm/{config.name}"] == pytest.approx(
            np.sqrt(squares[config.name]), rel=1e-5
        )
    assert found["2_training/table_norm"] == pytest.approx(
        np.sqrt(np.mean(list(squares.values()))), rel=1e-5
    )
    assert norms.scalars() == {}
    assert TableNorms(EmbeddingTables([], {}, 3)).scalars() == {}
