"""Shapes of synthetic clicks: how skewed they are, the shipped one, and messages on bad ones."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from data.errors import InputError
from data.spec.parsing import load_spec
from data.spec_flags import SHIPPED as SHIPPED_SPECS
from data.synthetic_clicks import ClickModel
from data.synthetic_shape import SHIPPED, load_shape, parse_shape
from tests.data.raw_files import says


@pytest.mark.parametrize("zipf", [0.0, 0.6, 1.0, 1.5])
def test_categories_follow_zipf(zipf: float) -> None:
    entry = {"categorical": {"item": {"cardinality": 1_000, "zipf": zipf}}}
    blocks = ClickModel(parse_shape(entry, "s"), 3).blocks(0, 200_000)
    raw = np.concatenate([block.raw_ids["item"][:, 0] for block in blocks])
    counts = np.sort(np.unique(raw, return_counts=True)[1])[::-1]
    weights = np.arange(1, 1_001) ** -zipf
    for first in (1, 10, 100):
        share = weights[:first].sum() / weights.sum()
        # The most frequent of equally likely ones are so by luck.
        luck = 4 * np.sqrt(share / len(raw)) if zipf else 0.2 * share
        assert counts[:first].sum() / len(raw) == pytest.approx(share, abs=luck + 0.03 * share)


def test_criteo_has_the_cardinalities_of_mlperf_and_the_columns_of_its_spec() -> None:
    shape = load_shape(SHIPPED / "criteo_1tb.yaml")
    assert (len(shape.numeric), len(shape.categorical)) == (13, 26)
    cardinalities = [column.cardinality for column in shape.categorical]
    assert sorted(cardinalities)[-6:] == [3_067_956, *[40_000_000] * 5]
    assert sum(cardinalities) == 204_184_588
    spec = load_spec(SHIPPED_SPECS / "criteo.yaml")
    assert shape.names == list(spec.source.columns)
    scaled = [column.cardinality for column in shape.scaled(0.001).categorical]
    assert scaled[:6] == [40_000, 39, 17, 10, 20, 3]


@pytest.mark.parametrize(
    ("shape", "message"),
    [
        ({"categories": {}}, says("must be known", "'categories'", "Did you mean 'categorical'")),
        ({"categorical": {"c": {"zipf": 1}}}, says("must have a cardinality", "categorical.c")),
        ({"categorical": {"c": {"cardinality": 0}}}, says("from 1 to", "0", "shape.yaml, c")),
        ({"categorical": {"c": {"cardinality": "many"}}}, says("whole number", "cardinality")),
        ({"categorical": {"c": {"cardinality": 5, "hotness": [3, 1]}}}, says("hotness", "[3, 1]")),
        ({"categorical": {"c": {"cardinality": 5, "zipf": 9}}}, says("zipf must be", "9.0")),
        ({"numeric": {"n": {"missing": 1}}}, says("missing must be", "1.0", "shape.yaml, n")),
        ({"numeric": {"n": {"median": 0}}}, says("median must be above 0")),
        ({"numeric": {"n": 3}}, says("must be a block", "3", "numeric.n")),
        ({"numeric": {"n m": {}}}, says("letters, digits and _", "'n m'")),
        ({"numeric": {"a": {}}, "categorical": {"a": {"cardinality": 2}}}, says("of its own")),
        ({"numeric": {"label": {}}}, says("a name of its own", "label")),
        ({"numeric": {}}, says("must have columns")),
        ({"numeric": {"n": {}}, "click_rate": 1}, says("click_rate must be between", "1.0")),
        ([], says("must be a block", "[]")),
    ],
)
def test_bad_shape(shape: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        parse_shape(shape, "shape.yaml")
