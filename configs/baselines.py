"""Recipes of the baselines that are solved in closed form."""

from __future__ import annotations

from collections.abc import Callable

from configs.base import EvaluationConfig, RunConfig
from configs.search import LogInteger, LogUniform
from models.ease import EASEConfig
from models.item_knn import ItemKNNConfig
from models.popularity import PopularityConfig

_TINY = EvaluationConfig(batch_size=256)


def ease() -> RunConfig:
    """A starting point for your own data; `model.l2` is all there is to choose."""
    return RunConfig("ease", "default", EASEConfig())


def ease_tiny() -> RunConfig:
    """For tests."""
    return RunConfig("ease", "tiny", EASEConfig(l2=20.0), evaluation=_TINY)


def item_knn() -> RunConfig:
    """A starting point for your own data."""
    return RunConfig("item_knn", "default", ItemKNNConfig())


def item_knn_tiny() -> RunConfig:
    """For tests."""
    return RunConfig("item_knn", "tiny", ItemKNNConfig(neighbours=20), evaluation=_TINY)


def popularity() -> RunConfig:
    """What every model must beat."""
    return RunConfig("popularity", "default", PopularityConfig())


def popularity_tiny() -> RunConfig:
    """For tests."""
    return RunConfig("popularity", "tiny", PopularityConfig(), evaluation=_TINY)


EASE_RECIPES: dict[str, Callable[[], RunConfig]] = {"default": ease, "tiny": ease_tiny}
ITEM_KNN_RECIPES: dict[str, Callable[[], RunConfig]] = {"default": item_knn, "tiny": item_knn_tiny}
POPULARITY_RECIPES: dict[str, Callable[[], RunConfig]] = {
    "default": popularity,
    "tiny": popularity_tiny,
}

EASE_SEARCH = (LogUniform("model.l2", 1.0, 10_000.0),)
ITEM_KNN_SEARCH = (
    LogInteger("model.neighbours", 5, 1000),
    LogUniform("model.shrinkage", 0.1, 1000.0),
)
