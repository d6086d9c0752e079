"""A log of choices, prepared at first and again with other users and items in another order."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import tensorflow as tf

from configs.base import RunConfig
from configs.overrides import apply_overrides
from configs.registry import build_model, recipe
from configs.runs import BEST_FILE, CHECKPOINTS
from data.assemble import PrepareOptions, prepare
from data.atomic import write_json
from data.dataset import PreparedDataset
from data.interactions import Interactions
from data.pipeline import Batch
from data.schema import FIRST_ID, PAD_ID
from models.closed_form import ClosedForm
from models.recommender import Recommender
from models.saving import save_weights
from trainers.run_folder import open_run_folder

SETTINGS = {
    "wide_deep": ["model.crosses=item*genres,gender*quality", "model.cross_buckets=2000"],
    "bert4rec": ["model.max_length=12"],
}


def log(users: range, items: range, seed: int) -> Interactions:
    """Returns choices whose most frequent users and items the seed decides."""
    rng = np.random.default_rng(seed)
    who, what = rng.permutation(list(users)), rng.permutation(list(items))
    pairs = [(u, i) for n, u in enumerate(who) for i in rng.permutation(what)[: 6 + n % 9]]
    user, item = (np.array(part) for part in zip(*pairs, strict=True))
    events = pl.DataFrame(
        {
            "user": [f"u{u}" for u in user],
            "item": [f"i{i}" for i in item],
            "time": rng.permutation(len(pairs)),
        }
    )
    genres = [[f"g{i % 4}", f"g{i % 7}"] if i % 5 else [] for i in items]
    return Interactions(
        "log",
        events,
        pl.DataFrame({"user": [f"u{u}" for u in users], "gender": [f"s{u % 3}" for u in users]}),
        pl.DataFrame(
            {
                "item": [f"i{i}" for i in items],
                "quality": [f"q{i % 2}" for i in items],
                "price": np.array([i + 0.5 for i in items], np.float32),
                "genres": pl.Series(genres, dtype=pl.List(pl.String)),
            }
        ),
    )


def prepared(folder: Path, users: range, items: range, seed: int) -> PreparedDataset:
    """Returns a prepared log."""
    prepare(log(users, items, seed), PrepareOptions(negatives=5), folder)
    return PreparedDataset(folder)


def random_run(name: str, data: PreparedDataset, folder: Path) -> RunConfig:
    """Writes a finished run whose weights and slots are random, or solved. Returns its config."""
    config = apply_overrides(recipe(name, "tiny"), SETTINGS.get(name, []))
    if name in ("wide_deep", "dlrm"):  # the spread of prices, fitted anew, moves all scores
        config = apply_overrides(config, ["model.exclude=price"])
    model = build_model(config, data)
    if isinstance(model, ClosedForm):
        model.solve(data, ("train",))
        save_run(config, data, model, folder)
        return config
    model.tables.build_slots()
    slots = [slot for stack in model.tables.stacks for slot in stack.slots.values()]
    for number, weights in enumerate(model.parameters()):
        weights.assign_add(0.3 * tf.random.stateless_normal(weights.shape, [number, 0]))
    for number, slot in enumerate(slots):
        slot.assign_add(tf.abs(tf.random.stateless_normal(slot.shape, [number, 1])))
    model.tables.updates.assign(77)
    save_run(config, data, model, folder)
    return config


def save_run(config: RunConfig, data: PreparedDataset, model: Recommender, folder: Path) -> None:
    """Writes a finished run."""
    open_run_folder(folder, config, data, False)
    checkpoint = folder / CHECKPOINTS / "step-000000077"
    checkpoint.mkdir(parents=True)
    save_weights(model, checkpoint)
    write_json(folder / BEST_FILE, {"checkpoint": checkpoint.name, "chosen_by": "a test"})


def ids_of(data: PreparedDataset, feature: str, raw_ids: Sequence[str]) -> list[int]:
    """Returns the ids of raw ids."""
    places = {raw: n for n, raw in enumerate(data.raw_ids(feature).tolist(), FIRST_ID)}
    return [places[raw] for raw in raw_ids]


def scores_by_raw_id(
    model: Any, data: PreparedDataset, users: Sequence[str], items: Sequence[str]
) -> np.ndarray:
    """Returns the scores of some items, (users, items), after pasts of one to five of them."""
    past, padding = ids_of(data, "item", items[:5]), [PAD_ID] * 5
    batch: Batch = {
        "user": tf.constant(ids_of(data, "user", users)),
        "seen_item": tf.constant(
            [(past[: 1 + n % 5] + padding)[:5] for n in range(len(users))], tf.int32
        ),
    }
    return model.item_scores(batch).numpy()[:, ids_of(data, "item", items)]
