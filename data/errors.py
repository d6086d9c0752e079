"""The one form in which bad input is reported."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches


class InputError(ValueError):
    """Input that breaks a rule.

    The message reads: the rule, what was received, where, and what to do.

    Args:
        rule: What must hold, as a sentence without a full stop.
        received: What was found instead.
        where: Place of the fault: file, line, row or field.
        action: The next step for the user, as a sentence without a full stop.
    """

    def __init__(
        self,
        rule: str,
        *,
        received: object | None = None,
        where: object | None = None,
        action: str | None = None,
    ) -> None:
        parts = [f"{rule}."]
        if received is not None:
            parts.append(f"Received: {received}.")
        if where is not None:
            parts.append(f"At: {where}.")
        if action is not None:
            parts.append(f"{action}.")
        super().__init__(" ".join(parts))

    @staticmethod
    def of_message(message: str) -> InputError:
        """Returns an error with the message of one that another process raised."""
        error = InputError("")
        error.args = (message,)
        return error


def nearest(name: str, known: Iterable[str]) -> str:
    """Returns advice naming the known names closest to `name`, for an error's `action`."""
    names = sorted(known)
    close = get_close_matches(name, names, n=3, cutoff=0.5)
    if close:
        return f"Did you mean {' or '.join(repr(c) for c in close)}?"
    return f"Known: {', '.join(names)}"
