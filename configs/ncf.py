"""Recipes of NCF."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from configs.base import EvaluationConfig, RunConfig, TrainerConfig
from models.ncf_config import NCFConfig


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


def quickstart() -> RunConfig:
    """Half a minute on the default synthetic world.

    python -m trainers.run --model=ncf --recipe=quickstart --data_dir=DATA --model_dir=RUN
    """
    base = ml_1m_mf()
    return replace(
        base,
        recipe="quickstart",
        model=replace(base.model, gmf_dim=64, negatives=4),
        trainer=replace(
            base.trainer, fit_on=("train",), epochs=30, batch_size=1024, patience=4, xla=False
        ),
    )


def ml_1m_mf() -> RunConfig:
    """Matrix factorisation with biases on the NCF authors' split of MovieLens-1M."""
    return RunConfig(
        model_name="ncf",
        recipe="ml_1m_mf",
        model=NCFConfig(variant="mf", gmf_dim=192, negatives=8, stddev=0.1, gmf_l2=0.0035),
        trainer=TrainerConfig(
            fit_on=("train", "validation"),
            epochs=24,
            learning_rate=0.001,
            table_learning_rate=0.003,
            schedule="linear",
            xla=True,
        ),
    )


RECIPES: dict[str, Callable[[], RunConfig]] = {
    recipe.__name__: recipe for recipe in (default, tiny, quickstart, ml_1m_mf)
}
