"""What the page asks, checked: a list of recommendations, or a score."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from data.errors import InputError
from serving.client.recommender import RawId
from serving.client.transport import Input

MAX_K = 200  # rows of a list that a person looks at
MAX_IDS = 1_000
MAX_TEXT = 1_000  # characters of an id or a value

_INTEGERS = {"DT_INT8", "DT_INT16", "DT_INT32", "DT_INT64", "DT_UINT8", "DT_UINT16", "DT_UINT32"}
_NUMBERS = {"DT_FLOAT", "DT_DOUBLE"}


@dataclass(frozen=True)
class ListQuestion:
    """A question for recommendations; ids are as typed, and none is empty.

    Attributes:
        user: The user, if one is named.
        history: Items that the user took, in time order.
        exclude: Items never to be returned.
        allow: The only items to be returned; none for all.
        k: Items wanted.
        exclude_seen: Whether to leave out items that the user has taken.
    """

    user: str | None
    history: list[str]
    exclude: list[str]
    allow: list[str]
    k: int
    exclude_seen: bool

    @staticmethod
    def parse(body: Any) -> ListQuestion:
        """Reads a question.

        Args:
            body: Decoded JSON; every field but one of `user` and `history` may be left out.

        Raises:
            InputError: Not of that form, or neither user nor history.
        """
        fields = _object(body)
        known = {"user", "history", "exclude", "allow", "k", "exclude_seen"}
        if not fields.keys() <= known:
            raise InputError("Unknown field", received=", ".join(sorted(fields.keys() - known)))
        user = fields.get("user")
        k, exclude_seen = fields.get("k", 10), fields.get("exclude_seen", True)
        if type(k) is not int or not 1 <= k <= MAX_K:
            raise InputError(f"k must be a whole number from 1 to {MAX_K}", received=repr(k))
        if not isinstance(exclude_seen, bool):
            raise InputError("exclude_seen must be true or false", received=repr(exclude_seen))
        history, exclude, allow = (
            _ids(name, fields.get(name, [])) for name in ("history", "exclude", "allow")
        )
        named = None if user is None else _text("user", user)
        question = ListQuestion(named, history, exclude, allow, k, exclude_seen)
        if not question.user and not question.history:
            raise InputError(
                "A user or a history must be given",
                action="Type a user, or choose items that somebody took",
            )
        return question


def parse_row(body: Any) -> dict[str, str]:
    """Reads a question for the score of a row: a text for each input, as typed.

    Raises:
        InputError: Not of that form.
    """
    return {name: _text(name, value, is_id=False) for name, value in _object(body).items()}


def raw_id(text: str, dtype: str, name: str) -> RawId:
    """Returns an id as a model takes it.

    Args:
        text: As typed.
        dtype: The input's type.
        name: What it is of, for the error.

    Raises:
        InputError: It is no id of the type.
    """
    value = typed_value(text, dtype, name)
    if value == -1:
        raise InputError(f"{name} must not be -1, which stands for no id in requests")
    assert not isinstance(value, float)  # no model has ids of that type
    return value


def row_values(row: Mapping[str, str], inputs: Mapping[str, Input]) -> dict[str, list[Any]]:
    """Returns one row as a model takes it; what is not given is empty.

    Args:
        row: Texts by input; lists separated by commas.
        inputs: What the model takes.

    Raises:
        InputError: A value that is not of its input's type.
    """
    return {name: [_value(row.get(name, ""), known, name)] for name, known in inputs.items()}


def _value(text: str, known: Input, name: str) -> Any:
    if known.rank > 1:
        parts = [part.strip() for part in text.split(",")]
        return [typed_value(part, known.dtype, name) for part in parts if part]
    return typed_value(text, known.dtype, name)


def typed_value(text: str, dtype: str, name: str) -> RawId | float:
    """Returns a value of an input's type: NaN for a number that is not given.

    Raises:
        InputError: The text is no value of the type.
    """
    kind = kind_of(dtype)
    if kind == "text":
        return text
    try:
        if kind == "number":
            return float(text) if text.strip() else math.nan
        number = int(text)
    except ValueError as error:
        rule = f"{name} must be a {'number' if kind == 'number' else 'whole number'}"
        raise InputError(rule, received=repr(text)) from error
    return number


def kind_of(dtype: str) -> str:
    """Returns what people call an input's type: text, integer or number."""
    if dtype in _INTEGERS:
        return "integer"
    return "number" if dtype in _NUMBERS else "text"


def _object(body: Any) -> dict[str, Any]:
    if not isinstance(body, dict):
        raise InputError("A request must be a JSON object", received=type(body).__name__)
    return body


def _ids(name: str, given: Any) -> list[str]:
    if not isinstance(given, list) or len(given) > MAX_IDS:
        raise InputError(f"{name} must be a list of at most {MAX_IDS} ids")
    return [_text(name, text) for text in given]


def _text(name: str, value: Any, *, is_id: bool = True) -> str:
    if not isinstance(value, str) or len(value) > MAX_TEXT or (is_id and not value):
        least = "1" if is_id else "0"
        raise InputError(
            f"{name} must be text of {least} to {MAX_TEXT} characters", received=repr(value)[:80]
        )
    return value
