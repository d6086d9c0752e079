"""The recipes of MovieLens-1M, run as their docstrings say, reach what they state.

    .venv/bin/python -m pytest -m slow tests/recipes

The floors lie below the lowest seed of `configs/ncf.py` by about .005, the standard error of a mean
over 6,040 users.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

FLOORS = {  # HR@10 and NDCG@10 among 99 frozen negatives
    "ml_1m": (0.705, 0.425),
    "ml_1m_pretrained": (0.715, 0.435),
    "ml_1m_mf": (0.720, 0.440),
}
HALVES = {"gmf": "ml_1m_gmf", "mlp": "ml_1m_mlp"}

pytestmark = [pytest.mark.slow, pytest.mark.timeout(3600)]


@pytest.mark.parametrize("recipe", FLOORS)
def test_recipe_reaches_its_floor(
    recipe: str, train: Callable[..., dict[str, Any]], tmp_path: Path
) -> None:
    flags = []
    if recipe == "ml_1m_pretrained":
        for part, half in HALVES.items():
            train("ncf", half, "ncf")
            flags.append(f"--set=model.pretrained_{part}={tmp_path / half}")
    results = train("ncf", recipe, "ncf", *flags)
    assert results["protocol"]["sampled99"]["users"] == 6040
    hr, ndcg = FLOORS[recipe]
    assert results["metrics"]["hr@10/sampled99"] >= hr
    assert results["metrics"]["ndcg@10/sampled99"] >= ndcg
