"""Vocabularies must be those of train; and how many held-out events have an item that is new."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

import numpy as np

from data.audit_rules.rule import Finding, Rule, Verdict, column_of, columns_of
from data.audit_rules.same_event import raw_id
from data.dataset import PreparedDataset
from data.feature import Kind
from data.row_stream import Rows, flat
from data.schema import FIRST_ID, Schema

_ID_KINDS = (Kind.USER, Kind.ITEM, Kind.CATEGORICAL, Kind.MULTI_HOT, Kind.TEXT)


@dataclass
class _Vocabulary:
    """The ids of a vocabulary that were met, by all columns that share it."""

    columns: list[str]
    in_train: np.ndarray
    held_out: np.ndarray


class FittedVocabularies(Rule):
    """Looks for ids of a vocabulary that no row of train has.

    Memory: 2 bytes for each id. Vocabularies of attributes are not looked at.

    Args:
        data: The dataset.
    """

    name = "vocabulary"

    def __init__(self, data: PreparedDataset) -> None:
        self._data = data
        self._vocabularies: dict[str, _Vocabulary] = {}
        for column in columns_of(data.schema, *_ID_KINDS):
            feature = data.schema.feature(column.feature)
            if feature.vocabulary is None:
                continue
            ids = data.schema.cardinality(feature.name)
            fresh = _Vocabulary([], np.zeros(ids, bool), np.zeros(ids, bool))
            self._vocabularies.setdefault(feature.vocabulary, fresh).columns.append(column.name)

    def see_train(self, rows: Rows) -> None:
        """Marks the ids."""
        for vocabulary in self._vocabularies.values():
            for name in vocabulary.columns:
                vocabulary.in_train[flat(rows[name])] = True

    def see_held_out_again(self, split: str, rows: Rows) -> None:
        """Marks the ids."""
        for vocabulary in self._vocabularies.values():
            for name in vocabulary.columns:
                vocabulary.held_out[flat(rows[name])] = True

    def verdict(self) -> Verdict:
        """Returns a finding for each vocabulary with ids that train does not have."""
        if not self._vocabularies:
            return Verdict("no vocabularies", checked=False)
        ids = sum(len(v.in_train) - FIRST_ID for v in self._vocabularies.values())
        result = Verdict(f"{ids:,} entries of {len(self._vocabularies):,} vocabularies")
        for file, vocabulary in self._vocabularies.items():
            absent = ~vocabulary.in_train
            absent[:FIRST_ID] = False
            if absent.any():
                result.findings.append(self._finding(file, vocabulary, absent))
        return result

    def _finding(self, file: str, vocabulary: _Vocabulary, absent: np.ndarray) -> Finding:
        held_out = int((absent & vocabulary.held_out).sum())
        first = int(np.flatnonzero(absent)[0])
        return Finding(
            self.name,
            vocabulary.columns[0],
            f"{int(absent.sum()):,} of {len(absent) - FIRST_ID:,} entries are in no row of train, "
            f"{held_out:,} of them in held-out rows; the first is "
            f"{raw_id(self._data, file, first)!r}",
            f"{file}, line {first - FIRST_ID + 1}, of column {', '.join(vocabulary.columns)}",
            "Fit vocabularies on train only: prepare the dataset again. Where ids are known from "
            f"elsewhere, such as a catalogue: --ignore={self.name}:{vocabulary.columns[0]}",
        )


class NewItems(Rule):
    """Counts held-out events with an item that train does not have.

    Args:
        schema: The dataset's schema.
        most: Largest share of a split's events that is no finding.
    """

    name = "new-items"

    def __init__(self, schema: Schema, most: float = 1.0) -> None:
        self._most = most
        self._item = column_of(schema, Kind.ITEM)
        self._known = np.zeros(schema.cardinality(self._item) if self._item else 0, bool)
        self._rows: Counter[str] = Counter()
        self._new: Counter[str] = Counter()

    def see_train(self, rows: Rows) -> None:
        """Marks the items."""
        if self._item:
            self._known[flat(rows[self._item])] = True
            self._known[:FIRST_ID] = False  # an item that is out of vocabulary may be any

    def see_held_out_again(self, split: str, rows: Rows) -> None:
        """Counts the events."""
        if self._item:
            items = flat(rows[self._item])
            self._rows[split] += len(items)
            self._new[split] += int((~self._known[items]).sum())

    def verdict(self) -> Verdict:
        """Returns a note for each split, and a finding where there are too many."""
        if self._item is None:
            return Verdict("no column of items", checked=False)
        result = Verdict(f"{sum(self._rows.values()):,} held-out events")
        for split, new in self._new.items():
            share = new / self._rows[split]
            found = (
                f"{new:,} of {self._rows[split]:,} events of {split} ({share:.2%}) have an item "
                "first seen after train, or too rare there for an id"
            )
            if share > self._most:
                result.findings.append(self._finding(split, found))
            elif new:
                result.notes.append(found)
        return result

    def _finding(self, split: str, found: str) -> Finding:
        return Finding(
            self.name,
            split,
            f"{found}; at most {self._most:.2%} was asked for",
            f"rows of {split}, column '{self._item}'",
            "A model that knows items by their id cannot rank these: give it their attributes, "
            "train on later events, or raise --max_new_items",
        )
