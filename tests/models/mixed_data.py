"""Small prepared datasets of mixed features, with and without labels, users and items."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl

from data.assemble import PrepareOptions, prepare
from data.dataset import PreparedDataset
from data.filters import FilterOptions
from data.interactions import Interactions
from data.pipeline import Batch, make_dataset
from data.splits import SplitOptions
from models.recommender import Recommender
from tests.data.spec_tables import prepare_frame

USERS, ITEMS = 30, 24


def xor_clicks(folder: Path) -> PreparedDataset:
    """Returns rows clicked where exactly one of colour and shape is odd; hours mean nothing."""
    rng = np.random.default_rng(0)
    rows = 2_000
    colour, shape = rng.integers(0, 4, (2, rows))
    frame = pl.DataFrame(
        {
            "label": ((colour + shape) % 2).astype(np.float32),
            "split": np.where(np.arange(rows) % 5 == 0, "test", "train"),
            "hours": rng.exponential(40, rows).astype(np.float32) - 5,
            "colour": [f"c{c}" for c in colour],
            "shape": [f"s{s}" for s in shape],
        }
    )
    features = {
        "label": {"kind": "label"},
        "hours": {"kind": "numeric"},
        "colour": {"kind": "categorical"},
        "shape": {"kind": "categorical"},
    }
    return prepare_frame(frame, features, folder)


def labelled_pairs(folder: Path) -> PreparedDataset:
    """Returns rated pairs with attributes of every kind; those rated above 3 are clicks."""
    users, items = _attributes()
    options = PrepareOptions(
        filters=FilterOptions(label_threshold=3.0), split=SplitOptions(method="random")
    )
    prepare(Interactions("pairs", _events(1), users, items), options, folder)
    return PreparedDataset(folder)


def implicit_pairs(folder: Path) -> PreparedDataset:
    """Returns choices without labels: users only ever take items of good quality."""
    users, items = _attributes()
    events = _events(2).join(items.select("item", "quality"), on="item")
    events = events.filter(pl.col("quality") == "good").drop("quality", "rating")
    # One event with a bad item, as training must know the items.
    bad = items.filter(pl.col("quality") == "bad")["item"]
    extra = pl.DataFrame({"user": ["u0"] * len(bad), "item": bad, "time": np.arange(len(bad)) - 99})
    options = PrepareOptions(split=SplitOptions(method="leave_last_out"), negatives=5)
    both = pl.concat([events, extra.select(events.columns)])
    prepare(Interactions("implicit", both, users, items), options, folder)
    return PreparedDataset(folder)


def _attributes() -> tuple[pl.DataFrame, pl.DataFrame]:
    rng = np.random.default_rng(3)
    users = pl.DataFrame(
        {
            "user": [f"u{u}" for u in range(USERS)],
            "gender": rng.choice(["f", "m"], USERS),
            "income": rng.normal(30, 9, USERS).astype(np.float32),
        }
    )
    genres = [sorted(rng.choice(["a", "b", "c", "d"], n % 4, replace=False)) for n in range(ITEMS)]
    items = pl.DataFrame(
        {
            "item": [f"i{i}" for i in range(ITEMS)],
            "quality": ["good" if i % 2 else "bad" for i in range(ITEMS)],
            "price": rng.normal(5, 2, ITEMS).astype(np.float32),
            "genres": pl.Series(genres, dtype=pl.List(pl.String)),
        }
    )
    return users, items


def _events(seed: int) -> pl.DataFrame:
    rng = np.random.default_rng(seed)
    pairs = rng.permutation(USERS * ITEMS)[: USERS * ITEMS // 2]
    return pl.DataFrame(
        {
            "user": [f"u{p // ITEMS}" for p in pairs],
            "item": [f"i{p % ITEMS}" for p in pairs],
            "rating": rng.choice([1, 2, 4, 5], len(pairs)).astype(np.float32),
            "time": np.arange(len(pairs)),
        }
    )


def training_batch(model: Recommender, data: PreparedDataset, size: int = 64) -> Batch:
    """Returns the first batch that the model would train on."""
    transforms = model.transforms(data, ("train",), True)
    return next(iter(make_dataset(data, model.reading(("train",), size), transforms, seed=1)))
