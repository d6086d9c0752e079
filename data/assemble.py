"""Interactions to a prepared dataset: filter, split, encode, draw candidates, write."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from data.atomic import atomic_folder, write_json
from data.attributes import write_attributes
from data.blocks import Ragged, write_split
from data.candidates import TouchedItems
from data.errors import InputError
from data.events import SPLITS, TRAIN, Events
from data.filters import FilterOptions, apply_filters
from data.frozen import FrozenCandidates
from data.histories import (
    HISTORIES_BLOCK,
    MAX_SHARDS,
    ROWS_BLOCK,
    EncodedEvents,
    history_columns,
    history_values,
    row_columns,
    split_histories,
    split_rows,
    splits_present,
)
from data.interactions import Interactions
from data.output import check_output
from data.schema import SCHEMA_FILE, TOOL, Feature, Kind, Schema, Split, View
from data.splits import HELD_OUT_USERS, SplitOptions, split_events
from data.vocabulary import Vocabulary


@dataclass(frozen=True)
class PrepareOptions:
    """How to prepare interactions.

    Attributes:
        filters: Which events to keep.
        split: How to split them.
        negatives: Frozen candidates to draw for each user and held-out split.
        popular_negatives: As many more, drawn in proportion to their events in training.
        seed: Seed of the order of training rows and of the candidates.
    """

    filters: FilterOptions = field(default_factory=FilterOptions)
    split: SplitOptions = field(default_factory=SplitOptions)
    negatives: int = 99
    popular_negatives: int = 0
    seed: int = 0


def prepare(
    interactions: Interactions,
    options: PrepareOptions,
    out: Path,
    *,
    overwrite: bool = False,
    report: Callable[[str], None] = lambda _: None,
) -> Schema:
    """Writes the prepared dataset of `interactions` to the folder `out`.

    Takes the events out of `interactions`, so that they need not be held twice.

    Args:
        interactions: What a source delivered.
        options: How to prepare it.
        out: Folder to write; complete or absent afterwards.
        overwrite: Whether an existing folder is replaced.
        report: Called with what is being done.

    Raises:
        InputError: Input that breaks a rule, or `out` may not be written or replaced.
    """
    check_output(out, overwrite=overwrite)
    with atomic_folder(out, overwrite=overwrite) as folder:
        report("encoding ids")
        events = Events.from_frame(interactions.events)
        interactions.events = interactions.events.clear()
        report(f"filtering {len(events):,} interactions")
        skipped = sum(interactions.skipped_lines.values())
        counts = {"skipped_lines": skipped} if skipped else {}
        counts |= apply_filters(events, options.filters)
        report(f"splitting by {options.split.method}")
        counts |= split_events(events, options.split)
        schema = _Writer(folder, interactions, events, options, report).write(counts)
        write_json(folder / SCHEMA_FILE, schema.to_json())
    return schema


def _train_vocabularies(events: Events) -> tuple[Vocabulary, Vocabulary]:
    train = events.split == TRAIN
    user_counts = np.bincount(events.user[train], minlength=len(events.user_ids))
    item_counts = np.bincount(events.item[train], minlength=len(events.item_ids))
    return (
        Vocabulary.from_counts(events.user_ids, user_counts),
        Vocabulary.from_counts(events.item_ids, item_counts),
    )


class _Writer:
    """Writes the parts of one prepared dataset and collects their schema."""

    def __init__(
        self,
        folder: Path,
        interactions: Interactions,
        events: Events,
        options: PrepareOptions,
        report: Callable[[str], None],
    ) -> None:
        self.folder, self.interactions, self.options = folder, interactions, options
        self.report = report
        self.users, self.items = _train_vocabularies(events)
        self.encoded = EncodedEvents(events, self.users, self.items)
        self.events = events
        self.features = self._event_features()
        self.dtypes = {f.name: f.dtype for f in self.features}
        self.candidates = FrozenCandidates(
            interactions,
            self.encoded,
            self.users,
            self.items,
            options.negatives,
            options.popular_negatives,
            options.seed,
        )

    def write(self, counts: dict[str, int]) -> Schema:
        """Writes everything but the schema, which it returns."""
        self.users.write(self.folder, "user")
        self.items.write(self.folder, "item")
        views = {"rows": self._write_rows(), "histories": self._write_histories()}
        source = self.interactions
        for key, table, ids in (
            ("user", source.users, self.users),
            ("item", source.items, self.items),
        ):
            if table is not None and table.width > 1:
                self.report(f"writing attributes of {key}s")
                views[f"{key}s"], features = write_attributes(
                    self.folder, key, table, ids, source.text_attributes
                )
                self.features += features
        return Schema(
            name=source.name,
            features=self._unique_features(),
            views=views,
            candidates=self.candidates.cards,
            provenance={
                "files": source.files,
                "options": source.options
                | {"skipped_lines": source.skipped_lines}
                | _plain_options(self.options),
                "tool": TOOL,
            },
            facts=source.facts | self._facts() | {"preparation": counts},
        )

    def _facts(self) -> dict[str, Any]:
        held_out = self.options.split.method == HELD_OUT_USERS
        return self.candidates.facts | ({"held_out_users": True} if held_out else {})

    def _event_features(self) -> list[Feature]:
        features = [
            self.users.feature("user", Kind.USER),
            self.items.feature("item", Kind.ITEM),
        ]
        if self.events.rating is not None:
            features.append(Feature("rating", Kind.LABEL, "float32"))
        if self.events.label is not None:
            features.append(Feature("label", Kind.LABEL, "float32"))
        if self.events.time is not None:
            features.append(Feature("time", Kind.TIME, "int64"))
        return features

    def _unique_features(self) -> tuple[Feature, ...]:
        names = [f.name for f in self.features]
        twice = sorted({n for n in names if names.count(n) > 1})
        if twice:
            raise InputError(
                "Users and items must not share an attribute's name", received=twice[0]
            )
        return tuple(self.features)

    def _write_rows(self) -> View:
        columns = row_columns(self.events)
        splits: dict[str, Split] = {}
        for split in splits_present(self.events):
            self.report(f"writing rows of {SPLITS[split]}")
            splits[SPLITS[split]] = write_split(
                self.folder,
                "rows",
                SPLITS[split],
                columns,
                self.dtypes,
                split_rows(self.encoded, split, self.options.seed),
                block_rows=ROWS_BLOCK,
                max_shards=MAX_SHARDS,
            )
        return View(columns, splits)

    def _write_histories(self) -> View:
        self.report("collecting touched items")
        touched = TouchedItems(
            self.events.user,
            self.encoded.item_id,
            len(self.encoded.user_id),
            len(self.items.raw_ids),
        )
        longest: dict[str, int] = {}
        splits: dict[str, Split] = {}
        for split in splits_present(self.events):
            name = SPLITS[split]
            self.report(f"writing histories of {name}")
            negatives = partial(self.candidates.negatives, split, touched)
            popular = partial(self.candidates.popular, split, touched)
            has_popular = self.options.popular_negatives and self.events.label is None
            data = split_histories(self.encoded, split, negatives, popular if has_popular else None)
            if split != TRAIN:
                self.candidates.record(split, data)
            for key, values in data.items():
                if isinstance(values, Ragged):
                    longest[key] = max(longest.get(key, 1), int(values.lengths.max(initial=1)))
            splits[name] = write_split(
                self.folder,
                "histories",
                name,
                history_columns(history_values(self.events), longest),
                self.dtypes,
                data,
                block_rows=HISTORIES_BLOCK,
                max_shards=MAX_SHARDS,
            )
        return View(history_columns(history_values(self.events), longest), splits)


def _plain_options(options: PrepareOptions) -> dict[str, Any]:
    plain = dataclasses.asdict(options)
    return {**plain.pop("filters"), "split": plain.pop("split"), **plain}
