"""No held-out event may be earlier than what a model has learned from."""

from __future__ import annotations

from collections import Counter
from typing import Literal

import numpy as np

from data.audit_rules.rule import Finding, Rule, Verdict, column_of
from data.feature import Kind
from data.row_stream import Rows, flat
from data.schema import FIRST_ID, Schema

Order = Literal["auto", "all", "user"]
EARLIER = {"validation": ("train",), "test": ("train", "validation")}
_NEVER = np.iinfo(np.int64).min


class TimeOrder(Rule):
    """Compares times of all events, or of each user's events.

    With order `auto` it is each user's where rows have users, unless the dataset says that it was
    split by time. Memory: 16 bytes a user.

    Args:
        schema: The dataset's schema.
        order: `all`: no held-out event before any of train; `user`: none before one of the same
            user.
    """

    name = "time-order"

    def __init__(self, schema: Schema, order: Order = "auto") -> None:
        self._time, self._user = column_of(schema, Kind.TIME), column_of(schema, Kind.USER)
        split = schema.provenance.get("options", {}).get("split")
        by_time = isinstance(split, dict) and split.get("method") == "time"
        self._by_user = self._user is not None and (
            order == "user" or (order == "auto" and not by_time)
        )
        users = schema.cardinality(self._user) if self._user else 0
        self._latest = {split: np.full(users, _NEVER) for split in ("train", "validation")}
        self._first: dict[str, int] = {}
        self._last: dict[str, int] = {}
        self._rows: Counter[str] = Counter()
        self._after: Counter[str] = Counter()  # rows of train after the first of a held-out split
        self._before: Counter[tuple[str, str]] = Counter()  # by held-out split and earlier split
        self._before_own: Counter[tuple[str, str]] = Counter()

    def see_held_out(self, split: str, rows: Rows) -> None:
        """Notes the first and the last time."""
        if self._time is None:
            return
        times = flat(rows[self._time])
        self._first[split] = min(int(times.min()), self._first.get(split, int(times.min())))
        self._last[split] = max(int(times.max()), self._last.get(split, int(times.max())))

    def see_train(self, rows: Rows) -> None:
        """Notes the last time of all, and of each user."""
        if self._time is None:
            return
        times = flat(rows[self._time])
        self._rows["train"] += len(times)
        self._last["train"] = max(int(times.max()), self._last.get("train", _NEVER))
        for split, first in self._first.items():
            self._after[split] += int((times > first).sum())
        self._note_users("train", rows)

    def see_held_out_again(self, split: str, rows: Rows) -> None:
        """Counts the events that are too early."""
        if self._time is None:
            return
        times = flat(rows[self._time])
        self._rows[split] += len(times)
        for earlier in EARLIER[split]:
            if earlier not in self._last:
                continue
            self._before[split, earlier] += int((times < self._last[earlier]).sum())
            if self._user:
                users = flat(rows[self._user])
                early = (times < self._latest[earlier][users]) & (users >= FIRST_ID)
                self._before_own[split, earlier] += int(early.sum())
        self._note_users(split, rows)

    def _note_users(self, split: str, rows: Rows) -> None:
        if self._user and split in self._latest:
            np.maximum.at(self._latest[split], flat(rows[self._user]), flat(rows[self._time or ""]))

    def verdict(self) -> Verdict:
        """Returns a finding for each held-out split with events that are too early."""
        if self._time is None:
            return Verdict("no column of times", checked=False)
        scope = "of each user" if self._by_user else "of all events"
        result = Verdict(f"{sum(self._rows.values()):,} times, order {scope}")
        counts = self._before_own if self._by_user else self._before
        for (split, earlier), early in counts.items():
            if early:
                result.findings.append(self._finding(split, earlier, early))
            elif self._by_user and self._before[split, earlier]:
                result.notes.append(
                    f"{self._of_all(split, self._before[split, earlier])} are before the last "
                    f"event of {earlier}, but none before an event of the same user; with "
                    "--order=all this is a finding"
                )
        return result

    def _of_all(self, split: str, count: int) -> str:
        rows = self._rows[split]
        return f"{count:,} of {rows:,} events of {split} ({count / rows:.1%})"

    def _finding(self, split: str, earlier: str, early: int) -> Finding:
        if self._by_user:
            found = f"are before an event of the same user in {earlier}"
        else:
            found = f"are before the last event of {earlier}, at {self._last[earlier]}"
        if not self._by_user and earlier == "train":
            after, rows = self._after[split], self._rows["train"]
            found += f"; {after / rows:.1%} of train is after the first of {split}"
        return Finding(
            self.name,
            split,
            f"{self._of_all(split, early)} {found}",
            f"rows of {split} and {earlier}, column '{self._time}'",
            "A model would learn from the future: split by time, or hold out the last events of "
            f"each user. Where a random split is meant: --ignore={self.name}",
        )
