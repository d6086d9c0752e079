"""Small tasks for peer programs, on clicks that can be learned."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.peers.timing import FIRST_ID

ROWS, CATEGORIES, CARDINALITY = 1000, 3, 40
DLRM: dict[str, Any] = {
    "architecture": "dlrm",
    "dim": 4,
    "bottom": [8, 4],
    "top": [16],
    "cardinalities": [CARDINALITY] * CATEGORIES,
}
WIDE_DEEP: dict[str, Any] = {
    "architecture": "wide_deep",
    "dim": 4,
    "hidden": [16],
    "cardinalities": [CARDINALITY] * CATEGORIES,
    "crosses": [[0, 1]],
    "cross_buckets": 100,
}


def write_clicks(folder: Path) -> None:
    """Writes clicks that follow from a number and an id."""
    rng = np.random.default_rng(0)
    numbers = rng.standard_normal((ROWS, 2)).astype(np.float32)
    ids = rng.integers(FIRST_ID, CARDINALITY, (ROWS, CATEGORIES), dtype=np.int32)
    labels = (numbers[:, 0] + (ids[:, 1] % 2) > 0.5).astype(np.float32)
    for name, array in {"numbers": numbers, "ids": ids, "labels": labels}.items():
        np.save(folder / f"{name}.npy", array)


def write_task(folder: Path, **changes: Any) -> Path:
    """Writes a task on the arrays of `folder`."""
    task = {
        "arrays": str(folder),
        "kind": "clicks",
        "batch_size": 100,
        "warmup_steps": 5,
        "steps": 100,
        "threads": 1,
        "seed": 1,
        "precision": "float32",
        "epoch": False,
        "model": DLRM,
        "optimizer": {"dense": "adam", "dense_rate": 0.01, "tables": "adagrad", "table_rate": 0.1},
    }
    path = folder / "task.json"
    path.write_text(json.dumps({**task, **changes}))
    return path
