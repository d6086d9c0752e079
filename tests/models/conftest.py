"""Prepared datasets that tests of several models read."""

from __future__ import annotations

import pytest

from data.dataset import PreparedDataset
from tests.models.mixed_data import implicit_pairs, labelled_pairs, xor_clicks


@pytest.fixture(scope="session")
def pairs(tmp_path_factory: pytest.TempPathFactory) -> PreparedDataset:
    """Returns rated pairs with attributes of every kind, as a click task."""
    return labelled_pairs(tmp_path_factory.mktemp("pairs") / "data")


@pytest.fixture(scope="session")
def clicks(tmp_path_factory: pytest.TempPathFactory) -> PreparedDataset:
    """Returns rows without users and items, clicked by an exclusive or."""
    return xor_clicks(tmp_path_factory.mktemp("clicks") / "data")


@pytest.fixture(scope="session")
def implicit(tmp_path_factory: pytest.TempPathFactory) -> PreparedDataset:
    """Returns pairs with attributes and without labels."""
    return implicit_pairs(tmp_path_factory.mktemp("implicit") / "data")
