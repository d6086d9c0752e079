"""The one form in which bad input is reported."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterable
from difflib import get_close_matches

_COMMAND = re.compile(r": (\w+=\S+ )*(python -m|launch/|serving/)[^:]*$")
_SEPARATORS = (";", "\t", "|", ",")


class InputError(ValueError):
    """Input that breaks a rule.

    The message reads: the rule, what was received, where, and what to do.

    Args:
        rule: What must hold, as a sentence without a full stop.
        received: What was found instead.
        where: Place of the fault: file, line, row or field.
        action: The next step for the user, as a sentence without a full stop; a command comes last,
            after a colon.
    """

    def __init__(
        self,
        rule: str,
        *,
        received: object | None = None,
        where: object | None = None,
        action: str | None = None,
    ) -> None:
        parts = [rule]
        if received is not None:
            parts.append(f"Received: {received}")
        if where is not None:
            parts.append(f"At: {where}")
        if action is not None:
            parts.append(action)
        super().__init__(" ".join(map(_sentence, parts)))

    @staticmethod
    def of_message(message: str) -> InputError:
        """Returns an error with the message of one that another process raised."""
        error = InputError("")
        error.args = (message,)
        return error


def _sentence(text: str) -> str:
    # After a command it would be pasted with it.
    ends = text.endswith((".", "?", "!")) or _COMMAND.search(text)
    return text if ends else f"{text}."


def nearest(name: str, known: Iterable[str]) -> str:
    """Returns advice naming the known names closest to `name`, for an error's `action`."""
    names = sorted(known)
    close = get_close_matches(name, names, n=3, cutoff=0.5)
    if close:
        return f"Did you mean {' or '.join(repr(c) for c in close)}?"
    return f"Known: {', '.join(names)}"


def nearest_column(name: str, columns: Collection[str], how: str) -> str:
    """Returns advice on a column that a file lacks, which may only be cut in the wrong places.

    Args:
        name: The column.
        columns: Those that the file seems to have.
        how: How to say what separates them, with `{}` for it in quotes.
    """
    if len(columns) == 1:
        (header,) = columns
        for quoted in (json.dumps(mark) for mark in _SEPARATORS if mark in header):
            return f"Known: {header!r}. Is the file separated by {quoted}? {how.format(quoted)}"
    return nearest(name, columns)
