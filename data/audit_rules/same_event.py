"""No event may be in two splits."""

from __future__ import annotations

from collections import defaultdict
from functools import cached_property
from itertools import islice

import numpy as np

from data.audit_rules.row_keys import row_keys
from data.audit_rules.rule import Finding, Rule, Verdict, column_of
from data.blocks import Ragged
from data.dataset import PreparedDataset
from data.feature import Kind
from data.inspection.scan import ROWS
from data.row_stream import Rows, flat, row_count
from data.schema import FIRST_ID, Schema

MOST_KEYS = 1 << 26
_SHOWN_COLUMNS = 4


class _Keys:
    """Keys of the rows of one split.

    Attributes:
        keys: Those that occur, ascending, uint64.
        counts: Rows of each.
        first: Position in the split of the first row of each.
        rows: Number of rows.
        in_train: Which were met in train, by position in `keys`.
    """

    def __init__(self, parts: list[np.ndarray], places: list[np.ndarray]) -> None:
        everything, place = np.concatenate(parts), np.concatenate(places)
        self.keys, first, self.counts = np.unique(everything, return_index=True, return_counts=True)
        self.first, self.rows = place[first], len(everything)
        self.in_train = np.zeros(len(self.keys), bool)

    def find(self, keys: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Returns which of the given keys are here, and the positions of those."""
        if not len(self.keys):
            return np.zeros(len(keys), bool), np.zeros(0, np.int64)
        place = np.minimum(np.searchsorted(self.keys, keys), len(self.keys) - 1)
        found = self.keys[place] == keys
        return found, place[found]

    def repeated(self) -> float:
        """Returns the share of rows that equal an earlier row of the split."""
        return 1 - len(self.keys) / max(self.rows, 1)


class SameEvent(Rule):
    """Compares user, item and time where rows have all three, and whole rows otherwise.

    Rows whose user or item is out of vocabulary are left out, as they cannot be told apart. Memory:
    25 bytes a held-out row; of more than 67 million, a sample by hash is compared.

    Args:
        data: The dataset.
        most_keys: Most held-out rows to compare.
    """

    name = "same-event"

    def __init__(self, data: PreparedDataset, most_keys: int = MOST_KEYS) -> None:
        schema = data.schema
        self._data = data
        self._who = [n for k in (Kind.USER, Kind.ITEM) if (n := column_of(schema, k))]
        named = [*self._who, *filter(None, [column_of(schema, Kind.TIME)])]
        self._identified = len(named) == 3
        self._columns = named if self._identified else _all_columns(schema)
        splits = schema.view(ROWS).splits
        held_out = sum(split.rows for name, split in splits.items() if name != "train")
        self._stride = np.uint64(-(-held_out // most_keys) or 1)
        # By split: keys, and the positions of their rows.
        self._kept: dict[str, tuple[list[np.ndarray], list[np.ndarray]]] = {}
        self._seen: dict[str, int] = defaultdict(int)
        self._examples: dict[str, str] = {}

    def see_held_out(self, split: str, rows: Rows) -> None:
        """Keeps the keys."""
        keys, places = self._keys(split, rows)
        for kept, new in zip(self._kept.setdefault(split, ([], [])), (keys, places), strict=True):
            kept.append(new)

    def see_train(self, rows: Rows) -> None:
        """Looks for the rows among those that are held out."""
        before = self._seen["train"]
        keys, places = self._keys("train", rows)
        for split, held in self._held_out.items():
            found, where = held.find(keys)
            held.in_train[where] = True
            if len(where) and split not in self._examples:
                place = int(places[found][0])
                values = self._values(rows, place - before)
                self._examples[split] = (
                    f"train[{place}] and {split}[{int(held.first[where[0]])}]: {values}"
                )

    def verdict(self) -> Verdict:
        """Returns a finding for each two splits that share events."""
        what = "user, item and time" if self._identified else "whole rows"
        sampled = f", 1 in {self._stride} by hash" if self._stride > 1 else ""
        result = Verdict(f"{sum(self._seen.values()):,} rows, {what} compared{sampled}")
        for split, held in self._held_out.items():
            shared = int(held.counts[held.in_train].sum())
            if shared:
                found = self._found(split, "train", shared, held)
                where = f"{self._examples[split]} (positions from 0, in the order of the files)"
                result.findings.append(self._finding(split, found, where))
        if {"validation", "test"} <= set(self._held_out):
            held = self._held_out["test"]
            found_there, where_there = held.find(self._held_out["validation"].keys)
            shared = int(held.counts[where_there].sum())
            if shared:
                other = int(self._held_out["validation"].first[found_there][0])
                where = f"validation[{other}] and test[{int(held.first[where_there[0]])}]"
                found = self._found("test", "validation", shared, held)
                result.findings.append(self._finding("validation-test", found, where))
        return result

    @cached_property
    def _held_out(self) -> dict[str, _Keys]:
        """The held-out splits, once all of them were seen."""
        found = {split: _Keys(*kept) for split, kept in self._kept.items()}
        self._kept.clear()
        return found

    def _keys(self, split: str, rows: Rows) -> tuple[np.ndarray, np.ndarray]:
        """Returns the keys that are compared, and the positions of their rows in the split."""
        keys = row_keys([rows[name] for name in self._columns])
        kept = keys % self._stride == 0
        for name in self._who:
            kept &= flat(rows[name]) >= FIRST_ID
        places = np.flatnonzero(kept)
        start = self._seen[split]
        self._seen[split] += row_count(rows)
        return keys[places], places + start

    def _found(self, split: str, other: str, shared: int, held: _Keys) -> str:
        found = (
            f"{shared:,} of {held.rows:,} rows of {split} ({shared / held.rows:.2%}) are in {other}"
        )
        if self._identified:
            return found
        return f"{found}; {held.repeated():.2%} of {split} repeat another row of {split}"

    def _finding(self, subject: str, found: str, where: str) -> Finding:
        action = "Remove repeated events before they are split"
        if not self._identified:
            action += (
                ". Where rows may well be equal by chance, as few features take few values: "
                f"--ignore={self.name}"
            )
        return Finding(self.name, subject, found, where, action)

    def _values(self, rows: Rows, place: int) -> str:
        shown = []
        for name in self._columns[:_SHOWN_COLUMNS]:
            column = rows[name]
            if not isinstance(column, Ragged):
                shown.append(f"{name} {self._text(name, column[place].item())}")
        more = ", ..." if len(self._columns) > _SHOWN_COLUMNS else ""
        return ", ".join(shown) + more

    def _text(self, name: str, value: float) -> str:
        feature = self._data.schema.feature(self._data.schema.view(ROWS).column(name).feature)
        if feature.vocabulary is None or value < FIRST_ID:
            return f"{value:.10g}" if feature.cardinality is None else f"id {value:.0f}"
        return repr(raw_id(self._data, feature.vocabulary, int(value)))


def raw_id(data: PreparedDataset, vocabulary: str, number: int) -> str:
    """Returns the raw id of one id, without reading the vocabulary into memory."""
    with (data.folder / vocabulary).open(encoding="utf-8", newline="\n") as lines:
        return next(islice(lines, number - FIRST_ID, None)).rstrip("\n")


def _all_columns(schema: Schema) -> list[str]:
    return [column.name for column in schema.view(ROWS).columns]
