"""The frozen candidates of a dataset: drawn or given, recorded, and scored by the truth."""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl

from data.blocks import ColumnData, Ragged
from data.candidates import (
    TouchedItems,
    candidates_sha256,
    draw_negatives,
    draw_popular,
    given_negatives,
)
from data.events import FOLD_IN, SPLITS, TRAIN
from data.histories import EncodedEvents, no_lists
from data.interactions import Interactions
from data.schema import FIRST_ID, Candidates
from data.vocabulary import Vocabulary

_POPULAR_STREAM = 1  # of the seed, beside that of the uniform draw


class FrozenCandidates:
    """Collects what the schema says of the candidates, split by split.

    Labelled events have none: they are scored by their labels and not ranked.

    Args:
        interactions: What the source delivered: perhaps candidates of its own, and its truth.
        encoded: The events.
        users: The user vocabulary.
        items: The item vocabulary.
        count: Negatives to draw for each user.
        popular: As many more, drawn by popularity.
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
        popular: int,
        seed: int,
    ) -> None:
        self._interactions, self._encoded = interactions, encoded
        self._users, self._items = users, items
        self._count, self._popular, self._seed = count, popular, seed
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
        if self._encoded.events.label is not None:
            return no_lists(len(positions))
        given = self._given(split)
        if given is None:
            return draw_negatives(positions, touched, self._count, [self._seed, split])
        events = self._encoded.events
        assert events.split is not None
        targets = self._encoded.lists(np.equal(events.split, split), positions, events.item)
        codes = self._encoded.user_code[positions]
        return given_negatives(given, codes, targets, events, self._items)

    def popular(self, split: int, touched: TouchedItems, positions: np.ndarray) -> Ragged:
        """Returns candidates by popularity of the users at the given positions, as item ids."""
        events = self._encoded.events
        assert events.split is not None
        of_train = self._encoded.item_id[events.split == TRAIN]
        counts = np.bincount(of_train, minlength=self._items.cardinality)[FIRST_ID:]
        seed = [self._seed, split, _POPULAR_STREAM]
        return draw_popular(positions, touched, counts, self._popular, seed)

    def record(self, split: int, histories: dict[str, ColumnData]) -> None:
        """Records the candidates of a split of the view `histories`."""
        if self._encoded.events.label is not None:
            return
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
            sha256=candidates_sha256([(users, negatives)], self._users, self._items),
        )
        popular = histories.get("popular_item")
        if isinstance(popular, Ragged):
            self.cards[f"{name}/popular"] = Candidates(
                negatives=int(popular.lengths.max(initial=0)),
                sampling="popularity",
                seed=self._seed,
                sha256=candidates_sha256([(users, popular)], self._users, self._items),
            )
        oracle, event_split = self._interactions.oracle, self._encoded.events.split
        assert event_split is not None
        # For users that training never saw, the truth would rank without their fold-in.
        if oracle is not None and not (event_split == FOLD_IN).any():
            raw = self._items.raw_ids.to_numpy(), self._users.raw_ids.to_numpy()
            scores = oracle.best_scores(name, users, targets, seen, negatives, *raw, sampled=count)
            self.facts.setdefault("best_scores", {})[name] = scores
