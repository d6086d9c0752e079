"""The recipes of the other models, run as their docstrings say, reach what they state.

    .venv/bin/python -m pytest -m slow tests/recipes

Floors are the targets that the docstrings name, or a little below what they state where that misses
them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

pytestmark = [pytest.mark.slow, pytest.mark.timeout(4 * 3600)]

# Model, recipe, data of `conftest.PREPARATIONS`, and the floors of metrics on test.
RECIPES = [
    ("wide_deep", "adult", "adult", {"accuracy": 0.856, "auc": 0.913}),
    ("wide_deep", "ml_1m", "clicks", {"auc": 0.848}),
    ("dlrm", "ml_1m", "clicks", {"auc": 0.848}),
    ("vae_cf", "ml_1m", "held_out_users", {"ndcg@100/foldin": 0.41, "recall@20/foldin": 0.36}),
    ("vae_cf", "gowalla", "gowalla", {"recall@20/full": 0.1641, "ndcg@20/full": 0.1335}),
    ("bert4rec", "ml_1m", "ranking", {"hr@10/full": 0.2821, "ndcg@10/full": 0.1516}),
    ("bert4rec", "ml_1m_fast", "ranking", {"ndcg@10/full": 0.165}),
]


@pytest.mark.parametrize(("model", "recipe", "data", "floors"), RECIPES)
def test_recipe_reaches_its_floor(
    model: str,
    recipe: str,
    data: str,
    floors: dict[str, float],
    train: Callable[..., dict[str, Any]],
) -> None:
    metrics = train(model, recipe, data)["metrics"]
    for name, floor in floors.items():
        assert metrics[name] >= floor, name
