"""What a fault is, what came of it, and the table of all."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

_HEADER = ("fault", "what the user saw", "what was lost", "outcome")
_WORK_DIR = "WORK_DIR"  # stands for the folder in what was said
OK, FAILED = "ok", "FAILED"


class UnexpectedError(Exception):
    """The product did not do what it promises on such a day."""


class NotRunError(Exception):
    """The fault cannot be injected here; says why."""


@dataclass(frozen=True)
class Outcome:
    """What came of a fault that the product survived.

    Attributes:
        said: First line of what the user was told.
        lost: What was lost.
        how: How the fault was injected, where there are several ways.
    """

    said: str
    lost: str = "nothing"
    how: str = ""


@dataclass(frozen=True)
class Fault:
    """A fault to inject.

    Attributes:
        name: For `--only`.
        title: For the table.
        inject: Injects it into real runs in a workshop, checks the outcome and returns it.
    """

    name: str
    title: str
    inject: Callable[[Any], Outcome]


@dataclass(frozen=True)
class Row:
    """A line of the table."""

    fault: str
    said: str
    lost: str
    outcome: str

    @classmethod
    def of(cls, fault: Fault, workshop: Any) -> Row:
        """Injects a fault and returns its line, whatever happens."""
        try:
            found = fault.inject(workshop)
        except NotRunError as error:
            return cls(fault.title, "", "", f"not run ({error})")
        except Exception as error:
            return cls(fault.title, f"{type(error).__name__}: {error}", "unknown", FAILED)
        finally:
            workshop.end_all()
        said = found.said.replace(str(workshop.folder), _WORK_DIR)
        title = f"{fault.title} ({found.how})" if found.how else fault.title
        return cls(title, said, found.lost, OK)

    def cells(self) -> tuple[str, str, str, str]:
        """Returns the texts of the line."""
        return self.fault, self.said, self.lost, self.outcome


def check(holds: bool, otherwise: str) -> None:
    """Raises UnexpectedError where what must hold does not."""
    if not holds:
        raise UnexpectedError(otherwise)


def plain_table(rows: Sequence[Row]) -> str:
    """Returns the table for a terminal: a line a fault, what was said below it."""
    width = max(len(row.fault) for row in rows)
    lines = []
    for row in rows:
        lost = f"  lost: {row.lost}" if row.lost else ""
        lines.append(f"{row.fault:<{width}}  {row.outcome}{lost}")
        lines += [f"    {row.said}"] if row.said else []
    return "\n".join(lines)


def markdown_table(rows: Sequence[Row]) -> str:
    """Returns the table as Markdown."""
    lines = [_HEADER, ("---",) * len(_HEADER), *(row.cells() for row in rows)]
    escaped = [[cell.replace("|", "\\|").replace("\n", " ") for cell in line] for line in lines]
    return "".join(f"| {' | '.join(line)} |\n" for line in escaped)
