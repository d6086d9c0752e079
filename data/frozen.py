"""The frozen candidates of a dataset: drawn or given, recorded, and scored by the truth."""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl

from data.blocks import ColumnData, Ragged
from data.candidates import TouchedItems, candidates_sha256, draw_negatives, given_negatives
from data.events import SPLITS
from data.histories import EncodedEvents
from data.interactions import Interactions
from data.schema import Candidates
from data.vocabulary import Vocabulary


class FrozenCandidates:
    """Collects what the schema says of the candidates, split by split.

    Args:
        interactions: What the source delivered: perhaps candidates of its own, and its truth.
        encoded: The events.
        users: The user vocabulary.
        items: The item vocabulary.
        count: Negatives to draw for each user.
        seed: Seed of the draw.

    Attributes:
        cards: The schema's entries by split.
        facts: The best reachable scores, where the source knows them.
    """

    def __init__(
        self,
        interactions: Interactions,
        encoded: EncodedEvents,
        users: Vocabulary,
        items: Vocabulary,
        count: int,
        seed: int,
    ) -> None:
        self._interactions, self._encoded = interactions, encoded
        self._users, self._items = users, items
        self._count, self._seed = count, seed
        self.cards: dict[str, Candidates] = {}
        self.facts: dict[str, Any] = {}

    def _given(self, split: int) -> pl.DataFrame | None:
        given = self._interactions.candidates
        if given is None:
            return None
        rows = given.filter(given["split"] == SPLITS[split])
        return rows if len(rows) else None

    def negatives(self, split: int, touched: TouchedItems, positions: np.ndarray) -> Ragged:
        """Returns the candidates of the users at the given positions, as item ids."""
        given = self._given(split)
        if given is None:
            return draw_negatives(positions, touched, self._count, [self._seed, split])
        events = self._encoded.events
        assert events.split is not None
        targets = self._encoded.lists(np.equal(events.split, split), positions, events.item)
        codes = self._encoded.user_code[positions]
        return given_negatives(given, codes, targets, events, self._items)

    def record(self, split: int, histories: dict[str, ColumnData]) -> None:
        """Records the candidates of a split of the view `histories`."""
        users, negatives = histories["user"], histories["negative_item"]
        targets, seen = histories["item"], histories["seen_item"]
        assert isinstance(users, np.ndarray)
        assert isinstance(negatives, Ragged)
        assert isinstance(targets, Ragged)
        assert isinstance(seen, Ragged)
        name, drawn = SPLITS[split], self._given(split) is None
        count = int(negatives.lengths.max(initial=0))
        self.cards[name] = Candidates(
            negatives=count,
            sampling="uniform" if drawn else "given",
            seed=self._seed if drawn else None,
            sha256=candidates_sha256(users, negatives, self._users, self._items),
        )
        oracle = self._interactions.oracle
        if oracle is not None:
            raw = self._items.raw_ids.to_numpy(), self._users.raw_ids.to_numpy()
            scores = oracle.best_scores(name, users, targets, seen, negatives, *raw, sampled=count)
            self.facts.setdefault("best_scores", {})[name] = scores
