"""The input pipeline: every row once, an order fixed by (seed, epoch), exact resume."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import tensorflow as tf

from data.blocks import Ragged
from data.dataset import Positives, PreparedDataset
from data.errors import InputError
from data.pipeline import MASK, make_dataset
from data.reading import Reading, steps_per_epoch, stored_order
from data.sampling import NEGATIVES, PopularityNegatives, UniformNegatives

ROWS = Reading("rows", ("train",), 100, shuffle=True)


def pairs(dataset: object) -> list[tuple[int, int]]:
    """Returns the (user, item) of every row that is not padding."""
    found = []
    for batch in dataset:  # type: ignore[attr-defined]
        real = batch[MASK].numpy() > 0
        found += list(zip(batch["user"].numpy()[real], batch["item"].numpy()[real], strict=True))
    return found


def all_pairs(data: PreparedDataset) -> list[tuple[int, int]]:
    rows = data.read("rows", "train")
    users, items = rows["user"], rows["item"]
    assert isinstance(users, np.ndarray)
    assert isinstance(items, np.ndarray)
    return sorted(zip(users.tolist(), items.tolist(), strict=True))


@pytest.mark.parametrize("ranks", [1, 2, 3])
def test_each_row_once_and_equal_steps_on_any_number_of_ranks(
    synthetic_data: PreparedDataset, ranks: int
) -> None:
    found, steps = [], set()
    for rank in range(ranks):
        batches = list(make_dataset(synthetic_data, ROWS, seed=1, rank=rank, ranks=ranks))
        found += pairs(batches)
        steps.add(len(batches))
    assert sorted(found) == all_pairs(synthetic_data)
    assert steps == {steps_per_epoch(synthetic_data, ROWS, ranks)}


def test_order_depends_on_seed_and_epoch_only(synthetic_data: PreparedDataset) -> None:
    def order(seed: int, epoch: int) -> list[tuple[int, int]]:
        return pairs(make_dataset(synthetic_data, ROWS, seed=seed, epoch=epoch))

    first = order(1, 0)
    for global_seed in (1, 2):
        tf.random.set_seed(global_seed)
        assert order(1, 0) == first
    assert order(1, 0) != order(1, 1)
    assert order(1, 0) != order(2, 0)


@pytest.mark.parametrize("stride", [1, 7])
def test_resume_continues_with_the_same_batches_and_draws(
    stride: int, synthetic_data: PreparedDataset
) -> None:
    positives = synthetic_data.positives(["train"])
    sampler = UniformNegatives(positives, synthetic_data.schema.cardinality("item"), 3)

    def batches(**where: int) -> list[dict[str, np.ndarray]]:
        dataset = make_dataset(synthetic_data, ROWS, [sampler], seed=5, epoch=2, **where)
        return [{name: value.numpy() for name, value in batch.items()} for batch in dataset]

    whole, rest = batches(), batches(start=37, stride=stride)
    assert len(rest) == -(-(len(whole) - 37) // stride)
    for expected, found in zip(whole[37::stride], rest, strict=True):
        for name in expected:
            np.testing.assert_array_equal(found[name], expected[name])


def test_epochs_follow_each_other_as_if_read_alone(synthetic_data: PreparedDataset) -> None:
    positives = synthetic_data.positives(["train"])
    sampler = UniformNegatives(positives, synthetic_data.schema.cardinality("item"), 3)

    def batches(**where: int) -> list[dict[str, np.ndarray]]:
        dataset = make_dataset(synthetic_data, ROWS, [sampler], seed=5, **where)
        found = [{name: value.numpy() for name, value in batch.items()} for batch in dataset]
        assert len(found) == int(dataset.cardinality())
        return found

    alone = [*batches(epoch=2, start=37), *batches(epoch=3), *batches(epoch=4)]
    together = batches(epoch=2, epochs=3, start=37)
    for expected, found in zip(alone, together, strict=True):
        for name in expected:
            np.testing.assert_array_equal(found[name], expected[name])


def test_shapes_are_static_and_the_last_batch_is_padded(synthetic_data: PreparedDataset) -> None:
    dataset = make_dataset(synthetic_data, ROWS)
    assert dataset.element_spec["user"].shape == (100,)
    rows = synthetic_data.split("rows", "train").rows
    masks = [batch[MASK].numpy() for batch in dataset]
    assert sum(mask.sum() for mask in masks) == rows
    assert all(mask.all() for mask in masks[:-1])


def test_histories_are_padded_and_cropped_to_their_last_entries(
    synthetic_data: PreparedDataset,
) -> None:
    stored = synthetic_data.read("histories", "train")
    items = stored["item"]
    assert isinstance(items, Ragged)
    reading = Reading("histories", ("train",), 7, max_lengths=(("item", 5),))
    batch = next(iter(make_dataset(synthetic_data, reading)))
    offsets = items.offsets()
    for row in range(7):
        expected = items.values[offsets[row] : offsets[row + 1]][-5:]
        np.testing.assert_array_equal(batch["item"][row][: len(expected)], expected)
        assert not batch["item"][row][len(expected) :].numpy().any()


def test_only_the_lists_asked_for_are_read(synthetic_data: PreparedDataset) -> None:
    whole = next(iter(make_dataset(synthetic_data, Reading("histories", ("test",), 7))))
    for lists in ((), ("seen_item",), ("time", "item")):
        reading = Reading("histories", ("test",), 7, max_lengths=(("rating", 2),), lists=lists)
        batch = next(iter(make_dataset(synthetic_data, reading)))
        assert set(batch) == {MASK, "user", *lists}
        for name in batch:
            np.testing.assert_array_equal(batch[name], whole[name])
    shuffled = Reading("histories", ("test",), 7, shuffle=True, lists=("item",))
    orders = [Reading("histories", ("test",), 7, shuffle=True), shuffled]
    users = [[b["user"].numpy() for b in make_dataset(synthetic_data, r)] for r in orders]
    np.testing.assert_array_equal(users[0], users[1])


def test_unread_lists_are_not_even_parsed(synthetic_data: PreparedDataset) -> None:
    data = PreparedDataset(synthetic_data.folder)
    view = data.schema.view("histories")
    columns = [replace(c, name="gone") if c.name == "rating" else c for c in view.columns]
    data.schema.views["histories"] = replace(view, columns=tuple(columns))
    reading = Reading("histories", ("test",), 7, lists=("item",))
    assert len(list(make_dataset(data, reading))) == steps_per_epoch(data, reading)


@pytest.mark.parametrize(
    ("view", "name", "message"),
    [
        ("histories", "items", "ragged columns of the view 'histories'.*'items'.*'item'"),
        ("histories", "user", "ragged columns.*'user'"),
        ("rows", "item", "ragged columns of the view 'rows'.*'item'.*It has none"),
    ],
)
def test_lists_that_the_view_does_not_have(
    synthetic_data: PreparedDataset, view: str, name: str, message: str
) -> None:
    with pytest.raises(InputError, match=message):
        make_dataset(synthetic_data, Reading(view, ("train",), 7, lists=(name,)))


def test_negatives_are_never_positives_and_cover_all_others(
    synthetic_data: PreparedDataset,
) -> None:
    positives = synthetic_data.positives(["train"])
    items = synthetic_data.schema.cardinality("item")
    sampler = UniformNegatives(positives, items, 50)
    user = int(np.argmax(positives.counts()))
    batch = {"user": np.full(2000, user, np.int32), MASK: np.ones(2000, np.float32)}
    drawn = sampler(batch, np.array([1, 2], np.int32))[NEGATIVES].numpy()
    own = set(positives.items[positives.starts[user] : positives.starts[user + 1]].tolist())
    free = set(range(2, items)) - own
    counts = np.bincount(drawn.ravel(), minlength=items)
    assert set(np.unique(drawn).tolist()) == free
    expected = drawn.size / len(free)
    # Five standard deviations of a uniform count.
    assert np.abs(counts[sorted(free)] - expected).max() < 5 * np.sqrt(expected)


def test_popular_negatives_follow_the_counts(synthetic_data: PreparedDataset) -> None:
    positives = synthetic_data.positives(["train"])
    counts = synthetic_data.item_counts(["train"])
    sampler = PopularityNegatives(positives, counts, 50)
    user = int(np.argmax(positives.counts()))
    batch = {"user": np.full(2000, user, np.int32), MASK: np.ones(2000, np.float32)}
    drawn = sampler(batch, np.array([1, 2], np.int32))[NEGATIVES].numpy()
    own = positives.items[positives.starts[user] : positives.starts[user + 1]]
    assert not np.isin(drawn, own).any()
    weights = counts.astype(float)
    weights[own] = weights[:2] = 0
    share = np.bincount(drawn.ravel(), minlength=len(counts)) / drawn.size
    np.testing.assert_allclose(share, weights / weights.sum(), atol=0.003)


@pytest.mark.parametrize("exponent", [1.0, 0.99])
def test_rare_items_are_drawn_however_many_there_are(exponent: float) -> None:
    # Together the rare items have one event in 50, each of them fewer than float32 can tell.
    counts = np.ones(1_000_002, np.int64)
    counts[2] = 50_000_000
    counts[-1] = counts[-100_000:-1:2] = 0
    sampler = PopularityNegatives(None, counts, 1000, exponent)
    batch = {"user": np.zeros(1000, np.int32), MASK: np.ones(1000, np.float32)}
    drawn = sampler(batch, np.array([1, 2], np.int32))[NEGATIVES].numpy().ravel()
    weights = counts[2:] ** exponent * (counts[2:] > 0)
    assert counts[drawn].all()
    rare = drawn[drawn > 2]
    share = weights[1:].sum() / weights.sum()
    assert len(rare) / len(drawn) == pytest.approx(share, rel=0.05)
    # As many different ones as so many draws of equal chance find.
    equal = int((counts[3:] > 0).sum())
    found = equal * (1 - np.exp(-len(rare) / equal))
    assert len(np.unique(rare)) == pytest.approx(found, rel=0.02)


def test_user_with_every_item_is_told_what_can_be_done() -> None:
    positives = Positives(np.array([2, 3], np.int32), np.array([0, 0, 0, 2]))
    found = r"untouched.*user id 2 with 2 items.*--set=model.allow_positives=true, or drop"
    with pytest.raises(InputError, match=found):
        UniformNegatives(positives, 4, 1)


def test_padding_rows_draw_no_real_item(synthetic_data: PreparedDataset) -> None:
    sampler = UniformNegatives(None, synthetic_data.schema.cardinality("item"), 4)
    batch = {"user": np.zeros(3, np.int32), MASK: np.array([1, 0, 1], np.float32)}
    drawn = sampler(batch, np.array([1, 2], np.int32))[NEGATIVES].numpy()
    assert not drawn[1].any()
    assert (drawn[[0, 2]] >= 2).all()


@pytest.mark.parametrize("ranks", [1, 2, 3])
@pytest.mark.parametrize(("view", "split"), [("rows", "train"), ("histories", "test")])
def test_what_ranks_read_is_put_back_in_stored_order(
    synthetic_data: PreparedDataset, view: str, split: str, ranks: int
) -> None:
    reading = Reading(view, (split,), 100)
    read = [
        batch["user"].numpy()[batch[MASK].numpy() > 0]
        for rank in range(ranks)
        for batch in make_dataset(synthetic_data, reading, rank=rank, ranks=ranks)
    ]
    order = stored_order(synthetic_data, reading, ranks)
    found = np.concatenate(read)[order]
    np.testing.assert_array_equal(found, synthetic_data.read(view, split)["user"])
