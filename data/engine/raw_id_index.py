"""Raw ids to ids at a cost that does not grow with the vocabulary."""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl

from data.schema import FIRST_ID, OOV_ID
from data.vocabulary import Vocabulary


class RawIdIndex:
    """Finds the ids of raw ids; made once and asked for many parts of a table.

    A join would hash the whole vocabulary again for every part.

    Args:
        vocabulary: The raw ids, each there once.
    """

    def __init__(self, vocabulary: Vocabulary) -> None:
        self._vocabulary = vocabulary
        hashes = vocabulary.raw_ids.hash().to_numpy()
        self._places = np.argsort(hashes).astype(np.int32)
        self._hashes = hashes[self._places]

    def __reduce__(self) -> tuple[Any, ...]:
        # Made anew where it is sent to: another machine may hash in another way.
        return RawIdIndex, (self._vocabulary,)

    def ids(self, raw: pl.Series) -> np.ndarray:
        """Returns the ids of raw ids, none of them null: (raw ids,), int32; 1 for unknown ones."""
        ids = np.full(len(raw), OOV_ID, np.int32)
        if not len(self._hashes) or not len(raw):
            return ids
        known = self._vocabulary.raw_ids
        raw = raw.cast(known.dtype)
        hashes = raw.hash().to_numpy()
        order = np.argsort(hashes)  # neighbours are then looked up one after the other
        found = np.searchsorted(self._hashes, hashes[order])
        found = np.minimum(found, len(self._hashes) - 1)
        hit = self._hashes[found] == hashes[order]
        asked, places = order[hit], self._places[found[hit]]
        ids[asked] = places + FIRST_ID
        # Two raw ids may have one hash: the first of them was found.
        other = asked[(known.gather(places) != raw.gather(asked)).to_numpy()]
        if len(other):
            ids[other] = self._vocabulary.ids(raw.gather(other))
        return ids
