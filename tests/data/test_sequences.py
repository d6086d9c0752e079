"""Sequences for training: aligned at the end, cropped, masked, shifted."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

from data.pipeline import Batch
from data.schema import FIRST_ID, PAD_ID
from data.sequences import (
    SEQUENCE,
    TARGET_SLOTS,
    TARGET_WEIGHTS,
    TARGETS,
    JoinHistory,
    MaskItems,
    NextItems,
    align_right,
)

MASK_ID = 99
SEED = tf.constant([3, 4], tf.int32)


def sequences(lengths: list[int], slots: int) -> tf.Tensor:
    """Returns rows of so many items, 2, 3, 4, ..., that end in the last slot."""
    rows = [[PAD_ID] * (slots - n) + list(range(FIRST_ID, FIRST_ID + n)) for n in lengths]
    return tf.constant(rows, tf.int32)


def masked(
    lengths: list[int],
    slots: int,
    *,
    share: float,
    most: int,
    last_share: float = 0.0,
    seed: tf.Tensor = SEED,
) -> Batch:
    transform = MaskItems(MASK_ID, share, most, last_share)
    return transform({SEQUENCE: sequences(lengths, slots)}, seed)


def hidden_slots(batch: Batch) -> np.ndarray:
    return (batch[SEQUENCE] == MASK_ID).numpy()


def test_lists_are_joined_at_the_end_without_unknown_items() -> None:
    seen = tf.constant([[5, 6, 0, 0], [0, 0, 0, 0], [2, 3, 4, 5], [1, 7, 0, 0]])
    item = tf.constant([[7, 0], [0, 0], [6, 7], [8, 1]])
    aligned = align_right([seen, item], 5)
    expected = [[0, 0, 5, 6, 7], [0, 0, 0, 0, 0], [3, 4, 5, 6, 7], [0, 0, 0, 7, 8]]
    np.testing.assert_array_equal(aligned, expected)
    assert aligned.dtype == tf.int32


def test_how_far_lists_are_padded_changes_nothing() -> None:
    seen = tf.constant([[5, 6, 7, 8, 9, 0], [2, 0, 0, 0, 0, 0]])
    for extra in (1, 30):
        padded = tf.pad(seen, [[0, 0], [0, extra]])
        np.testing.assert_array_equal(align_right([padded], 4), align_right([seen], 4))


def test_a_window_may_leave_out_later_items() -> None:
    lists = [tf.constant([[2, 3, 4], [2, 3, 4]]), tf.constant([[5, 6, 0], [5, 6, 0]])]
    aligned = align_right(lists, 3, tf.constant([2, 1]))
    np.testing.assert_array_equal(aligned, [[2, 3, 4], [3, 4, 5]])


def test_every_random_window_of_a_long_history_occurs_and_short_ones_stay_whole() -> None:
    rows = 3000
    item = tf.tile(tf.constant([[2, 3, 4, 5, 6], [2, 3, 0, 0, 0]]), [rows, 1])
    batch = {"item": item, "seen_item": tf.zeros([2 * rows, 1], tf.int32)}
    windows = JoinHistory(3, "random")(batch, SEED)[SEQUENCE].numpy()
    assert (windows[1::2] == [0, 2, 3]).all()
    found, counts = np.unique(windows[::2], axis=0, return_counts=True)
    np.testing.assert_array_equal(found, [[2, 3, 4], [3, 4, 5], [4, 5, 6]])
    assert np.abs(counts / rows - 1 / 3).max() < 0.04  # four standard deviations


def test_last_items_are_cropped_by_default_of_seen_items_and_own() -> None:
    batch = {"item": tf.constant([[6, 7, 0]]), "seen_item": tf.constant([[2, 3, 4, 5]])}
    np.testing.assert_array_equal(JoinHistory(4, "last")(batch, SEED)[SEQUENCE], [[4, 5, 6, 7]])


@pytest.mark.parametrize(
    ("items", "expected"), [(0, 0), (1, 1), (2, 1), (10, 2), (13, 3), (20, 4), (40, 6)]
)
def test_a_share_of_items_is_hidden_at_least_one_and_at_most_so_many(
    items: int, expected: int
) -> None:
    batch = masked([items] * 50, 40, share=0.2, most=6)
    assert (hidden_slots(batch).sum(axis=1) == expected).all()
    assert (batch[TARGET_WEIGHTS].numpy().sum(axis=1) == expected).all()


def test_targets_are_the_hidden_items_and_the_rest_stays() -> None:
    original = sequences([7, 12, 1, 0], 12).numpy()
    batch = masked([7, 12, 1, 0], 12, share=0.4, most=5)
    hidden = hidden_slots(batch)
    assert not hidden[original == PAD_ID].any()
    np.testing.assert_array_equal(batch[SEQUENCE].numpy()[~hidden], original[~hidden])
    for row in range(4):
        is_target = batch[TARGET_WEIGHTS].numpy()[row] == 1
        slots = batch[TARGET_SLOTS].numpy()[row][is_target]
        assert sorted(slots) == list(np.flatnonzero(hidden[row]))
        np.testing.assert_array_equal(batch[TARGETS].numpy()[row][is_target], original[row, slots])
        assert (batch[TARGETS].numpy()[row][~is_target] == PAD_ID).all()


def test_every_slot_is_hidden_equally_often_the_first_and_the_last_too() -> None:
    rows = 4000
    shares = hidden_slots(masked([8] * rows, 8, share=0.25, most=4)).mean(axis=0)
    assert np.abs(shares - 0.25).max() < 4 * np.sqrt(0.25 * 0.75 / rows)


def test_in_some_rows_the_last_item_alone_is_hidden() -> None:
    rows = 3000
    hidden = hidden_slots(masked([8] * rows, 10, share=0.5, most=5, last_share=0.3))
    is_last_alone = hidden[:, -1] & (hidden.sum(axis=1) == 1)
    assert abs(is_last_alone.mean() - 0.3) < 0.035  # four standard deviations
    assert (hidden[~is_last_alone].sum(axis=1) == 4).all()
    batch = masked([3, 0], 10, share=0.5, most=5, last_share=1.0)
    np.testing.assert_array_equal(batch[SEQUENCE].numpy()[0, -3:], [2, 3, MASK_ID])
    assert not hidden_slots(batch)[1].any()
    np.testing.assert_array_equal(batch[TARGETS], [[4, 0, 0, 0, 0], [0] * 5])


def test_masks_are_a_function_of_the_seed() -> None:
    first, again, other = (
        masked([15] * 4, 20, share=0.3, most=6, last_share=0.3, seed=tf.constant([1, seed]))
        for seed in (5, 5, 6)
    )
    for name in first:
        np.testing.assert_array_equal(first[name], again[name])
    assert (first[SEQUENCE].numpy() != other[SEQUENCE].numpy()).any()


def test_each_item_predicts_the_next() -> None:
    batch = NextItems(4)({SEQUENCE: sequences([3, 5, 1], 5)}, SEED)
    np.testing.assert_array_equal(batch[SEQUENCE], [[0, 0, 2, 3], [2, 3, 4, 5], [0, 0, 0, 0]])
    np.testing.assert_array_equal(batch[TARGETS], [[0, 0, 3, 4], [3, 4, 5, 6], [0, 0, 0, 0]])
    np.testing.assert_array_equal(batch[TARGET_WEIGHTS], batch[TARGETS].numpy() > 0)
    assert TARGET_SLOTS not in batch


def test_fewer_targets_than_slots_are_drawn_from_all() -> None:
    rows = 3000
    batch = NextItems(2)({SEQUENCE: sequences([5] * rows, 7)}, SEED)
    slots = batch[TARGET_SLOTS].numpy()
    answers = sequences([5] * rows, 7).numpy()[:, 1:]
    np.testing.assert_array_equal(batch[TARGETS], np.take_along_axis(answers, slots, axis=1))
    assert (slots[:, 0] != slots[:, 1]).all()
    shares = np.bincount(slots.ravel(), minlength=6) / rows
    assert (shares[:2] == 0).all()
    assert np.abs(shares[2:] - 0.5).max() < 4 * np.sqrt(0.25 / rows)
    few = NextItems(2)({SEQUENCE: sequences([2, 1], 7)}, SEED)
    np.testing.assert_array_equal(few[TARGET_WEIGHTS], [[1, 0], [0, 0]])
