"""Fixtures that several files of these tests use."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from data.dataset import PreparedDataset
from tests.trainers.saved_run import train


@pytest.fixture(scope="package")
def trained(synthetic_data: PreparedDataset, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Returns the folder of a run with several checkpoints, the newest its best."""
    return train(synthetic_data, tmp_path_factory.mktemp("trained") / "run")


@pytest.fixture
def saved_run(trained: Path, tmp_path: Path) -> Path:
    """Returns a copy of that run."""
    return Path(shutil.copytree(trained, tmp_path / "run"))
