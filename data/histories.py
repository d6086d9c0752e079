"""The views `rows` and `histories` from events that are split and have vocabularies."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from data.blocks import ColumnData, Ragged
from data.events import SPLITS, TRAIN, Events
from data.schema import Column
from data.vocabulary import Vocabulary

ROWS_BLOCK = 4096
HISTORIES_BLOCK = 256
MAX_SHARDS = 16
SHUFFLE_STREAM = 0  # of the seed; the draw of candidates takes the next ones


class EncodedEvents:
    """Events with ids, grouped by user in the order of the user ids.

    Users that are out of vocabulary share id 1 but keep a row each.

    Attributes:
        events: The events, by position of the user in that order, then time.
        user_id: Id of each user by position, of shape (users,), int32.
        user_code: Code of each user by position, of shape (users,).
        item_id: Item id of each event, of shape (events,), int32.
    """

    def __init__(self, events: Events, users: Vocabulary, items: Vocabulary) -> None:
        """Sorts `events` in place: its `user` holds positions afterwards."""
        self.user_code = np.argsort(users.id_of_code, kind="stable")
        self.user_id = users.id_of_code[self.user_code]
        position = np.empty(len(self.user_code), np.int32)
        position[self.user_code] = np.arange(len(position), dtype=np.int32)
        events.user = position[events.user]
        events.take(np.argsort(events.user, kind="stable"))
        self.events = events
        self.item_id = items.id_of_code[events.item]

    def present(self, split: int) -> np.ndarray:
        """Returns positions of the users with an event in the split."""
        assert self.events.split is not None
        found = self.events.user[self.events.split == split]
        return np.flatnonzero(np.bincount(found, minlength=len(self.user_id)))

    def lists(self, chosen: np.ndarray, users: np.ndarray, column: np.ndarray) -> Ragged:
        """Returns a column's values at the chosen events, a list for each of the given users."""
        lengths = np.bincount(self.events.user[chosen], minlength=len(self.user_id))
        wanted = np.zeros(len(self.user_id), bool)
        wanted[users] = True
        if (lengths[~wanted] > 0).any():
            chosen = chosen & wanted[self.events.user]
        return Ragged(column[chosen], lengths[users].astype(np.int32))


def _row_values(events: Events) -> list[str]:
    """Returns what a row holds beside user and item: a label takes the place of its rating."""
    feedback = "rating" if events.label is None else "label"
    return [name for name in (feedback, "time") if getattr(events, name) is not None]


def history_values(events: Events) -> list[str]:
    """Returns the columns of events that histories list beside the items."""
    return [name for name in ("rating", "time") if getattr(events, name) is not None]


def row_columns(events: Events) -> tuple[Column, ...]:
    """Returns the columns of the view `rows`."""
    return tuple(Column(name, name) for name in ("user", "item", *_row_values(events)))


def history_columns(values: Sequence[str], max_lengths: dict[str, int]) -> tuple[Column, ...]:
    """Returns the columns of the view `histories`.

    Args:
        values: What is listed beside the items.
        max_lengths: Longest list of each column; `popular_item` is a column if it is here.
    """
    ragged = ["item", *values, "seen_item", "negative_item"]
    ragged += [name for name in ("popular_item",) if name in max_lengths]
    feature = dict.fromkeys(("seen_item", "negative_item", "popular_item"), "item")
    lists = [Column(n, feature.get(n, n), True, max(1, max_lengths.get(n, 1))) for n in ragged]
    return (Column("user", "user"), *lists)


def positions_in(split: np.ndarray, wanted: int, seed: int) -> np.ndarray:
    """Returns the rows of one split; those of train shuffled, as readers mix nearby blocks only.

    Args:
        split: Position in `SPLITS` of each row, of shape (rows,).
        wanted: The split.
        seed: Seed of the order of train.
    """
    chosen = np.flatnonzero(split == wanted)
    if wanted == TRAIN:
        np.random.default_rng([seed, SHUFFLE_STREAM]).shuffle(chosen)
    return chosen


def split_rows(encoded: EncodedEvents, split: int, seed: int) -> dict[str, ColumnData]:
    """Returns one split of the view `rows`; train is shuffled, so that blocks mix users."""
    events = encoded.events
    assert events.split is not None
    chosen = positions_in(events.split, split, seed)
    data: dict[str, ColumnData] = {
        "user": encoded.user_id[events.user[chosen]],
        "item": encoded.item_id[chosen],
    }
    for name in _row_values(events):
        data[name] = getattr(events, name)[chosen]
    return data


def split_histories(
    encoded: EncodedEvents,
    split: int,
    negatives: Callable[[np.ndarray], Ragged],
    popular: Callable[[np.ndarray], Ragged] | None = None,
) -> dict[str, ColumnData]:
    """Returns one split of the view `histories`.

    Args:
        encoded: The events.
        split: The split.
        negatives: Gives the frozen candidates of the users at given positions.
        popular: Gives those drawn by popularity; None for none.
    """
    events = encoded.events
    assert events.split is not None
    users = encoded.present(split)
    now, before = events.split == split, events.split < split
    data: dict[str, ColumnData] = {"user": encoded.user_id[users]}
    data["item"] = encoded.lists(now, users, encoded.item_id)
    for name in history_values(events):
        data[name] = encoded.lists(now, users, getattr(events, name))
    data["seen_item"] = encoded.lists(before, users, encoded.item_id)
    drawn = {"negative_item": negatives} | ({"popular_item": popular} if popular else {})
    for name, draw in drawn.items():
        data[name] = no_lists(len(users)) if split == TRAIN else draw(users)
    return data


def no_lists(rows: int) -> Ragged:
    """Returns an empty list of item ids for each row."""
    return Ragged(np.zeros(0, np.int32), np.zeros(rows, np.int32))


def splits_present(events: Events) -> list[int]:
    """Returns the splits that have events."""
    assert events.split is not None
    return [split for split in range(len(SPLITS)) if (events.split == split).any()]
