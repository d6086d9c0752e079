"""Interactions as every source delivers them, before they are split and encoded."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

import polars as pl

from data.errors import InputError

if TYPE_CHECKING:
    import numpy as np

    from data.blocks import Ragged


class Oracle(Protocol):
    """The truth behind synthetic data, which knows how well anyone can do."""

    def best_scores(
        self,
        split: str,
        users: np.ndarray,
        targets: Ragged,
        seen: Ragged,
        negatives: Ragged,
        item_raw_ids: np.ndarray,
        user_raw_ids: np.ndarray,
        sampled: int,
    ) -> dict[str, float]:
        """Scores the truth as evaluation scores a model.

        Args:
            split: `validation` or `test`.
            users: User ids of shape (users,), int32, as in the view `histories`.
            targets: Item ids held out, a list a user.
            seen: Item ids of earlier splits, a list a user.
            negatives: Item ids of the frozen candidates, a list a user.
            item_raw_ids: Raw ids of shape (items,); index n is id n + 2.
            user_raw_ids: Raw ids of shape (users,); index n is id n + 2.
            sampled: Number of negatives that names the protocol.

        Returns:
            Best reachable score by metric name, such as `hr@10/sampled99`.
        """


@dataclass
class Interactions:
    """Users' interactions with items, with raw ids.

    Attributes:
        name: Name of the dataset, for people.
        events: One row an interaction: `user` and `item` (an integer type, or String), `rating`
            (Float32), and `time` (Int64, any unit that orders events; absent where the source has
            none). A `split` column (String: train, validation or test) where the source is
            already split.
        users: Attributes of users, one row a user: `user` and one column an attribute (String,
            Int64, Float32 or List of String), or None.
        items: Attributes of items in the same form, keyed by `item`, or None.
        text_attributes: Attributes for people to read, such as titles.
        candidates: Frozen negatives that the source brings: `split`, `user`, and `negatives`
            (List of the item's type), one row a user, or None.
        files: Source files by name, with sha-256.
        skipped_lines: Malformed lines that were skipped, by file.
        options: The options that shaped the events, for provenance.
        facts: Facts to carry into the schema.
        oracle: The truth behind synthetic data, or None.
    """

    name: str
    events: pl.DataFrame
    users: pl.DataFrame | None = None
    items: pl.DataFrame | None = None
    text_attributes: frozenset[str] = frozenset()
    candidates: pl.DataFrame | None = None
    files: dict[str, str] = field(default_factory=dict)
    skipped_lines: dict[str, int] = field(default_factory=dict)
    options: dict[str, Any] = field(default_factory=dict)
    facts: dict[str, Any] = field(default_factory=dict)
    oracle: Oracle | None = None

    def add_item_titles(self, titles: Mapping[str, str]) -> None:
        """Adds titles by raw id to the attributes of the items, as the text `title`.

        Raises:
            InputError: The items have titles already, or none of these is an item's.
        """
        table = self.events.select(pl.col("item").unique()) if self.items is None else self.items
        if "title" in table.columns:
            raise InputError(
                "--item_titles is for items without titles",
                received=f"{self.name}, whose items have some",
                action="Drop it",
            )
        known = pl.DataFrame({"item": list(titles), "title": list(titles.values())})
        ids = pl.col("item").cast(table["item"].dtype, strict=False)
        joined = table.join(known.with_columns(ids).drop_nulls(), on="item", how="left")
        if joined["title"].null_count() == len(joined):
            raise InputError(
                "--item_titles must name items of the source",
                received=f"{len(titles):,} ids, such as {next(iter(titles), '')!r}",
                action=f"The source has items such as {table['item'][0]!r}",
            )
        self.items = joined
        self.text_attributes |= {"title"}
