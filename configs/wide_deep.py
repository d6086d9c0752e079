"""Recipes of Wide&Deep."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from configs.base import EvaluationConfig, RunConfig, TrainerConfig
from models.wide_deep_config import WideDeepConfig


def default() -> RunConfig:
    """Both parts, a starting point for your own data; name crosses of your own."""
    return RunConfig(
        model_name="wide_deep",
        recipe="default",
        model=WideDeepConfig(table_optimizer="adam", buckets=16, wide_rate_scale=20.0),
        trainer=TrainerConfig(epochs=20, learning_rate=0.001, patience=3),
    )


def tiny() -> RunConfig:
    """Seconds on a small synthetic world, for tests."""
    base = default()
    return replace(
        base,
        recipe="tiny",
        model=replace(base.model, dim=16, hidden=(32, 16), wide_rate_scale=1.0),
        trainer=replace(base.trainer, epochs=4, batch_size=1024, learning_rate=0.005),
        evaluation=EvaluationConfig(batch_size=256, click_batch_size=256),
    )


def logistic() -> RunConfig:
    """Logistic regression on categories and buckets, the baseline of every click task."""
    base = default()
    return replace(
        base,
        recipe="logistic",
        model=replace(base.model, variant="wide", buckets=64, wide_rate_scale=50.0),
        trainer=replace(
            base.trainer,
            epochs=30,
            batch_size=512,
            learning_rate=0.002,
            schedule="linear",
            patience=6,
        ),
    )


def adult() -> RunConfig:
    """@@ADULT@@"""
    base = default()
    return replace(
        base,
        recipe="adult",
        model=replace(
            base.model,
            l2=0.003,
            dropout=0.5,
            buckets=64,
            bucket_use="both",
            exclude=("fnlwgt",),  # a sampling weight of the census
        ),
        trainer=TrainerConfig(
            epochs=30, batch_size=512, learning_rate=0.002, schedule="linear", patience=6
        ),
    )


def ml_1m() -> RunConfig:
    """@@ML1M@@"""
    base = default()
    return replace(
        base,
        recipe="ml_1m",
        model=replace(base.model, dim=32, stddev=0.05, l2=0.005, wide_rate_scale=20.0),
        trainer=TrainerConfig(
            epochs=8,
            learning_rate=0.002,
            table_learning_rate=0.005,
            schedule="linear",
            patience=2,
        ),
    )


def ml_1m_ranking() -> RunConfig:
    """Ranks MovieLens-1M's items by sampled negatives, attributes included; not tuned."""
    base = ml_1m()
    return replace(
        base,
        recipe="ml_1m_ranking",
        model=replace(base.model, dim=64, l2=0.003, negatives=8),
        trainer=replace(base.trainer, epochs=12, xla=True),
    )


RECIPES: dict[str, Callable[[], RunConfig]] = {
    recipe.__name__: recipe for recipe in (default, tiny, logistic, adult, ml_1m, ml_1m_ranking)
}
