"""Run folders as the trainer leaves them, without training."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

CARD = {"dataset": "movies", "split": "test", "users": 60, "candidates_sha256": "aa"}
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
) -> Path:
    """Writes a run folder as the trainer leaves it; without metrics, one that is not finished."""
    folder.mkdir(parents=True)
    config = {
        "model_name": model,
        "recipe": recipe,
        "model": {"gmf_dim": 64, **(settings or {})},
        "trainer": {"seed": seed, "epochs": 3, "fit_on": list(fit_on)},
        "evaluation": {},
        "data": {"folder": "/data", "name": "movies", "schema_sha256": "0123456789"},
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
