"""Events as NumPy columns: users and items as dense codes, so that 20 million fit in memory."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl

from data.errors import InputError

SPLITS = ("train", "validation", "test")
TRAIN, VALIDATION, TEST = range(3)
FOLD_IN = -1  # before every split, and in none: what is known of held-out users
# Serving pads requests with these, so they cannot name a user or an item.
RESERVED_TEXT, RESERVED_INTEGER = "", -1


@dataclass
class Events:
    """Interactions in columns of shape (events,).

    Attributes:
        user: Code of the user, int32: the position of its raw id in `user_ids`.
        item: Code of the item, int32: the position of its raw id in `item_ids`.
        rating: Ratings, float32, or None where the source has none.
        time: Times, int64, or None where the source has none.
        split: Position in `SPLITS` or `FOLD_IN`, int8, or None while there is no split.
        user_ids: Raw ids, sorted: integers ascending, texts in byte order.
        item_ids: Raw ids in the same order.
        label: Labels 0 or 1 made of the ratings, float32, or None where none are asked for.
    """

    user: np.ndarray
    item: np.ndarray
    rating: np.ndarray | None
    time: np.ndarray | None
    split: np.ndarray | None
    user_ids: pl.Series
    item_ids: pl.Series
    label: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.user)

    @staticmethod
    def from_frame(frame: pl.DataFrame) -> Events:
        """Encodes `Interactions.events`; rows keep their order.

        Raises:
            InputError: No events, a missing or reserved id, or a split of another name.
        """
        if frame.is_empty():
            raise InputError("The source must hold at least one interaction", received="none")
        user_ids, user = _codes(frame["user"])
        item_ids, item = _codes(frame["item"])
        columns = frame.columns
        return Events(
            user=user,
            item=item,
            rating=frame["rating"].to_numpy() if "rating" in columns else None,
            time=frame["time"].to_numpy() if "time" in columns else None,
            split=split_codes(frame["split"]) if "split" in columns else None,
            user_ids=user_ids,
            item_ids=item_ids,
        )

    def take(self, rows: np.ndarray) -> None:
        """Keeps the given rows (positions, or booleans) in their order.

        Works column by column, so that no second copy of all columns is ever held.
        """
        for name in ("user", "item", "rating", "time", "split", "label"):
            column = getattr(self, name)
            if column is not None:
                setattr(self, name, column[rows])

    def sort_by_user_and_time(self) -> None:
        """Groups the events by user, each user's in time order, ties as in the source."""
        if self.time is None:
            self.take(np.argsort(self.user, kind="stable"))
        else:
            self.take(np.lexsort((self.time, self.user)))

    def raw_pair(self, row: int) -> str:
        """Returns one event's user and item in words, for messages."""
        user, item = self.user_ids[int(self.user[row])], self.item_ids[int(self.item[row])]
        return f"user {user!r}, item {item!r}"


def check_reserved(ids: pl.Series, row: str) -> None:
    """Refuses raw ids of users or items that serving keeps for itself.

    Args:
        ids: Raw ids, an integer type or String, without nulls.
        row: What the message puts before the number of a row, such as `event`.

    Raises:
        InputError: One of the ids is reserved.
    """
    # Compared as a literal: a type without negative numbers could not hold -1 in a Series.
    reserved = RESERVED_TEXT if ids.dtype == pl.String else RESERVED_INTEGER
    rows = pl.select(pl.lit(ids) == reserved).to_series().arg_true()
    if len(rows):
        raise reserved_id(ids.name, reserved, f"{row} {rows[0] + 1}")


def reserved_id(name: str, received: object, where: str) -> InputError:
    """Returns the error on a raw id that is reserved."""
    return InputError(
        f"No {name} may have the id with which serving pads requests",
        received=repr(received),
        where=where,
        action="Give it another id in the source, or remove its rows",
    )


def _codes(ids: pl.Series) -> tuple[pl.Series, np.ndarray]:
    if ids.null_count():
        row = ids.is_null().arg_true()[0] + 1
        raise InputError(
            f"Each event must have a {ids.name}", received="none", where=f"event {row}"
        )
    check_reserved(ids, "event")
    unique = ids.unique().sort()
    if ids.dtype == pl.String:
        return unique, ids.cast(pl.Enum(unique)).to_physical().to_numpy().astype(np.int32)
    # Writing into int32 directly spares the int64 positions of all events.
    codes = np.empty(len(ids), np.int32)
    known, values = unique.to_numpy(), ids.to_numpy()
    for start in range(0, len(ids), 1 << 20):
        part = slice(start, start + (1 << 20))
        codes[part] = np.searchsorted(known, values[part])
    return unique.cast(pl.Int64), codes


def split_codes(names: pl.Series) -> np.ndarray:
    """Returns the positions in `SPLITS` of the names of splits, int8.

    Raises:
        InputError: A split of another name, or none.
    """
    unknown = names.filter(~names.is_in(list(SPLITS)))
    if len(unknown) or names.null_count():
        raise InputError(
            f"A given split must be one of {', '.join(SPLITS)}",
            received=repr(unknown[0]) if len(unknown) else "a missing value",
        )
    return names.cast(pl.Enum(SPLITS)).to_physical().to_numpy().astype(np.int8)
