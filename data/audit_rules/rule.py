"""What every rule of the audit is: it sees the rows, and says what it found."""

from __future__ import annotations

from dataclasses import dataclass, field

from data.feature import Kind
from data.inspection.scan import ROWS
from data.row_stream import Rows
from data.schema import Column, Schema


@dataclass(frozen=True)
class Finding:
    """One leak.

    Attributes:
        rule: Name of the rule.
        subject: Feature or split that is at fault.
        found: What was found, in numbers.
        where: View, split and column.
        action: What to do about it.
    """

    rule: str
    subject: str
    found: str
    where: str
    action: str

    @property
    def name(self) -> str:
        """What `--ignore` calls it."""
        return f"{self.rule}:{self.subject}"


@dataclass
class Verdict:
    """What a rule says at the end.

    Attributes:
        looked_at: What it has looked at, or why it could not.
        checked: Whether it could look at all.
        findings: Leaks.
        notes: What is worth knowing and no leak.
    """

    looked_at: str
    checked: bool = True
    findings: list[Finding] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


class Rule:
    """Sees the rows of the view `rows` in three passes, then gives its verdict.

    The held-out splits come first, so that train can be compared with them as it is read; then
    train; then the held-out splits again, validation before test.
    """

    name: str

    def see_held_out(self, split: str, rows: Rows) -> None:
        """Sees some rows of a held-out split."""

    def see_train(self, rows: Rows) -> None:
        """Sees some rows of train."""

    def see_held_out_again(self, split: str, rows: Rows) -> None:
        """Sees some rows of a held-out split, when all of train is known."""

    def verdict(self) -> Verdict:
        """Returns what was found."""
        raise NotImplementedError


def columns_of(schema: Schema, *kinds: Kind) -> list[Column]:
    """Returns the columns of the view `rows` with features of these kinds."""
    columns = schema.view(ROWS).columns
    return [c for c in columns if schema.feature(c.feature).kind in kinds]


def column_of(schema: Schema, kind: Kind) -> str | None:
    """Returns the name of the first such column, or None."""
    return next((column.name for column in columns_of(schema, kind)), None)
