"""Real data prepared and recipes trained by the commands that users give."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import pytest

REPOSITORY = Path(__file__).parents[2]
# By dataset: folder of the raw data, then flags of data.prepare, as in the recipes' docstrings.
PREPARATIONS = {
    "ncf": ("ncf-ml-1m", "--dataset=ncf_authors"),
    "ranking": (
        "ml-1m",
        "--dataset=movielens_1m",
        "--negatives=100",
        "--popular_negatives=100",
    ),
    "clicks": (
        "ml-1m",
        "--dataset=movielens_1m",
        "--label_threshold=3",
        "--split=random",
        "--validation_ratio=0.1",
        "--test_ratio=0.1",
    ),
    "held_out_users": (
        "ml-1m",
        "--dataset=movielens_1m",
        "--min_rating=4",
        "--min_user_interactions=5",
        "--split=held_out_users",
    ),
    "adult": ("adult", "--spec=adult"),
    "gowalla": ("gowalla", "--dataset=lightgcn"),
}


def run(module: str, *flags: str) -> None:
    """Runs one of the product's commands."""
    subprocess.run([sys.executable, "-m", module, *flags], cwd=REPOSITORY, check=True)


@pytest.fixture(scope="session")
def prepared(
    real_data: Callable[[str], Path], tmp_path_factory: pytest.TempPathFactory
) -> Callable[[str], Path]:
    """Returns a function that prepares one of `PREPARATIONS`, once."""

    @cache
    def prepare(name: str) -> Path:
        raw, *flags = PREPARATIONS[name]
        out = tmp_path_factory.mktemp(name) / "data"
        run("data.prepare", *flags, f"--source={real_data(raw)}", f"--out={out}")
        return out

    return prepare


@pytest.fixture
def train(prepared: Callable[[str], Path], tmp_path: Path) -> Callable[..., dict[str, Any]]:
    """Returns a function that trains a recipe in the folder of that name: its `metrics.json`."""

    def trained(model: str, recipe: str, data: str, *flags: str) -> dict[str, Any]:
        paths = (f"--data_dir={prepared(data)}", f"--model_dir={tmp_path / recipe}")
        run("trainers.run", f"--model={model}", f"--recipe={recipe}", *paths, *flags)
        return json.loads((tmp_path / recipe / "metrics.json").read_text())

    return trained
