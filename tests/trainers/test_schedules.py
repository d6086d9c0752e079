"""Learning rates at chosen steps, worked out by hand."""

from __future__ import annotations

import math

import pytest
import tensorflow as tf

from configs.base import TrainerConfig
from trainers.schedules import make_dense_optimizer, make_table_schedule

STEPS = 110


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, {0: 1.0, 50: 1.0, 109: 1.0}),
        ({"warmup_steps": 9}, {0: 0.1, 4: 0.5, 9: 1.0, 109: 1.0}),
        ({"schedule": "linear", "warmup_steps": 10}, {10: 1.0, 60: 0.5, 85: 0.25, 110: 0.0}),
        (
            {"schedule": "linear", "warmup_steps": 10, "final_share": 0.2},
            {10: 1.0, 60: 0.6, 110: 0.2, 500: 0.2},
        ),
        (
            {"schedule": "polynomial", "schedule_power": 2.0, "warmup_steps": 10},
            {60: 0.25, 85: 0.0625, 110: 0.0},
        ),
        (
            {"schedule": "cosine", "warmup_steps": 10},
            {10: 1.0, 35: (1 + math.sqrt(0.5)) / 2, 60: 0.5, 110: 0.0},
        ),
    ],
)
def test_known_answers(changes: dict[str, object], expected: dict[int, float]) -> None:
    config = TrainerConfig(learning_rate=1.0, **changes)  # type: ignore[arg-type]
    schedule = make_table_schedule(config, STEPS)
    for step, rate in expected.items():
        assert float(schedule(tf.constant(step))) == pytest.approx(rate, abs=1e-6), step


def test_tables_have_a_rate_of_their_own_where_it_is_set() -> None:
    shared = TrainerConfig(learning_rate=0.5)
    apart = TrainerConfig(learning_rate=0.5, table_learning_rate=0.1)
    assert float(make_table_schedule(shared, STEPS)(0)) == pytest.approx(0.5)
    assert float(make_table_schedule(apart, STEPS)(0)) == pytest.approx(0.1)
    assert float(make_dense_optimizer(apart, STEPS).learning_rate) == pytest.approx(0.5)
