"""Each known user's past, in time order, whatever the splits it lies in."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pytest
import tensorflow as tf
from answers import assert_lists, scores_of_history
from conftest import write_export

from data.assemble import PrepareOptions, prepare
from data.blocks import Ragged
from data.dataset import PreparedDataset
from data.interactions import Interactions
from data.splits import SplitOptions
from serving.signatures.stored_histories import StoredHistories, items_in_time_order

USERS, ITEMS = 40, 30


def prepared(folder: Path, split: SplitOptions) -> PreparedDataset:
    """Prepares users of 2 to 20 items, taken at times in which no two are equal."""
    rng = np.random.default_rng(5)
    pairs = [(u, i) for u in range(USERS) for i in rng.permutation(ITEMS)[: rng.integers(2, 21)]]
    events = pl.DataFrame(pairs, schema=["user", "item"], orient="row")
    events = events.with_columns(time=pl.Series(rng.permutation(len(pairs)), dtype=pl.Int64))
    prepare(Interactions("events", events), PrepareOptions(split=split, negatives=1), folder)
    return PreparedDataset(folder)


def test_last_split_of_each_user_ends_its_past(tmp_path: Path) -> None:
    data = prepared(
        tmp_path / "data", SplitOptions(method="time", validation_from=250, test_from=300)
    )
    splits = ("train", "validation", "test")
    last = [set(np.asarray(data.read("histories", s)["user"]).tolist()) for s in splits]
    assert last[0] - last[1] - last[2]  # some users end in train
    assert last[1] - last[2] - {1}  # and some in validation
    stored = StoredHistories(*items_in_time_order(data))
    events: list[tuple[int, int, int]] = []
    for split in splits:
        rows = data.read("rows", split)
        events += zip(rows["time"], rows["user"], rows["item"], strict=True)  # type: ignore[arg-type]
    users = data.schema.cardinality("user")
    expected = [[i for _, u, i in sorted(events) if u == user >= 2] for user in range(users)]
    assert stored.of(tf.range(users)).to_list() == expected
    assert stored.of(tf.constant([3, 0, 2, 3])).to_list() == [
        expected[user] for user in (3, 0, 2, 3)
    ]


@pytest.fixture(scope="module")
def held_out(tmp_path_factory: pytest.TempPathFactory) -> PreparedDataset:
    split = SplitOptions(method="held_out_users", validation_users=6, test_users=6)
    return prepared(tmp_path_factory.mktemp("held_out") / "data", split)


def test_held_out_users_are_served_by_history_alone(
    held_out: PreparedDataset, tmp_path: Path
) -> None:
    assert held_out.schema.facts["held_out_users"]
    exported = write_export(held_out, tmp_path, "vae_cf")
    raw_users, raw_items = held_out.raw_ids("user"), held_out.raw_ids("item")
    assert len(raw_users) == USERS - 12
    stranger = int(np.setdiff1d(np.arange(USERS), raw_users)[0])
    past = held_out.read("histories", "train")["item"]
    assert isinstance(past, Ragged)
    first = past.take(np.array([0])).values
    for user, history, seen in (
        (int(raw_users[0]), [], first.tolist()),
        (stranger, [5, 3, 9], [5, 3, 9]),
    ):
        answer = exported.signatures["recommend"](
            user=tf.constant([user], tf.int64),
            history=tf.constant([raw_items[np.array(history, int) - 2]], tf.int64),
            exclude=tf.zeros([1, 0], tf.int64),
            allow=tf.zeros([1, 0], tf.int64),
            k=tf.constant([10]),
            exclude_seen=tf.constant([True]),
        )
        assert not answer["is_popular"][0]
        items, scores = (answer[part][0].numpy() for part in ("items", "scores"))
        assert_lists(items, scores, exported, scores_of_history(exported, seen), set(seen))
    nobody = exported.signatures["serving_default"](
        user=tf.constant([stranger], tf.int64), k=tf.constant([3])
    )
    assert nobody["is_popular"][0]
