"""What an export stores of its users: their ids, and the items that each has taken.

No signature tells it, so that a server does not either; it is read from the files of the version.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property
from itertools import islice
from pathlib import Path

import numpy as np
import tensorflow as tf

from data.schema import FIRST_ID

_VARIABLES = Path("variables", "variables")
_VALUE = "/.ATTRIBUTES/VARIABLE_VALUE"
_ITEMS, _STARTS = f"/stored/items{_VALUE}", f"/stored/starts{_VALUE}"
_RAW_ITEMS = f"/_item_ids/_raw{_VALUE}"
_BY_ITEM = f"/_users_of_stored{_VALUE}"  # of models that know no order


class StoredPast:
    """The stored histories of an export.

    Args:
        folder: The version's folder.
    """

    def __init__(self, folder: Path) -> None:
        self._users = folder / "assets" / "user.txt"
        self._reader = tf.train.load_checkpoint(str(folder / _VARIABLES))
        self._keys = list(self._reader.get_variable_to_shape_map())

    @staticmethod
    def find(folder: Path) -> StoredPast | None:
        """Returns what a version stores; None where it stores no histories of users."""
        if not Path(f"{folder / _VARIABLES}.index").is_file():
            return None
        past = StoredPast(folder)
        has_all = all(past._key(ending) for ending in (_ITEMS, _STARTS, _RAW_ITEMS))
        return past if has_all and past._users.is_file() else None

    @property
    def is_in_time_order(self) -> bool:
        """Whether the order of a history is that in which its items were taken."""
        return self._key(_BY_ITEM) is None

    def some_users(self, count: int) -> list[str]:
        """Returns raw ids of users, spread evenly from the most active to the least."""
        total = self._starts.size - 1 - FIRST_ID
        step = max(total // count, 1)
        return list(islice(self._user_lines(), 0, step * count, step))

    def of(self, user: str) -> list[str | None]:
        """Returns the raw ids of a user's items; None in the place of one training never saw.

        Args:
            user: Raw id of the user; one that is unknown has no items.
        """
        place = next((n for n, known in enumerate(self._user_lines()) if known == user), None)
        if place is None:
            return []
        start, end = self._starts[place + FIRST_ID : place + FIRST_ID + 2]
        return [self._raw(item) for item in self._items[start:end]]

    def _raw(self, item: int) -> str | None:
        if item < FIRST_ID:
            return None
        raw = self._raw_items[item]
        return raw.decode() if isinstance(raw, bytes) else str(raw)

    def _user_lines(self) -> Iterator[str]:
        with self._users.open(encoding="utf-8", newline="\n") as file:
            for line in file:
                yield line.removesuffix("\n")

    def _key(self, ending: str) -> str | None:
        return next((key for key in self._keys if key.endswith(ending)), None)

    @cached_property
    def _items(self) -> np.ndarray:
        return self._reader.get_tensor(self._key(_ITEMS))

    @cached_property
    def _starts(self) -> np.ndarray:
        return self._reader.get_tensor(self._key(_STARTS))

    @cached_property
    def _raw_items(self) -> np.ndarray:
        return self._reader.get_tensor(self._key(_RAW_ITEMS))
