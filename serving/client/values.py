"""Values of a request as plain Python: what JSON can express, from lists, tuples or arrays."""

from __future__ import annotations

from typing import Any

from data.errors import InputError


def plain(value: Any) -> Any:
    """Returns nested lists of Python's own numbers, texts and booleans.

    Args:
        value: Such a value, a sequence of them, or an array or scalar of NumPy's.

    Raises:
        InputError: A value of another type, which no model takes.
    """
    if hasattr(value, "tolist"):  # NumPy's, which is not loaded for this
        value = value.tolist()
    if isinstance(value, list | tuple):
        return [plain(entry) for entry in value]
    if isinstance(value, str | bool | int | float):
        return value
    raise InputError(
        "Values of a request must be numbers, texts or booleans, or lists of them",
        received=f"{value!r}, of type {type(value).__name__}",
    )
