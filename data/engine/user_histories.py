"""Parts by user to shards of the view `histories`, with frozen candidates."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

import numpy as np

from data.blocks import Ragged
from data.candidates import TouchedItems, draw_negatives, draw_popular
from data.engine.encoding import EncodedShard, write_shard
from data.engine.parts import codes_of, read_part
from data.engine.raw_id_index import RawIdIndex
from data.engine.row_splits import RowSplits
from data.events import SPLITS, TRAIN, Events
from data.histories import (
    HISTORIES_BLOCK,
    EncodedEvents,
    history_columns,
    split_histories,
    splits_present,
)
from data.schema import FIRST_ID
from data.spec.table_spec import InteractionsSpec
from data.vocabulary import Vocabulary

POPULAR_ITEM = "popular_item"
_UNIFORM, _POPULAR = range(2)  # of the seed of a draw


class HistoryWriter:
    """Writes the histories of the users of one part after the other.

    Args:
        vocabularies: Those of `user` and `item`.
        values: Columns of the rows, of which `time` is a list of histories too.
        options: How many candidates to draw.
        item_counts: Rows of each item in train, in the order of the vocabulary: (items,).
        seed: Seed of the draws.

    Attributes:
        columns: The view's columns.
    """

    def __init__(
        self,
        vocabularies: Mapping[str, Vocabulary],
        values: Sequence[str],
        options: InteractionsSpec,
        item_counts: np.ndarray,
        seed: int,
    ) -> None:
        self._users = RawIdIndex(vocabularies["user"])
        self._items = RawIdIndex(vocabularies["item"])
        self._item_count = len(vocabularies["item"].raw_ids)
        self._options, self._counts, self._seed = options, item_counts, seed
        self._times = ["time"] if "time" in values else []
        popular = {POPULAR_ITEM: 1} if options.popular_negatives else {}
        self.columns = history_columns(self._times, popular)
        self._dtypes = {"user": "int32", "item": "int32", "time": "int64"}

    def write(
        self, path: Path, split: np.ndarray, index: int, folder: Path
    ) -> dict[str, EncodedShard]:
        """Writes one shard for each split that a part's users have rows in.

        Args:
            path: The part, sorted by user, then time.
            split: Split of each of its rows.
            index: Number of the part; keys its draws.
            folder: Where to write `SPLIT-INDEX.tfrecord`.

        Returns:
            What was written, by split.
        """
        encoded = self._encoded(path, split)
        touched = TouchedItems(
            encoded.events.user, encoded.item_id, len(encoded.user_id), self._item_count
        )
        written = {}
        for code in splits_present(encoded.events):
            uniform = partial(self._uniform, touched, [self._seed, code, index, _UNIFORM])
            popular = partial(self._popular, touched, [self._seed, code, index, _POPULAR])
            has_popular = bool(self._options.popular_negatives)
            data = split_histories(encoded, code, uniform, popular if has_popular else None)
            file = folder / f"{SPLITS[code]}-{index:06d}.tfrecord"
            written[SPLITS[code]] = write_shard(
                file, self.columns, self._dtypes, data, HISTORIES_BLOCK
            )
        return written

    def _encoded(self, path: Path, split: np.ndarray) -> EncodedEvents:
        part = read_part(path, ["user", "item", *self._times])
        user, user_ids = codes_of(part.column("user"))
        item, item_ids = codes_of(part.column("item"))
        time = part.column("time").to_numpy() if self._times else None
        events = Events(user, item, None, time, split, user_ids, item_ids)
        return EncodedEvents(
            events,
            Vocabulary(user_ids, self._users.ids(user_ids)),
            Vocabulary(item_ids, self._items.ids(item_ids)),
        )

    def _uniform(self, touched: TouchedItems, seed: list[int], users: np.ndarray) -> Ragged:
        return draw_negatives(users, touched, self._options.negatives, seed)

    def _popular(self, touched: TouchedItems, seed: list[int], users: np.ndarray) -> Ragged:
        return draw_popular(users, touched, self._counts, self._options.popular_negatives, seed)


def train_item_counts(splits: RowSplits, items: Vocabulary) -> np.ndarray:
    """Returns the rows of each item in train, in the order of the vocabulary: (items,)."""
    index, counts = RawIdIndex(items), np.zeros(items.cardinality, np.int64)
    for number, path in enumerate(splits.paths):
        codes, raw = codes_of(read_part(path, ["item"]).column(0))
        of_train = codes[splits.of_part(number) == TRAIN]
        counts += np.bincount(index.ids(raw)[of_train], minlength=len(counts))
    return counts[FIRST_ID:]
