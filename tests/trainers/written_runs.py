"""Run folders as the trainer leaves them, without training."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from configs.base import EvaluationConfig
from configs.results import results_file
from data.dataset import PreparedDataset
from trainers.details import details_folder, write_details
from trainers.ranking_evaluation import RankingEvaluator

CARD = {"dataset": "movies", "split": "test", "users": 60, "candidates_sha256": "aa"}
TRAINED_ON = "0123456789"
Values = dict[str, float | None]


def write_run(
    folder: Path,
    metrics: Values | None,
    *,
    model: str = "ncf",
    recipe: str = "default",
    seed: int = 1,
    settings: dict[str, Any] | None = None,
    fit_on: tuple[str, ...] = ("train",),
    best: Values | None = None,
    cards: dict[str, dict[str, Any]] | None = None,
    timings: Values | None = None,
    trained_on: str = TRAINED_ON,
) -> Path:
    """Writes a run folder as the trainer leaves it; without metrics, one that is not finished."""
    folder.mkdir(parents=True)
    config = {
        "model_name": model,
        "recipe": recipe,
        "model": {"gmf_dim": 64, **(settings or {})},
        "trainer": {"seed": seed, "epochs": 3, "fit_on": list(fit_on)},
        "evaluation": {},
        "data": {"folder": "/data", "name": "movies", "schema_sha256": trained_on},
    }
    (folder / "config.json").write_text(json.dumps(config))
    if metrics is None:
        return folder
    results = {
        "metrics": metrics,
        "baseline": {"name": "popularity", "metrics": dict.fromkeys(metrics, 0.1)},
        "best_reachable": best or {},
        "protocol": cards or {"full": CARD},
        "parameters": 12_345,
        "timings": timings or {"train_seconds": 10.0 * seed, "examples_per_second": 5_000.0},
    }
    (folder / "metrics.json").write_text(json.dumps(results))
    return folder


def write_results_on(run: Path, metrics: Values, sha256: str, **more: Any) -> None:
    """Writes what an evaluation of a run on another dataset leaves."""
    own = json.loads((run / "metrics.json").read_text())
    results = {
        **own,
        "metrics": metrics,
        "timings": {"evaluation_seconds": 1.0},
        "evaluated_on": {"schema_sha256": sha256},
        **more,
    }
    results_file(run, sha256).write_text(json.dumps(results))


class NoisyPopularity:
    """Scores by training events and noise of each user's own."""

    def __init__(self, data: PreparedDataset, noise: float, seed: int) -> None:
        shape = [data.schema.cardinality(name) for name in ("user", "item")]
        drawn = np.random.default_rng(seed).normal(size=shape)
        counts = np.log1p(data.item_counts(["train"]))
        self.table = (counts + noise * drawn).astype(np.float32)

    def item_scores(self, batch: dict[str, tf.Tensor]) -> tf.Tensor:
        return tf.gather(self.table, batch["user"])

    def scores(self, batch: dict[str, tf.Tensor], items: tf.Tensor) -> tf.Tensor:
        return tf.gather(self.item_scores(batch), items, batch_dims=1)


def write_evaluated_run(
    folder: Path,
    data: PreparedDataset,
    *,
    noise: float,
    seed: int = 1,
    recipe: str = "default",
    elsewhere: bool = False,
) -> Path:
    """Writes a run of a ranking with what its evaluation found of each user and item.

    One that was trained `elsewhere` has been evaluated on the dataset, too.
    """
    config = EvaluationConfig(ks=(5, 10))
    scorer, protocols = NoisyPopularity(data, noise, seed), ("sampled", "full")
    result = RankingEvaluator(scorer, data, "test", config, protocols, detailed=True).evaluate()
    assert result.details is not None
    metrics: Values = dict(result.metrics)
    sha256 = data.schema_sha256
    if elsewhere:
        write_run(folder, {"hr@10/full": 0.9}, seed=seed, recipe=recipe)
        write_results_on(folder, metrics, sha256, protocol=result.cards)
    else:
        write_run(folder, metrics, seed=seed, recipe=recipe, cards=result.cards, trained_on=sha256)
    write_details(
        details_folder(folder, sha256 if elsewhere else None), result.details, data, ("train",)
    )
    return folder
