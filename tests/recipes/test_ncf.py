"""The recipes of MovieLens-1M, run as their docstrings say, reach what they state.

    .venv/bin/python -m pytest -m slow tests/recipes

The floors lie below the lowest seed of `configs/ncf.py` by about .005, the standard error of a mean
over 6,040 users.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[2]
FLOORS = {  # HR@10 and NDCG@10 among 99 frozen negatives
    "ml_1m": (0.705, 0.425),
    "ml_1m_pretrained": (0.715, 0.435),
    "ml_1m_mf": (0.720, 0.440),
}
HALVES = {"gmf": "ml_1m_gmf", "mlp": "ml_1m_mlp"}

pytestmark = [pytest.mark.slow, pytest.mark.timeout(3600)]


def run(module: str, *flags: str) -> None:
    subprocess.run([sys.executable, "-m", module, *flags], cwd=REPOSITORY, check=True)


@pytest.fixture(scope="module")
def data(real_data: Callable[[str], Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("ncf") / "data"
    source = real_data("ncf-ml-1m")
    run("data.prepare", "--dataset=ncf_authors", f"--source={source}", f"--out={folder}")
    return folder


def train(recipe: str, data: Path, folder: Path, *flags: str) -> dict[str, float]:
    paths = (f"--data_dir={data}", f"--model_dir={folder}")
    run("trainers.run", "--model=ncf", f"--recipe={recipe}", *paths, *flags)
    results = json.loads((folder / "metrics.json").read_text())
    assert results["protocol"]["sampled99"]["users"] == 6040
    return results["metrics"]


@pytest.mark.parametrize("recipe", FLOORS)
def test_recipe_reaches_its_floor(recipe: str, data: Path, tmp_path: Path) -> None:
    flags = []
    if recipe == "ml_1m_pretrained":
        for part, half in HALVES.items():
            train(half, data, tmp_path / half)
            flags.append(f"--set=model.pretrained_{part}={tmp_path / half}")
    metrics = train(recipe, data, tmp_path / recipe, *flags)
    hr, ndcg = FLOORS[recipe]
    assert metrics["hr@10/sampled99"] >= hr
    assert metrics["ndcg@10/sampled99"] >= ndcg
