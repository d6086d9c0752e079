"""Recipes of BERT4Rec and SASRec."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from configs.base import EvaluationConfig, RunConfig, TrainerConfig
from models.bert4rec_config import BERT4RecConfig


def default() -> RunConfig:
    """BERT4Rec of 2 layers, 64 wide, a starting point for your own data."""
    return RunConfig(
        model_name="bert4rec",
        recipe="default",
        model=BERT4RecConfig(max_length=50),
        trainer=TrainerConfig(epochs=100, batch_size=128, xla=True, patience=10),
    )


def tiny() -> RunConfig:
    """Seconds on a small synthetic world, for tests."""
    base = default()
    return replace(
        base,
        recipe="tiny",
        model=replace(base.model, dim=32, max_length=10, crop="random", dropout=0.2),
        trainer=replace(
            base.trainer, epochs=20, batch_size=64, learning_rate=0.005, xla=False, patience=0
        ),
        evaluation=EvaluationConfig(batch_size=256),
    )


def ml_1m() -> RunConfig:
    """BERT4Rec as published, on MovieLens-1M, the last item of each user held out."""
    return RunConfig(
        model_name="bert4rec",
        recipe="ml_1m",
        model=BERT4RecConfig(),
        trainer=TrainerConfig(
            epochs=300,
            batch_size=128,
            learning_rate=0.001,
            xla=True,
            monitor="ndcg@10/full",
            patience=20,
        ),
        evaluation=EvaluationConfig(
            protocols=("full", "sampled"), validation_protocols=("full",), batch_size=256
        ),
    )


def ml_1m_fast() -> RunConfig:
    """SASRec with the softmax over all items, on the same data."""
    base = ml_1m()
    return replace(
        base,
        recipe="ml_1m_fast",
        model=replace(
            base.model,
            variant="sasrec",
            dim=128,
            crop="random",
            max_targets=64,
            dropout=0.2,
        ),
    )


RECIPES: dict[str, Callable[[], RunConfig]] = {
    recipe.__name__: recipe for recipe in (default, tiny, ml_1m, ml_1m_fast)
}
