"""Ratings as feedback, and clicks made of them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pytest

from data.assemble import PrepareOptions, prepare
from data.blocks import Ragged
from data.errors import InputError
from data.filters import FilterOptions
from data.interactions import Interactions
from data.schema import Kind
from data.sources import synthetic
from data.splits import SplitOptions
from tests.data.reading import prepared, raw
from tests.data.test_views import random_events

RANDOM = SplitOptions("random", 0.1, 0.2)


def labelled(threshold: float = 3.0, **filters: int) -> PrepareOptions:
    kept = FilterOptions(label_threshold=threshold, **filters)  # type: ignore[arg-type]
    return PrepareOptions(filters=kept, split=RANDOM)


def test_rating_is_feedback_and_no_input(tmp_path: Path) -> None:
    data = prepared(Interactions("rated", random_events()), tmp_path / "out")
    assert data.schema.feature("rating").kind is Kind.LABEL
    assert data.schema.feature("rating").dtype == "float32"
    assert [c.name for c in data.schema.view("rows").columns] == ["user", "item", "rating", "time"]


def test_labels_are_one_above_the_threshold_and_zero_below(tmp_path: Path) -> None:
    events = random_events()
    data = prepared(Interactions("clicks", events), tmp_path / "out", labelled())
    columns = [column.name for column in data.schema.view("rows").columns]
    assert columns == ["user", "item", "label", "time"]
    feature = data.schema.feature("label")
    assert (feature.kind, feature.dtype) == (Kind.LABEL, "float32")
    kept = events.filter(pl.col("rating") != 3)
    truth = {(u, i): float(r > 3) for u, i, r, _ in kept.rows()}
    found: dict[tuple[object, object], float] = {}
    for split in ("train", "validation", "test"):
        rows = data.read("rows", split)
        users, items = (raw(data, k, np.asarray(rows[k])) for k in ("user", "item"))
        found |= dict(zip(zip(users, items, strict=True), np.asarray(rows["label"]), strict=True))
    assert found == truth
    dropped = data.schema.facts["preparation"]["at_label_threshold"]
    assert dropped == len(events) - len(kept) > 0


def test_labelled_data_keeps_histories_and_has_no_candidates(tmp_path: Path) -> None:
    world = synthetic.SyntheticOptions(users=40, items=60, ratings=800)
    data = prepared(synthetic.load(world), tmp_path / "out", labelled())
    assert data.schema.candidates == {}
    assert "best_scores" not in data.schema.facts
    total = 0
    for split in ("train", "validation", "test"):
        histories = data.read("histories", split)
        ratings, negatives = histories["rating"], histories["negative_item"]
        assert isinstance(ratings, Ragged)
        assert isinstance(negatives, Ragged)
        assert {2.0, 4.0} <= set(ratings.values.tolist()) <= {1.0, 2.0, 4.0, 5.0}
        assert not negatives.lengths.any()
        total += len(ratings.values)
    assert total == sum(data.split("rows", s).rows for s in ("train", "validation", "test"))


def test_users_are_counted_after_what_is_rated_just_the_threshold_is_gone(tmp_path: Path) -> None:
    ratings = pl.Series([5.0, 3.0, 1.0, 5.0, 2.0, 4.0], dtype=pl.Float32)
    events = pl.DataFrame({"user": [1, 1, 2, 2, 3, 3], "item": range(6), "rating": ratings})
    source = Interactions("few", events)
    options = PrepareOptions(
        filters=FilterOptions(label_threshold=3.0, min_user_interactions=2),
        split=SplitOptions("random", 0, 0.25),
    )
    data = prepared(source, tmp_path / "out", options)
    counts = data.schema.facts["preparation"]
    assert (counts["at_label_threshold"], counts["outside_k_core"]) == (1, 1)
    assert set(data.schema.view("rows").splits) == {"train", "test"}


def test_threshold_without_ratings_or_with_all_of_them_on_one_side(tmp_path: Path) -> None:
    events = random_events()
    unrated = Interactions("unrated", events.drop("rating"))
    with pytest.raises(InputError, match=r"threshold needs ratings.*Drop --label_threshold, or"):
        prepare(unrated, labelled(), tmp_path / "out")
    for threshold in (0.5, 5.0):
        found = rf"above the label threshold.*ratings from 1 to \d.*--label_threshold={threshold:g}"
        with pytest.raises(InputError, match=found):
            prepare(Interactions("one side", events), labelled(threshold), tmp_path / "out")
    assert not list(tmp_path.iterdir())
