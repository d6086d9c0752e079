"""Clicks whose table has far more rows than there are clicks."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl

from data.dataset import PreparedDataset
from tests.data.spec_tables import prepare_frame


def hashed_clicks(folder: Path, buckets: int) -> PreparedDataset:
    """Returns clicks with a category of so many ids, of which few occur."""
    rng = np.random.default_rng(0)
    rows = 20_000
    frame = pl.DataFrame(
        {
            "label": rng.integers(0, 2, rows).astype(np.float32),
            "split": np.where(np.arange(rows) % 5 == 0, "test", "train"),
            "hours": rng.exponential(40, rows).astype(np.float32),
            "page": [f"p{page}" for page in rng.integers(0, 10**9, rows)],
        }
    )
    features = {
        "label": {"kind": "label"},
        "hours": {"kind": "numeric"},
        "page": {"kind": "categorical", "hash": buckets},
    }
    return prepare_frame(frame, features, folder)
