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
        trainer=replace(base.trainer, epochs=10, batch_size=1024, learning_rate=0.005, xla=False),
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


def ml_1m() -> RunConfig:
    """NeuMF of 64 factors on the NCF authors' split of MovieLens-1M, from scratch."""
    return RunConfig(
        model_name="ncf",
        recipe="ml_1m",
        model=NCFConfig(negatives=8, gmf_l2=0.0024, mlp_l2=0.006),
        trainer=TrainerConfig(
            fit_on=("train", "validation"),
            epochs=12,
            learning_rate=0.002,
            table_learning_rate=0.008,
            weight_decay=1.0,
            schedule="linear",
            xla=True,
        ),
    )


def ml_1m_gmf() -> RunConfig:
    """GMF of 256 factors, the first half of `ml_1m_pretrained`."""
    base = ml_1m()
    return replace(
        base,
        recipe="ml_1m_gmf",
        model=replace(base.model, variant="gmf", gmf_dim=256, gmf_l2=0.003),
        trainer=replace(base.trainer, epochs=16, learning_rate=0.001, table_learning_rate=0.0065),
    )


def ml_1m_mlp() -> RunConfig:
    """MLP, the second half of `ml_1m_pretrained`."""
    base = ml_1m()
    return replace(
        base,
        recipe="ml_1m_mlp",
        model=replace(base.model, variant="mlp"),
        trainer=replace(base.trainer, epochs=14, table_learning_rate=0.0065, weight_decay=0.5),
    )


def ml_1m_pretrained() -> RunConfig:
    """NeuMF from trained GMF and MLP runs (He et al. 2017, section 3.4.1)."""
    base = ml_1m_gmf()
    return replace(
        base,
        recipe="ml_1m_pretrained",
        model=replace(
            base.model,
            variant="neumf",
            pretrained_gmf="runs/ml_1m_gmf",
            pretrained_mlp="runs/ml_1m_mlp",
            pretrained_alpha=0.9,
        ),
        trainer=replace(
            base.trainer,
            epochs=1,
            learning_rate=1e-5,
            table_learning_rate=3e-5,
            weight_decay=0.0,
        ),
    )


def ml_1m_mf() -> RunConfig:
    """Matrix factorisation with biases on the NCF authors' split of MovieLens-1M."""
    return RunConfig(
        model_name="ncf",
        recipe="ml_1m_mf",
        model=NCFConfig(variant="mf", gmf_dim=384, negatives=8, stddev=0.1, gmf_l2=0.003),
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
    recipe.__name__: recipe
    for recipe in (
        default,
        tiny,
        quickstart,
        ml_1m,
        ml_1m_gmf,
        ml_1m_mlp,
        ml_1m_pretrained,
        ml_1m_mf,
    )
}
