"""Statistics of numeric features: parity with NumPy, training only, and the way through JSON."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from data.assemble import PrepareOptions
from data.feature import NumericStatistics
from data.interactions import Interactions
from data.schema import Feature, Kind, Schema
from data.splits import SplitOptions
from tests.data.reading import prepared
from tests.data.spec_tables import prepare_frame


def test_known_answers() -> None:
    values = np.random.default_rng(0).permutation(np.arange(65, dtype=np.float32))
    found = NumericStatistics.of(values)
    assert found is not None
    assert (found.mean, found.minimum, found.maximum) == (32, 0, 64)
    assert found.stddev == pytest.approx(np.sqrt((65**2 - 1) / 12))
    assert found.quantiles == tuple(range(1, 64))
    assert NumericStatistics.of(np.full(9, 0.5, np.float32)) == NumericStatistics(
        mean=0.5, stddev=0, minimum=0.5, maximum=0.5, quantiles=(0.5,)
    )
    assert NumericStatistics.of(values[:0]) is None


def test_a_large_mean_does_not_drown_a_small_spread() -> None:
    values = (np.arange(100_000) % 2 + 4_000_000).astype(np.float32)
    found = NumericStatistics.of(values)
    assert found is not None
    assert (found.mean, found.stddev) == (4_000_000.5, 0.5)


def table(held_out: float) -> pl.DataFrame:
    x = np.concatenate([np.arange(100), np.full(60, held_out)]).astype(np.float32)
    split = ["train"] * 100 + ["validation"] * 30 + ["test"] * 30
    label = pl.Series([0.0, 1.0] * 80, dtype=pl.Float32)
    return pl.DataFrame({"label": label, "x": x, "split": split})


def test_held_out_rows_do_not_count(tmp_path: Path) -> None:
    features, wanted = [], {"label": {"kind": "label"}, "x": {"kind": "numeric"}}
    for number, held_out in enumerate((0.0, 1e6)):
        data = prepare_frame(table(held_out), wanted, tmp_path / str(number))
        features.append(data.schema.feature("x"))
    assert features[0] == features[1]
    statistics = features[0].statistics
    assert statistics is not None
    assert (statistics.mean, statistics.maximum) == (49.5, 99)


def test_attributes_count_once_for_each_id_of_the_vocabulary(tmp_path: Path) -> None:
    events = pl.DataFrame(
        {"user": [1, 1, 1, 2, 3], "item": [1, 2, 3, 1, 9], "time": [1, 2, 3, 4, 9]}
    )
    ages = pl.Series([20.0, None, 1000.0], dtype=pl.Float32)
    source = Interactions("ages", events, users=pl.DataFrame({"user": [1, 2, 3], "age": ages}))
    options = PrepareOptions(split=SplitOptions("time", test_from=9))
    feature = prepared(source, tmp_path / "out", options).schema.feature("age")
    # User 3 is in test only; user 2's age is unknown and stored as the default, the mean.
    assert feature.default == 20
    assert feature.statistics == NumericStatistics(20, 0, 20, 20, (20,))


def test_statistics_survive_the_schema_file() -> None:
    spread = NumericStatistics(1.5, 0.25, -1.0, 3.0, (0.0, 1.0, 2.0))
    features = (
        Feature("x", Kind.NUMERIC, "float32", default=0.0, statistics=spread),
        Feature("y", Kind.NUMERIC, "float32"),
    )
    schema = Schema("t", features, {})
    text = json.dumps(schema.to_json())
    assert Schema.from_json(json.loads(text)) == schema
    value = json.loads(text)
    del value["features"][1]["statistics"]  # as other writers may
    assert Schema.from_json(value) == schema
