"""Settings and fixtures that every test may use."""

from __future__ import annotations

import importlib.util
import os

os.environ["TF_USE_LEGACY_KERAS"] = "1"
os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
if "PYTEST_XDIST_WORKER" in os.environ:
    # Workers side by side have a processor each; TensorFlow's idle threads would spin for more.
    os.environ.setdefault("TF_NUM_INTRAOP_THREADS", "1")

from collections.abc import Callable
from pathlib import Path

import numpy as np
import polars as pl
import pytest

import models  # noqa: F401  Keras 2 must be chosen before tf.keras is touched.
from data.assemble import PrepareOptions, prepare
from data.dataset import PreparedDataset
from data.interactions import Interactions
from data.sources import synthetic
from data.splits import SplitOptions

REPOSITORY = Path(__file__).parents[1]
# Files that take minutes come first, so that no worker is left alone with one at the end.
LONGEST_FILES = (
    "tests/trainers/test_run.py",
    "tests/trainers/test_distributed.py",
    "tests/launch/test_ranks.py",
    "tests/models/test_contract.py",
    "tests/docs/test_add_a_model.py",
    "tests/docs/test_your_data.py",
    "tests/docs/test_site.py",
    "tests/docs/test_notebooks.py",
    "tests/trainers/test_tune.py",
    "tests/trainers/test_warm_start.py",
    "tests/trainers/test_bad_days.py",
    "tests/trainers/test_tiny_recipes.py",
    "tests/serving/test_export.py",
    "tests/serving/test_recommend.py",
    "tests/data/test_spark.py",
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Puts the longest files first; `make test` hands files to its workers in this order.

    Skips what starts Horovod where it is not installed.
    """
    places = {REPOSITORY / file: place for place, file in enumerate(LONGEST_FILES)}
    items.sort(key=lambda item: places.get(item.path, len(places)))
    if importlib.util.find_spec("horovod") is None:
        for item in items:
            if item.get_closest_marker("horovod"):
                reason = "Horovod is not installed: launch/build_horovod.sh"
                item.add_marker(pytest.mark.skip(reason=reason))


@pytest.fixture(scope="session")
def real_data() -> Callable[[str], Path]:
    """Returns a function that finds real data by folder name, or skips the test."""

    def find(name: str) -> Path:
        folder = REPOSITORY.parent / "shared" / "data" / name
        if not folder.is_dir():
            pytest.skip(f"no {folder}")
        return folder

    return find


@pytest.fixture(scope="session")
def synthetic_data(tmp_path_factory: pytest.TempPathFactory) -> PreparedDataset:
    """Returns a small synthetic world whose best reachable scores are known."""
    folder = tmp_path_factory.mktemp("synthetic") / "data"
    world = synthetic.SyntheticOptions(users=400, items=200, ratings=12_000, tastes=4, seed=3)
    prepare(synthetic.load(world), PrepareOptions(seed=3), folder)
    return PreparedDataset(folder)


@pytest.fixture(scope="session")
def checkerboard_data(tmp_path_factory: pytest.TempPathFactory) -> PreparedDataset:
    """Returns data whose right answer is known: even users take even items, odd ones odd.

    Each of 40 users has taken all 20 items of its colour but two; the last two are held out.
    """
    rng = np.random.default_rng(0)
    users, items = [], []
    for user in range(40):
        colour = np.arange(user % 2, 40, 2)
        users.append(np.full(len(colour), user))
        items.append(rng.permutation(colour))
    events = pl.DataFrame(
        {
            "user": [f"u{user}" for user in np.concatenate(users)],
            "item": [f"i{item}" for item in np.concatenate(items)],
            "time": np.tile(np.arange(20), 40),
        }
    )
    folder = tmp_path_factory.mktemp("checkerboard") / "data"
    split = SplitOptions(method="leave_last_out")
    options = PrepareOptions(split=split, negatives=15, popular_negatives=7)
    prepare(Interactions("checkerboard", events), options, folder)
    return PreparedDataset(folder)
