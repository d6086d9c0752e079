"""Scaled gradients that cross the wire in float16: what overflows there, and what is not lost."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import pytest
import tensorflow as tf

from models.communicator import Communicator
from models.loss_scale import LossScale
from models.placement import Placement
from models.table_storage import table_storage
from models.tables import EmbeddingTables, Part, TableConfig
from models.training_step import Gradients, LookedUp, StepOptions, TrainingStep
from tests.trainers.threaded_horovod import on_horovod

RANKS, ROW = 4, 3
FIRST_SCALE = float(LossScale().value())


class SmallModel:
    """What a training step asks of a model: a sharded table and a dense weight, all zeros."""

    compute_dtype = "float16"
    loss_scale: LossScale

    def __init__(self, communicator: Communicator) -> None:
        table = TableConfig("item", 8, (Part("vector", 2, 0.0),), "sgd")
        with table_storage(communicator=communicator, placement=Placement(("sharded",))):
            self.tables = EmbeddingTables([table], {"item": "item"}, seed=0)
        self.tables.build_slots()
        self.trainable_variables = [tf.Variable(tf.zeros([3]))]
        self.optimizer = tf.keras.optimizers.SGD(1.0)
        self.optimizer.build(self.trainable_variables)


class After(NamedTuple):
    """What a rank has after a step."""

    scalars: dict[str, float]
    scale: float
    dense: np.ndarray
    row: np.ndarray


def step(communicator: Communicator, of_dense: float, of_row: float) -> After:
    """Takes a step with scaled gradients, those of one row of the table."""
    model: Any = SmallModel(communicator)
    taken = TrainingStep(model, StepOptions())
    found = model.tables.find({"item": tf.constant([ROW])})
    vectors = model.tables.gather_rows(found)
    of_rows = {key: tf.fill(values.shape, of_row) for key, values in vectors.items()}
    gradients = Gradients({}, of_rows, {}, [tf.fill([3], of_dense)])
    scalars = taken.update(LookedUp(found, vectors, {}), gradients)
    return After(
        {name: float(value) for name, value in scalars.items()},
        float(model.loss_scale.value()),
        model.trainable_variables[0].numpy(),
        model.tables.rows("item").numpy()[ROW],
    )


@pytest.mark.parametrize(
    ("of_dense", "of_row"),
    [
        (3e4, 1.0),  # of all ranks: their sum is above the largest float16, 65,504
        (1.0, 7e4),  # of one rank: above it on the wire, and infinite to the row's owner alone
    ],
)
def test_an_overflow_on_the_wire_is_skipped_by_all_ranks(
    of_dense: float, of_row: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    def work(communicator: Communicator) -> After:
        return step(communicator, of_dense, of_row if communicator.rank == 1 else 1.0)

    for after in on_horovod(RANKS, "float16", work, monkeypatch):
        assert after.scalars["loss_scale/overflow"] == 1.0
        assert np.isfinite(list(after.scalars.values())).all()
        assert after.scale == FIRST_SCALE / 2
        assert not after.dense.any()
        assert not after.row.any()


def test_gradients_below_float16_cross_it_scaled(monkeypatch: pytest.MonkeyPatch) -> None:
    gradient = 1e-8  # to float16, zero

    def work(communicator: Communicator) -> After:
        return step(communicator, gradient * FIRST_SCALE, gradient * FIRST_SCALE)

    for after in on_horovod(RANKS, "float16", work, monkeypatch):
        assert after.scalars["loss_scale/overflow"] == 0.0
        assert after.scale == FIRST_SCALE
        np.testing.assert_allclose(after.dense, -gradient, rtol=1e-3)
        np.testing.assert_allclose(after.row, -gradient, rtol=1e-3)
        norm = gradient * np.sqrt(2)
        assert after.scalars["gradient_norm/tables"] == pytest.approx(norm, rel=1e-3)
