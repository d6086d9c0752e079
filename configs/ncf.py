"""Recipes of NCF."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from configs.base import EvaluationConfig, RunConfig, TrainerConfig
from models.ncf import NCFConfig


def default() -> RunConfig:
    """NeuMF of 64 factors, a starting point for your own data."""
    return RunConfig(
        model_name="ncf",
        recipe="default",
        model=NCFConfig(),
        trainer=TrainerConfig(epochs=20, learning_rate=0.002, xla=True, patience=3),
    )


def tiny() -> RunConfig:
    """Seconds on a small synthetic world, for tests."""
    base = default()
    return replace(
        base,
        recipe="tiny",
        model=replace(base.model, gmf_dim=16, mlp_dim=16, hidden=(32, 16)),
        trainer=replace(base.trainer, epochs=4, batch_size=1024, learning_rate=0.005, xla=False),
        evaluation=EvaluationConfig(batch_size=256),
    )


RECIPES: dict[str, Callable[[], RunConfig]] = {
    recipe.__name__: recipe for recipe in (default, tiny)
}
